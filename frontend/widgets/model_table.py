"""Models as rows, and the few words that name one: the same on the table, in the list and on the card."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from frontend.i18n import t
from frontend.registry_answers import RegisteredAnswer
from frontend.widgets import frame
from frontend.widgets.wording import NOTHING, megabytes, name_of, percent, percents, plain


def model_table(models: Sequence[RegisteredAnswer], names: dict[str, str]) -> None:
    """Draw the models, in the order given; `names` are the datasets' by id."""
    rows = [
        {
            "name": _short(model),
            "state": state_of(model),
            "accuracy": model["accuracy"],
            "interval": interval(model),
            "macro_f1": model["macro_f1"],
            "dataset": dataset_of(model, names),
            "created": frame.moment(model["created_at"]),
            "size": model["size_mb"],
            "model": model["model_id"],
        }
        for model in models
    ]
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    columns = {
        "name": text(t("models.name")),
        "state": text(t("models.state")),
        "accuracy": number(t("column.accuracy")),
        "interval": text(t("models.interval"), help=t("models.interval_help")),
        "macro_f1": number(t("models.macro_f1")),
        "dataset": text(t("models.trained_on")),
        "created": st.column_config.DatetimeColumn(t("models.created")),
        "size": number(t("models.size")),
        "model": text(t("models.id")),
    }
    words: dict[str, frame.Words] = {"accuracy": percent, "macro_f1": percent, "size": megabytes}
    frame.show(rows, columns=columns, words=words, alt=t("models.title", count=len(models)))


def title(model: RegisteredAnswer) -> str:
    """A network's name, or how many answer together; fit for Markdown."""
    return plain(_short(model))


def entry(model: RegisteredAnswer, names: dict[str, str]) -> str:
    """A model in one line of a list."""
    words = (_short(model), percent(model["accuracy"]), dataset_of(model, names), state_of(model))
    return " · ".join((*words, model["model_id"]))


def dataset_of(model: RegisteredAnswer, names: dict[str, str]) -> str:
    """What it was trained on; a dataset that is gone is told by its id."""
    name = names.get(model["dataset_id"], model["dataset_id"])
    return t("models.dataset_version", name=name, version=model["dataset_version"])


def state_of(model: RegisteredAnswer) -> str:
    return name_of("model.state", model["state"])


def interval(model: RegisteredAnswer) -> str:
    """Where the accuracy lies with 95% confidence."""
    test = model["metrics"].get("test")
    if test is None:
        return NOTHING
    low, high = test["accuracy_ci95"]
    return percents(low, high)


def _short(model: RegisteredAnswer) -> str:
    members = model.get("members")
    return t("model.ensemble", count=len(members)) if members else model["name"]
