"""Correcting a dataset: a gallery in which each picture can be left out or given another class, and one button for all.

What is chosen waits until the button is pressed, over a reload of the page too; then all of it becomes one new version.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from frontend import state
from frontend.answers import DatasetAnswer
from frontend.client import ApiError, Client
from frontend.i18n import t
from frontend.version_answers import CorrectionsBody, DifferenceAnswer
from frontend.widgets import picture_choice, problems, retrain
from frontend.widgets.picture_choice import LEAVE_OUT, Picture
from frontend.widgets.pictures import thumbnails

PICTURES_A_ROW = 4
MOST_TO_UNDO = 1000  # images that a difference names


def gallery(
    api: Client, dataset: DatasetAnswer, pictures: Sequence[Picture], *, key: str, all_out: bool = True
) -> None:
    """Draw the pictures, each with its choice; `key` tells one gallery of the page from another.

    `all_out`: offer to leave out all that are shown.
    """
    identifier = dataset["dataset_id"]
    addresses = tuple(f"/api/cv/datasets/{identifier}/images/{one.image_id}?size=192" for one in pictures)
    images = thumbnails(api, api.base_url, addresses)
    _for_all(identifier, pictures, key=key, all_out=all_out)
    for start in range(0, len(pictures), PICTURES_A_ROW):
        columns = st.columns(PICTURES_A_ROW)
        for column, picture, image in zip(columns, pictures[start:], images[start:], strict=False):
            with column:
                picture_choice.show(dataset, picture, image, key=key)


def bar(api: Client, dataset: DatasetAnswer) -> None:
    """What is chosen so far, and the button that makes a version of it; after that, what can be done next."""
    identifier = dataset["dataset_id"]
    chosen = state.corrections(identifier)
    made = state.version_made(identifier)
    if made is not None and made == dataset["version"] and not chosen:
        _made(api, dataset)
    if not chosen:
        state.look_again(identifier)
        return
    behind = state.looked_at(identifier, dataset["version"]) != dataset["version"]
    told = state.told_of(identifier) == dataset["version"]
    out = [image_id for image_id, label in chosen.items() if label == LEAVE_OUT]
    with st.container(border=True, key="corrections-bar"):
        if behind:  # drawn each time: whatever draws the page anew would take a box away that is drawn once
            problems.show_detail(t("corrections.somebody_else", version=dataset["version"]))
            state.tell_of(identifier, dataset["version"])
        apply = _row(identifier, excluded=len(out), relabelled=len(chosen) - len(out))
    if apply and (told or not behind):
        relabel: dict[str, str | list[str]] = {
            image_id: label if isinstance(label, str) else list(label)
            for image_id, label in chosen.items()
            if label != LEAVE_OUT
        }
        send(api, dataset, {"exclude": out, "relabel": relabel})


def _row(identifier: str, *, excluded: int, relabelled: int) -> bool:
    """How much is chosen, and the two buttons; whether the version is to be made."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(t("corrections.chosen", excluded=excluded, relabelled=relabelled), width="stretch")
        st.button(
            t("corrections.forget"), key="corrections-forget", on_click=state.clear_corrections, args=(identifier,)
        )
        return st.button(t("corrections.apply"), key="corrections-apply", type="primary", icon=":material/check:")


def send(api: Client, dataset: DatasetAnswer, body: CorrectionsBody) -> None:
    """Make a version; draws anew where that worked, and shows the refusal where not."""
    identifier = dataset["dataset_id"]
    try:
        new = api.change_dataset(identifier, {**body, "base_version": dataset["version"]})
    except ApiError as error:
        problems.show_problem(error)
        return
    state.clear_corrections(identifier)
    state.remember_change(identifier, new["version"])
    state.rerun()


def _for_all(identifier: str, pictures: Sequence[Picture], *, key: str, all_out: bool) -> None:
    """Buttons for everything that is shown: take the suggestions, leave all out, leave all as they are."""
    suggested = {one.image_id: one.suggested for one in pictures if one.suggested is not None}
    with st.container(horizontal=True):
        if suggested:
            st.button(
                t("corrections.accept_all"),
                key=f"{key}-accept",
                on_click=state.correct_all,
                args=(identifier, suggested),
            )
        everything = dict.fromkeys((one.image_id for one in pictures), LEAVE_OUT)
        if all_out:
            words = t("corrections.exclude_all")
            st.button(words, key=f"{key}-exclude", on_click=state.correct_all, args=(identifier, everything))
        nothing = dict.fromkeys(one.image_id for one in pictures)
        st.button(t("corrections.keep_all"), key=f"{key}-keep", on_click=state.correct_all, args=(identifier, nothing))


def _made(api: Client, dataset: DatasetAnswer) -> None:
    """The version that was just made: train on it, or take it back."""
    history = dataset.get("versions", [])
    last = history[-1] if history else None
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(
            t(
                "corrections.made",
                version=dataset["version"],
                images=dataset["total_images"],
                classes=dataset["num_classes"],
            ),
            width="stretch",
        )
        if last is not None and last["base_version"] is not None and last["kind"] == "corrections":
            undo = st.button(t("corrections.undo"), key="corrections-undo", icon=":material/undo:")
        else:
            undo = False
        retrain.button(api, dataset["dataset_id"], key="retrain-made", primary=True)
    if undo and last is not None:
        _take_back(api, dataset, earlier=last["base_version"] or 1)


def _take_back(api: Client, dataset: DatasetAnswer, *, earlier: int) -> None:
    try:
        difference = api.difference(dataset["dataset_id"], earlier, dataset["version"])
    except ApiError as error:
        problems.show_problem(error)
        return
    if max(difference["counts"].values()) > MOST_TO_UNDO:
        problems.show_detail(t("corrections.too_many", most=MOST_TO_UNDO))
        return
    send(api, dataset, opposite(difference))


def opposite(difference: DifferenceAnswer) -> CorrectionsBody:
    """What undoes a difference that was made by corrections."""
    before: dict[str, str | list[str]] = {
        one["image_id"]: _as_sent(one["before"] or []) for one in difference["relabelled"]
    }
    out = {one["image_id"] for one in difference["restored"]}
    return {
        "restore": [one["image_id"] for one in difference["excluded"]],
        "exclude": sorted(out),
        # an image that came back under another label goes again; its label need not follow
        "relabel": {image_id: label for image_id, label in before.items() if image_id not in out},
    }


def _as_sent(labels: list[str]) -> str | list[str]:
    """One label as a word, which is right for either kind of dataset; several, or none, as a list."""
    return labels[0] if len(labels) == 1 else labels
