"""Results: the answer in one sentence first, then everything that it rests on. Knows nothing of how it was found."""

from __future__ import annotations

from typing import Any

import streamlit as st

from frontend import state
from frontend.answers import ResultsAnswer
from frontend.client import ApiError, Client
from frontend.i18n import t
from frontend.tabs.train import has_results
from frontend.watching import UNFINISHED
from frontend.widgets import (
    champion,
    charts,
    confidence,
    imbalance,
    job_progress,
    labels,
    leaderboard,
    leak,
    mistakes,
    problems,
    retrain,
    run_picker,
    scores_table,
    suspects,
    training,
)
from frontend.widgets.downloads import show_downloads
from frontend.widgets.wording import model_name, name_of, percent, plain, seconds, shares, whole


def render(api: Client) -> None:
    """Draw the tab for the job of the URL, else for the dataset's newest finished one."""
    if state.dataset_id() is None and state.job_id() is None:
        problems.first_do(
            t("results.first_upload"), button=t("train.go_upload"), action=lambda: state.open_tab(state.UPLOAD)
        )
        return
    results = find_results(api)
    if results is None:
        return
    headline(results)
    retrain.outdated(api, results)
    champion.show(api, results)
    run_picker.render(api, results)
    show_downloads(api, results)
    show_notes(results)
    imbalance.show(results)
    leak.show(results)
    leaderboard.show(results)
    if labels.several(results):
        labels.show(api, results)
    else:
        mistakes.show(api, results, beside=classes)
    confidence.show(results)
    learning_curve(results)
    suspects.show(api, results)
    training.curves(results)
    how_it_was_done(results)


def find_results(api: Client) -> ResultsAnswer | None:
    """The results, or None after saying on the page what to do first."""
    job_id, dataset_id = state.job_id(), state.dataset_id()
    if job_id is not None:
        job = api.job(job_id)
        if job["state"] in UNFINISHED:
            job_progress.offer_to_watch(job)
            return None
        if job["state"] == "succeeded" or has_results(api, job):
            return api.job_results(job_id)
    try:
        return api.results(dataset_id) if dataset_id else api.job_results(job_id or "")
    except ApiError as error:
        if error.status != 404:
            raise
        if dataset_id is not None:
            api.dataset(dataset_id)  # raises where not only the results but the dataset itself is missing
        job_progress.train_first(api, dataset_id)
        return None


def headline(results: ResultsAnswer) -> None:
    """The answer in one sentence, and the next action."""
    if labels.several(results):
        st.header(labels.sentence(results, model_name(results["best_model"])), anchor=False)
        st.caption(labels.measured(results))
    else:
        st.header(_sentence(results), anchor=False)
        st.caption(_measured(results))
    members = results["best_model"].get("members")
    if members:
        st.caption(t("results.members", members=shares(members)))
    st.button(
        t("results.next"),
        key="go-predictions",
        type="primary",
        icon=":material/arrow_forward:",
        on_click=state.open_tab,
        args=(state.PREDICTIONS,),
    )


def _sentence(results: ResultsAnswer) -> str:
    test = results["test"]
    low, high = test["accuracy_ci95"]
    return t(
        "results.answer",
        name=model_name(results["best_model"]),
        right=whole(test["accuracy"]),
        low=whole(low),
        high=whole(high),
    )


def _measured(results: ResultsAnswer) -> str:
    test = results["test"]
    return t(
        "results.measured",
        correct=round(test["accuracy"] * results["split"]["test"]),
        images=results["split"]["test"],
        accuracy=percent(test["accuracy"]),
        macro_f1=percent(test["macro_f1"]),
    )


def show_notes(results: ResultsAnswer) -> None:
    """All that a person should know, in one box, so that it does not push the answer's grounds off the screen."""
    notes = [plain(note) for note in results.get("notes", [])]
    if notes:
        st.info("\n\n".join(notes), icon=":material/info:")


def classes(results: ResultsAnswer) -> None:
    st.subheader(t("results.classes"), anchor=False)
    st.caption(t("results.classes_help"))
    scores_table.show(results["per_class"], counted=t("column.support"))


def learning_curve(results: ResultsAnswer) -> None:
    """Would more images help? Drawn where the run measured it."""
    points = results.get("learning_curve")
    if points:
        st.subheader(t("results.learning_curve"), anchor=False)
        advice = results.get("learning_curve_advice")
        if advice:
            st.markdown(plain(advice))
        st.caption(t("results.learning_curve_help"))
        charts.draw(charts.learning_curve(points), key="learning-curve", alt=t("results.learning_curve_alt"))


def how_it_was_done(results: ResultsAnswer) -> None:
    """Split, preparation of the images, time, and where MLflow has the run."""
    split, preprocessing = results["split"], results.get("preprocessing", {})
    st.subheader(t("results.how"), anchor=False)
    lines = [
        t("results.split", train=split["train"], val=split["val"], test=split["test"], seed=str(split["seed"])),
        t("results.split_strategy", strategy=plain(split["strategy"])),
    ]
    if preprocessing:
        lines.append(plain(preprocessing.get("reason") or _size_line(preprocessing)))
        if preprocessing.get("smallest_defect_px"):
            lines.append(t("results.smallest_defect", count=preprocessing["smallest_defect_px"]))
    lines += training.in_short(results)
    lines.append(_features_line(results))
    if results.get("total_seconds"):
        lines.append(t("results.time", time=seconds(results["total_seconds"])))
    lines.append(_tracking_line(results))
    st.markdown("\n".join(f"- {line}" for line in lines if line))


def _size_line(preprocessing: dict[str, Any]) -> str:
    resize = name_of("resize", preprocessing["resize"])
    return t("results.size", resize=resize, width=str(preprocessing["width"]), height=str(preprocessing["height"]))


def _features_line(results: ResultsAnswer) -> str:
    """What was reused of earlier runs; older results do not say."""
    use = results.get("features")
    if not use:
        return ""
    said = t(
        "results.features" if use["at_hand"] else "results.features_new", images=use["images"], kept=use["at_hand"]
    )
    return f"{said} {t('results.features_counted', networks=use['networks'])}" if use["networks"] > 1 else said


def _tracking_line(results: ResultsAnswer) -> str:
    tracking = results.get("tracking") or {}
    status = tracking.get("status")
    if status == "ok":
        return t("results.tracked", run=tracking.get("run_id", ""), uri=tracking.get("uri", ""))
    if status == "failed":
        return t("results.tracking_failed", detail=plain(str(tracking.get("detail", ""))))
    return t("results.tracking_off") if status == "off" else ""
