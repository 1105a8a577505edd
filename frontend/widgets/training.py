"""How the networks of a run were trained: curves where there are any, and the winner's training in a few lines."""

from __future__ import annotations

from typing import Any

import streamlit as st

from frontend.answers import ResultsAnswer
from frontend.i18n import t, written
from frontend.training_answers import EpochRecord, ExperimentAnswer
from frontend.widgets import charts
from frontend.widgets.wording import millions, name_of, percent, plain


def curves(results: ResultsAnswer) -> None:
    """Training curves, where anything was trained by epochs; else in words why there are none."""
    by_epochs = _trained(results)
    drawn = {name: epochs for name, epochs in by_epochs.items() if len(epochs) > 1}
    if not drawn:
        st.caption("  \n".join(map(_one_epoch, by_epochs, by_epochs.values())) or t("results.no_curves"))
        return
    st.subheader(t("results.curves"), anchor=False)
    by_f1 = charts.chosen_by_f1(drawn)
    left, right = st.columns(2, gap="large", vertical_alignment="bottom")
    with left:
        alt = t("results.f1_curves_alt" if by_f1 else "results.curves_alt")
        charts.draw(charts.score_curves(drawn, by_f1=by_f1), key="accuracy-curves", alt=alt)
    with right:
        best = results["best_model"]["name"]
        name = st.selectbox(t("results.curve_of"), list(drawn), index=list(drawn).index(best) if best in drawn else 0)
        several = results.get("task") == "multilabel"
        figure = charts.loss_curves(drawn, name, title=t("chart.label_loss" if several else "chart.loss"))
        charts.draw(figure, key="loss-curves", alt=t("results.loss_alt", name=name))


def in_short(results: ResultsAnswer) -> list[str]:
    """The winner's loss, best epoch and weights, a sentence each; of a linear head there is nothing to say."""
    experiment = results.get("experiment") or {}
    lines = []
    best, loss = experiment.get("best_epoch"), experiment.get("loss")
    if best and loss:
        epochs = len([one for one in results["history"].get(results["best_model"]["name"], []) if one["epoch"]])
        lines.append(t("results.trained", loss=_loss(loss), count=epochs, best=best, score=_score(experiment)))
    trained, every = experiment.get("trainable_parameters"), experiment.get("parameters")
    if loss and trained is not None and every is not None:
        if trained == every:
            lines.append(t("results.all_trained", every=millions(every)))
        else:
            lines.append(t("results.weights_trained", trained=millions(trained), every=millions(every)))
    return lines


def _trained(results: ResultsAnswer) -> dict[str, list[EpochRecord]]:
    """The epochs of networks that were trained by epochs; a linear head has one record, of the step that solved it."""
    solved = {row["name"] for row in results["leaderboard"] if row["strategy"] != "finetune"}
    tuned = {row["name"] for row in results["leaderboard"] if row["strategy"] == "finetune"}
    return {name: epochs for name, epochs in results["history"].items() if epochs and name not in solved - tuned}


def _one_epoch(name: str, epochs: list[EpochRecord]) -> str:
    record = epochs[0]
    by_f1 = record.get("val_macro_f1") is not None
    score = record.get("val_macro_f1") if by_f1 else record["val_accuracy"]
    metric = t("chart.val_macro_f1" if by_f1 else "chart.val_accuracy")
    return t("results.one_epoch", name=plain(name), metric=metric, score=percent(score))


def _score(experiment: ExperimentAnswer) -> str:
    at_best = experiment.get("at_best_epoch") or {}
    by_f1 = at_best.get("val_macro_f1") is not None
    score = at_best.get("val_macro_f1" if by_f1 else "val_accuracy")
    return f"{t('metric.macro_f1' if by_f1 else 'metric.accuracy')} {percent(score)}"


def _loss(loss: dict[str, Any]) -> str:
    """Its name, and in brackets the parameters that do something."""
    told = {key: value for key, value in loss.items() if key not in {"type", "balanced"} and value not in (None, 0)}
    name = name_of("loss", str(loss.get("type")))
    return f"{name} ({', '.join(f'{key} {_value(value)}' for key, value in told.items())})" if told else name


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return written(value, "g") if isinstance(value, int | float) else plain(str(value))
