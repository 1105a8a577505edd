"""Where to draw the line by what mistakes cost: a miss against a false alarm. Other thresholds, never another model."""

from __future__ import annotations

import streamlit as st

from frontend import state
from frontend.answers import ResultsAnswer
from frontend.client import ApiError, Client
from frontend.i18n import t, written
from frontend.label_answers import ThresholdAnswer, ThresholdQuery
from frontend.widgets import problems
from frontend.widgets.wording import percent, plain

# A slider of ratios that people think in; the rest is for the API.
RATIOS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)


def show(api: Client, results: ResultsAnswer) -> None:
    """Draw the slider and what it would come to on the test images. Redraws itself alone."""
    st.fragment(_draw)(api, results)


def query(model_id: str) -> ThresholdQuery | None:
    """What predictions of a model are asked with; None: its own thresholds."""
    ratio = state.cost_ratio(model_id)
    return None if ratio is None else {"miss_cost": ratio, "false_alarm_cost": 1.0}


def choose(model_id: str, *, key: str) -> None:
    """The choice alone: the model's own thresholds, or a ratio of costs, kept for this model in this browser tab."""
    chosen = state.cost_ratio(model_id)
    by_costs, slider = f"{key}-by-costs", f"{key}-ratio"
    state.mirror(by_costs, chosen is not None)
    state.start_with(slider, chosen or 5.0)

    def keep() -> None:
        state.choose_cost_ratio(model_id, state.value_of(slider) if state.value_of(by_costs) else None)

    on = st.toggle(t("costs.toggle"), key=by_costs, on_change=keep, help=t("costs.help"))
    if on:
        st.select_slider(t("costs.ratio"), RATIOS, key=slider, format_func=_in_words, on_change=keep)


def _draw(api: Client, results: ResultsAnswer) -> None:
    model_id = results["model_id"]
    st.subheader(t("costs.title"), anchor=False)
    choose(model_id, key=f"costs-{results['job_id']}")
    asked = query(model_id)
    if asked is None:
        return
    try:
        found = api.thresholds(model_id, asked)
    except ApiError as error:
        problems.show_problem(error)
        return
    _told(found)


def _told(found: ThresholdAnswer) -> None:
    missed = sum(one["missed"] for one in found["labels"])
    alarms = sum(one["false_alarms"] for one in found["labels"])
    st.markdown(
        t(
            "costs.told",
            threshold=written(found["labels"][0]["threshold"], ".2f"),
            missed=missed,
            alarms=alarms,
            cost=written(found["cost"] or 0, "g"),
            before=written(found["cost_of_model"] or 0, "g"),
        )
    )
    rows = [
        {
            t("labels.label"): plain(one["label"]),
            t("labels.found"): t("costs.of", part=one["found"], whole=one["support"]),
            t("labels.missed"): written(one["missed"], ","),
            t("labels.alarms"): written(one["false_alarms"], ","),
            t("column.precision"): percent(one["precision"]),
        }
        for one in sorted(found["labels"], key=lambda one: (one["recall"], one["label"]))
    ]
    with st.container(key="costs"):
        st.table(rows, border="horizontal", hide_index=True, alt=t("costs.title"))
    st.caption(t("costs.note"))


def _in_words(ratio: float) -> str:
    if ratio == 1.0:
        return t("costs.same")
    return (
        t("costs.miss_worse", times=written(ratio, "g"))
        if ratio > 1
        else t("costs.alarm_worse", times=written(1 / ratio, "g"))
    )
