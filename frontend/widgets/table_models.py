"""Models of tables with their states: a list, one of them in full, what can be done to it, and what was."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from frontend.client import Client
from frontend.i18n import t
from frontend.table_answers import RegisteredTable
from frontend.widgets import frame, model_actions, promotions
from frontend.widgets.table_results import number
from frontend.widgets.wording import name_of, percent, plain, when


def show(api: Client, models: Sequence[RegisteredTable]) -> None:
    """Draw the models, newest first; nothing where there are none."""
    if not models:
        return
    st.subheader(t("table_models.title"), anchor=False)
    told = model_actions.told()
    if told:
        st.success(plain(told), icon=":material/check_circle:")
    names = {table["dataset_id"]: table["name"] for table in api.tables.all()}
    rows = [
        {
            t("models.name"): model["name"],
            t("table_models.predicts"): model["target"],
            t("models.state"): name_of("model.state", model["state"]),
            t("table.column_score"): score_of(model),
            t("models.interval"): interval_of(model),
            t("table_models.table"): names.get(model["dataset_id"], model["dataset_id"]),
            t("models.created"): frame.moment(model["created_at"]),
            t("models.id"): model["model_id"],
        }
        for model in models
    ]
    frame.show(rows, alt=t("table_models.title"))
    card(api, _chosen(models))


def score_of(model: RegisteredTable) -> str:
    """The score of the rows held out, with the name of what is measured."""
    return f"{_written(model, model['score'])} {name_of('metric', model['metric'])}"


def interval_of(model: RegisteredTable) -> str:
    low, high = model["score_ci95"]
    return f"{_written(model, low)} – {_written(model, high)}"


def _written(model: RegisteredTable, value: float) -> str:
    return percent(value) if model["task"] == "classification" else number(value)


def _chosen(models: Sequence[RegisteredTable]) -> str:
    """The model that is shown in full: the promoted one until another is chosen."""
    by_id = {model["model_id"]: model for model in models}
    first = next((model["model_id"] for model in models if model["state"] == "promoted"), models[0]["model_id"])
    if len(models) == 1:
        return first
    chosen = st.selectbox(
        t("models.choose"),
        list(by_id),
        index=list(by_id).index(first),
        format_func=lambda model_id: " · ".join(
            (by_id[model_id]["target"], by_id[model_id]["name"], score_of(by_id[model_id]), model_id)
        ),
        key="table-models-chosen",
    )
    return chosen if chosen in by_id else first


def card(api: Client, model_id: str) -> None:
    """One model: how good, since when, and what can be done to it."""
    model = api.tables.model_card(model_id)
    with st.container(border=True):
        st.subheader(f"{plain(model['name'])} · {name_of('model.state', model['state'])}", anchor=False)
        lines = [
            t("table_models.test", target=plain(model["target"]), score=score_of(model), interval=interval_of(model)),
            t("models.made", when=when(model["created_at"]), job=model["job_id"] or "–", model=model_id),
        ]
        if model["state"] == "promoted":
            by, since = model["promoted_by"], when(model["promoted_at"])
            words = t("models.promoted_by", when=since, who=plain(by)) if by else t("models.promoted", when=since)
            lines.append(words)
        st.markdown("\n".join(f"- {line}" for line in lines))
        model_actions.draw(api.tables, model, compared=lambda _: _rival(api, model), key="table-model")
        st.download_button(
            t("table.download"),
            data=partial(api.tables.download, model_id),
            file_name=f"{model['target']}-{model_id}.zip",
            mime="application/zip",
            key="download-table-model",
            help=t("table.download_help"),
            icon=":material/download:",
            on_click="ignore",
        )
        with st.expander(t("models.history"), icon=":material/history:"):
            promotions.show(api.tables.promotions(model_id))


def _rival(api: Client, model: RegisteredTable) -> None:
    """The scores of this one and of the promoted one, each on its own rows held out."""
    others = api.tables.registered_models(dataset_id=model["dataset_id"])
    promoted = next((one for one in others if one["state"] == "promoted"), None)
    if promoted is None or promoted["model_id"] == model["model_id"]:
        st.caption(t("ask.nobody_promoted"))
        return
    st.markdown(t("table_models.rival", own=score_of(model), other=promoted["model_id"], score=score_of(promoted)))
