"""A job while it runs: overall bar, the leaderboard as it fills, a live curve, Cancel. Redraws itself alone."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from frontend import state
from frontend.answers import TRAIN_KIND, CandidateProgress, JobAnswer
from frontend.client import ApiError, Client
from frontend.i18n import t
from frontend.watching import UNFINISHED, Look, watchers
from frontend.widgets import charts, problems
from frontend.widgets.wording import name_of, percent, plain, seconds

DRAW_S = 1.0  # drawing asks nobody: watching.py listens for all
# States of one network, in the order of the rows that have no score.
ORDER = ("succeeded", "running", "queued", "skipped", "failed")
LEFT_OUT = ("skipped", "failed")


def watch(api: Client, job: JobAnswer) -> None:
    """Show an unfinished job, live."""
    st.fragment(_live, run_every=DRAW_S)(api, job["job_id"])


def offer_to_watch(job: JobAnswer) -> None:
    """A tab whose results are still being made."""
    problems.first_do(
        t("results.running"),
        button=t("results.go_watch"),
        action=lambda: state.choose_job(job["job_id"], dataset=job["dataset_id"], tab=state.TRAIN),
    )


def train_first(api: Client, dataset_id: str | None) -> None:
    """A tab that needs a trained model: watch the run that makes one, or start one."""
    for job in api.jobs():
        training = job["kind"] == TRAIN_KIND and job["state"] in UNFINISHED
        if training and dataset_id is not None and job["dataset_id"] == dataset_id:
            offer_to_watch(job)
            return
    problems.first_do(
        t("results.first_train"), button=t("results.go_train"), action=lambda: state.open_tab(state.TRAIN)
    )


def show_rows(job: JobAnswer) -> None:
    """The leaderboard so far, a row a network: where it stands, what is tried, how long for, why it ended."""
    for candidate in ranked(job["candidates"]):
        with st.container(border=True, gap="xsmall"):
            _row(candidate, spent=_spent(job, candidate))


def ranked(candidates: Sequence[CandidateProgress]) -> list[CandidateProgress]:
    """Those with a score first, the best on top; then what is at work, what waits, what was left out."""

    def place(candidate: CandidateProgress) -> tuple[int, float]:
        ended_without = candidate["state"] in LEFT_OUT
        score = None if ended_without else candidate["score"]
        return (ORDER.index(candidate["state"]) if score is None else 0, -(score or 0.0))

    return sorted(candidates, key=place)


def _live(api: Client, job_id: str) -> None:
    try:
        look = watchers(api).look(job_id)
    except ApiError as error:
        problems.show_problem(error)  # the next drawing tries again
        return
    job = look.job
    if job["state"] not in UNFINISHED:
        state.redraw()  # the whole page changes: results are there
    if look.problem is not None:
        problems.show_problem(look.problem)  # what follows is how the job stood before
    _overall(look)
    _cancel(api, job)
    show_rows(job)
    _curve(job)


def _overall(look: Look) -> None:
    st.progress(min(1.0, max(0.0, look.job["progress"])), text=_sentence(look))


def _sentence(look: Look) -> str:
    """What happens now, and how long it will take."""
    job = look.job
    if job["state"] == "queued":
        place = job.get("queue_position")
        parts = [t("train.queued_at", place=place) if place else t("train.queued"), plain(job["message"])]
        return " · ".join(part for part in parts if part)
    parts = [f"**{percent(job['progress'], digits=0)}**", plain(job["message"] or name_of("stage", job["stage"]))]
    eta = job.get("eta_s")
    if eta is not None and not job.get("cancel_requested"):
        parts.append(t("train.eta", time=seconds(max(0.0, eta - int(look.age_s)))))
    return " · ".join(parts)


def _cancel(api: Client, job: JobAnswer) -> None:
    asked = bool(job.get("cancel_requested"))
    if st.button(t("train.cancel"), key="cancel", icon=":material/cancel:", disabled=asked):
        try:
            watchers(api).tell(api.cancel_job(job["job_id"]))
        except ApiError as error:
            problems.show_problem(error)
        else:
            asked = True
    if asked:
        st.caption(t("train.cancelling"))


def _spent(job: JobAnswer, candidate: CandidateProgress) -> float | None:
    """Seconds on a network so far; while it is at work they go on between its reports, and stand while others work."""
    told = candidate.get("seconds")
    if told is None or candidate["state"] != "running" or candidate["stage"] == t("stage.paused"):
        return told
    mark = (told, candidate["stage"], candidate["epoch"])
    return told + state.seconds_since(job["job_id"], candidate["name"], mark)


def _row(candidate: CandidateProgress, *, spent: float | None) -> None:
    st.markdown(" · ".join(_words(candidate)))
    if candidate["state"] == "running" and candidate["epochs"]:
        st.progress(min(1.0, candidate["epoch"] / candidate["epochs"]))
    details = _details(candidate, spent)
    if details:
        st.caption("  \n".join(details))


def _details(candidate: CandidateProgress, spent: float | None) -> list[str]:
    """What is tried and for how long, and why it ended."""
    tried, reason = candidate.get("tried"), candidate.get("reason")
    first = [plain(tried)] if tried else []
    first += [seconds(spent)] if spent else []
    return [line for line in (" · ".join(first), plain(reason or "")) if line]


def _words(candidate: CandidateProgress) -> list[str]:
    """Name, state, stage, epoch and score, as far as there are any."""
    had_its_turn = candidate["state"] == "skipped" and candidate.get("tried")
    standing = t("leaderboard.not_kept") if had_its_turn else name_of("candidate", candidate["state"])
    words = [f"**{plain(candidate['name'])}**", standing]
    if candidate["state"] == "running" and candidate["stage"] not in ("", "running"):
        words.append(plain(name_of("stage", candidate["stage"])))
    if candidate["epochs"]:
        words.append(t("train.epoch", epoch=candidate["epoch"], epochs=candidate["epochs"]))
    if candidate["score"] is not None:
        running = candidate["state"] == "running"
        words.append(t("train.score" if running else "train.final_score", score=percent(candidate["score"])))
    return words


def _curve(job: JobAnswer) -> None:
    """The scores seen since this browser tab began to watch, once there is a line to draw."""
    for candidate in job["candidates"]:
        if candidate["score"] is not None and candidate["epochs"]:
            state.record_score(job["job_id"], candidate["name"], epoch=candidate["epoch"], score=candidate["score"])
    seen = state.scores_seen(job["job_id"])
    if any(len(points) > 1 for points in seen.values()):
        st.subheader(t("train.curve"), anchor=False)
        charts.draw(charts.live_scores(seen), key="live-curve", alt=t("train.curve_alt"))
