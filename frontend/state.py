"""What this browser tab has chosen: with `reader.py` the only file that touches `st.session_state` and the URL.

Dataset, job and tab live in the URL, so that a refresh, a dropped socket or a link sent to a colleague shows the same
thing. The session holds only what may be lost: which uploads were already handled, curves seen so far. Corrections
that are chosen and not yet sent may not: this process keeps them for the browser, which a cookie names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from frontend.drafts import Choice, Draft, Drafts, is_browser, new_browser

UPLOAD, INSIGHTS, TRAIN, RESULTS, PREDICTIONS = "upload", "insights", "train", "results", "predictions"
MODELS = "models"
TAB_CONTROL = "tab-control"
_ROUND = "upload-round"
_OUTCOMES = "upload-outcomes"
_CURVES = "live-curves"
_PICTURES = "pictures"
_SEEN = "candidates-seen"
_CORRECTIONS = "corrections"
_BASES = "corrections-base"
_FOREIGN = "corrections-foreign"
_COSTS = "cost-ratios"
_CHANGED = "version-made"
_ASKED = "model-asked"
_ADDRESS = "address-drawn"
_OPENED = "tab-opened"
_TOLD = "model-told"
_BROWSER = "browser"


# --- the URL
def tab() -> str:
    return _parameter("tab") or UPLOAD


def dataset_id() -> str | None:
    return _parameter("dataset")


def job_id() -> str | None:
    return _parameter("job")


def open_tab(name: str) -> None:
    st.query_params["tab"] = st.session_state[_OPENED] = name


def choose_dataset(identifier: str | None, *, tab: str | None = None) -> None:
    """Choose a dataset, or none; a job of another dataset is let go."""
    if identifier != dataset_id():
        _set("job", None)
        _set("batch", None)
        _set("issue", None)
    _set("dataset", identifier)
    if tab is not None:
        open_tab(tab)


def choose_job(identifier: str | None, *, dataset: str | None, tab: str) -> None:
    """Choose a job together with its dataset, and open a tab on it."""
    _set("dataset", dataset)
    _set("job", identifier)
    open_tab(tab)


def table_id() -> str | None:
    """The table that the page of tables shows."""
    return _parameter("table")


def choose_table(identifier: str | None, *, job: str | None = None) -> None:
    """Choose a table, or none, and the training of it that is watched or was."""
    _set("table", identifier)
    _set("job", job)


def batch_job() -> str | None:
    """The job that answers, or has answered, for a ZIP of pictures."""
    return _parameter("batch")


def choose_batch(identifier: str | None) -> None:
    _set("batch", identifier)


def issue_kind() -> str | None:
    """The kind of issue that the Insights tab shows; it stays where a correction makes a new version."""
    return _parameter("issue")


def choose_issue_kind(kind: str | None) -> None:
    _set("issue", kind)


def _parameter(name: str) -> str | None:
    return st.query_params.get(name) or None


def _set(name: str, value: str | None) -> None:
    if value is None:
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = value


# --- widgets that mirror the URL
def prepare_tab_control(names: list[str]) -> None:
    """Show the URL's tab in the control; must run before the control is drawn."""
    # A part of the page that drew itself by the clock while somebody clicked is stopped, but not before Streamlit has
    # given the session the URL that it began with: what the click opened stands.
    opened = st.session_state.pop(_OPENED, None)
    if opened is not None and opened != tab():
        _set("tab", opened)
    if tab() not in names:
        _set("tab", names[0])
    mirror(TAB_CONTROL, tab())


def follow_tab_control() -> None:
    """Callback: write what was clicked into the URL."""
    open_tab(st.session_state[TAB_CONTROL])


def mirror(key: str, value: Any) -> None:
    """Give a widget that is about to be drawn the value that the URL says."""
    st.session_state[key] = value


def start_with(key: str, value: Any) -> None:
    """Give a widget that has no value yet its first one."""
    st.session_state.setdefault(key, value)


def value_of(key: str, default: Any = None) -> Any:
    """The value of a keyed widget."""
    return st.session_state.get(key, default)


# --- uploads: each file is sent once, however often the page is drawn
def upload_key() -> str:
    """A new key after each success empties the drop zone."""
    return f"drop-zone-{st.session_state.get(_ROUND, 0)}"


def clear_upload() -> None:
    st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1
    st.session_state[_OUTCOMES] = {}


def refusal_of(file_id: str) -> str | None:
    """Why this very file was refused before, or None where it was not sent yet."""
    refusal: str | None = st.session_state.get(_OUTCOMES, {}).get(file_id)
    return refusal


def remember_refusal(file_id: str, detail: str) -> None:
    st.session_state[_OUTCOMES] = {file_id: detail}


# --- live curves: scores seen while watching a job
def record_score(job: str, candidate: str, *, epoch: int, score: float) -> None:
    st.session_state.setdefault(_CURVES, {}).setdefault(job, {}).setdefault(candidate, {})[epoch] = score


def scores_seen(job: str) -> dict[str, dict[int, float]]:
    """Candidate to {epoch: best validation accuracy}, as far as this browser tab has watched."""
    seen: dict[str, dict[int, float]] = st.session_state.get(_CURVES, {}).get(job, {})
    return seen


def seconds_since(job: str, candidate: str, mark: object) -> float:
    """Seconds since this browser tab first saw a candidate so; a new mark begins anew."""
    seen = st.session_state.setdefault(_SEEN, {})
    if seen.get((job, candidate), (None, 0.0))[0] != mark:
        seen[job, candidate] = (mark, time.monotonic())
    return float(time.monotonic() - seen[job, candidate][1])


# --- pictures to be named: they outlive a change of tab
def keep_pictures(pictures: list[Any]) -> None:
    st.session_state[_PICTURES] = pictures


def pictures() -> list[Any]:
    kept: list[Any] = st.session_state.get(_PICTURES, [])
    return kept


# --- corrections chosen and not yet sent: they outlive a change of page and tab, and a reload
BROWSER_COOKIE = "sightglass_browser"


def corrections(dataset: str) -> dict[str, Choice]:
    """Image id to its right class, to all its labels, or to "" where it is to be left out."""
    kept = st.session_state.setdefault(_CORRECTIONS, {})
    if dataset not in kept:
        kept[dataset] = _taken_up(dataset)
    chosen: dict[str, Choice] = kept[dataset]
    return chosen


def looked_at(dataset: str, version: int) -> int:
    """The version on which the corrections were chosen: the one that is the newest when the first is drawn."""
    bases = st.session_state.setdefault(_BASES, {})
    if dataset not in bases:
        bases[dataset] = version
        _keep_draft(dataset)
    seen: int = bases[dataset]
    return seen


def tell_of(dataset: str, version: int) -> None:
    """Remember that the person was told of a version that somebody else made meanwhile."""
    st.session_state.setdefault(_FOREIGN, {})[dataset] = version


def told_of(dataset: str) -> int | None:
    told: int | None = st.session_state.get(_FOREIGN, {}).get(dataset)
    return told


def look_again(dataset: str) -> None:
    """Nothing is chosen any more: the next choice is made on the version that is the newest then."""
    for kept in (_BASES, _FOREIGN):
        st.session_state.get(kept, {}).pop(dataset, None)


def correct(dataset: str, image_id: str, choice: Choice | None) -> None:
    """Remember a correction; None takes it back."""
    correct_all(dataset, {image_id: choice})


def correct_all(dataset: str, choices: Mapping[str, Choice | None]) -> None:
    """Remember corrections of many images at once."""
    chosen = corrections(dataset)
    for image_id, choice in choices.items():
        if choice is None:
            chosen.pop(image_id, None)
        else:
            chosen[image_id] = choice
    _keep_draft(dataset)


def clear_corrections(dataset: str) -> None:
    corrections(dataset).clear()
    look_again(dataset)
    _keep_draft(dataset)


def browser() -> str | None:
    """The name under which this browser's corrections are kept; None where there were none yet."""
    name: str | None = st.session_state.get(_BROWSER)
    if name is None and is_browser(told := st.context.cookies.get(BROWSER_COOKIE)):
        name = st.session_state[_BROWSER] = told
    return name


def _taken_up(dataset: str) -> dict[str, Choice]:
    """What this browser had chosen before the page was loaded again."""
    name = browser()
    draft = None if name is None else _drafts().find((name, dataset))
    if draft is None:
        return {}
    if draft.version is not None:
        st.session_state.setdefault(_BASES, {})[dataset] = draft.version
    return dict(draft.choices)


def _keep_draft(dataset: str) -> None:
    chosen, name = corrections(dataset), browser()
    if name is None:
        if not chosen:
            return
        name = st.session_state[_BROWSER] = new_browser()
    version = st.session_state.get(_BASES, {}).get(dataset)
    _drafts().keep((name, dataset), Draft(dict(chosen), version))


@st.cache_resource(show_spinner=False)
def _drafts() -> Drafts:
    """One for all browser tabs of this process."""
    return Drafts()


def remember_change(dataset: str, version: int | None) -> None:
    """Which version this browser tab has just made of a dataset, so that it can be told and undone."""
    st.session_state.setdefault(_CHANGED, {})[dataset] = version


def version_made(dataset: str) -> int | None:
    made: int | None = st.session_state.get(_CHANGED, {}).get(dataset)
    return made


# --- thresholds by what mistakes cost, for each model
def cost_ratio(model: str) -> float | None:
    """How many false alarms a miss is worth; None: the model's own thresholds."""
    ratio: float | None = st.session_state.get(_COSTS, {}).get(model)
    return ratio


def choose_cost_ratio(model: str, ratio: float | None) -> None:
    st.session_state.setdefault(_COSTS, {})[model] = ratio


# --- the registry: what was asked for and not yet confirmed, what has just been done
def ask_for(verb: str | None, model_id: str) -> None:
    """Remember what a person wants to do to a model until they confirm it; None: nothing any more."""
    st.session_state[_ASKED] = (verb, model_id)


def asked_for(model_id: str) -> str | None:
    verb, model = st.session_state.get(_ASKED, (None, ""))
    return verb if model == model_id else None


def tell_later(text: str) -> None:
    """Keep a sentence for the next drawing of the page."""
    st.session_state[_TOLD] = text


def told() -> str | None:
    """That sentence, once."""
    text: str | None = st.session_state.pop(_TOLD, None)
    return text


# --- drawing again
def rerun() -> None:
    """Draw the whole page again, now."""
    st.rerun()


def keep_address() -> None:
    """Remember the URL that the whole page is drawn with; the first thing in each drawing of it."""
    st.session_state[_ADDRESS] = st.query_params.to_dict()


def redraw() -> None:
    """Draw the whole page again because of what a part of it found that looks by the clock; nobody has clicked.

    The browser sends its URL along with each such look, and where it is slow that is the one before the last click: a
    click on Train would lead back to Upload, under a URL that says Train. So the page stays where it was drawn last.
    """
    drawn: dict[str, str] | None = st.session_state.get(_ADDRESS)
    if drawn is not None and st.query_params.to_dict() != drawn:
        st.query_params.from_dict(drawn)
    st.rerun()


Callback = Callable[..., None]
