"""The leaderboard: every candidate, the baseline among them, with what each started from and what ties it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from frontend.answers import LeaderboardRow, ResultsAnswer
from frontend.i18n import t
from frontend.widgets.wording import NOTHING, megabytes, milliseconds, name_of, percent, plain, seconds, weights


def show(results: ResultsAnswer) -> None:
    """A real HTML table: it can be read aloud, selected and searched; wide ones scroll sideways."""
    st.subheader(t("results.leaderboard"), anchor=False)
    several = results.get("task") == "multilabel"
    st.caption(t("labels.leaderboard_help" if several else "results.leaderboard_help"))
    best, tied = chosen_row(results), ties(results)
    rows = [
        _row(row, mark=_mark(row, chosen=row is best, tie=row["rank"] in tied), validation=ranking_score(results, row))
        for row in ordered(results["leaderboard"])
    ]
    if several:
        rows = [_by_label(shown, row) for shown, row in zip(rows, ordered(results["leaderboard"]), strict=True)]
    with st.container(key="leaderboard"):  # the key lets the style align the numbers
        st.table(rows, border="horizontal", hide_index=True, alt=t("results.leaderboard"))


def ordered(rows: list[LeaderboardRow]) -> list[LeaderboardRow]:
    """By rank; what was skipped or failed last."""
    return sorted(rows, key=lambda row: (row["rank"] is None, row["rank"] or 0))


def chosen_row(results: ResultsAnswer) -> LeaderboardRow | None:
    """The best model's row: the highest-ranked one of its name."""
    same = [row for row in ordered(results["leaderboard"]) if row["name"] == results["best_model"]["name"]]
    return same[0] if same else None


def ties(results: ResultsAnswer) -> set[int | None]:
    """Ranks that the data cannot tell from the best, as the service found; judged here for results that never said."""
    best, rows = chosen_row(results), results["leaderboard"]
    if any(row.get("tie") or row.get("tried") for row in rows):
        return {row["rank"] for row in rows if row.get("tie") and row is not best}
    return {row["rank"] for row in rows if _overlaps(row, best)}


def ranking_score(results: ResultsAnswer, row: LeaderboardRow) -> float | None:
    """The score that ranked, on images that were not learned from."""
    imbalance = results.get("imbalance")
    ranked_by = imbalance["ranked_by"] if imbalance is not None else "accuracy"
    if ranked_by == "mean_average_precision":
        return row.get("val_mean_average_precision")
    return row.get("val_macro_f1") if ranked_by == "macro_f1" else row["val_accuracy"]


def _overlaps(row: LeaderboardRow, best: LeaderboardRow | None) -> bool:
    """For results from before rows were marked: whether a row's 95% interval holds the best's accuracy."""
    interval = row.get("accuracy_ci95")
    if best is None or row is best or interval is None or best["accuracy"] is None:
        return False
    return row["strategy"] != "baseline" and interval[0] <= best["accuracy"] <= interval[1]


def _mark(row: LeaderboardRow, *, chosen: bool, tie: bool) -> str:
    """How a row stands to the best one."""
    if row["status"] == "skipped" and row.get("tried"):
        return t("leaderboard.not_kept")  # it had its turn
    if row["status"] != "ok":
        return name_of("status", row["status"])
    return t("leaderboard.best") if chosen else t("leaderboard.tie") if tie else ""


def _row(row: LeaderboardRow, *, mark: str, validation: float | None) -> dict[str, Any]:
    name = name_in_words(row)
    named = f"**{name}**" if mark == t("leaderboard.best") else name
    return {
        t("column.rank"): str(row["rank"]) if row["rank"] is not None else NOTHING,
        t("column.network"): "  \n".join([named, *_story(row)]),
        t("column.accuracy"): percent(row["accuracy"]),
        t("column.macro_f1"): percent(row["macro_f1"]),
        t("column.validation"): percent(validation),
        t("column.note"): mark,
        t("column.weights"): weights(row["weights"], row.get("weights_source")),
        t("column.strategy"): name_of("strategy", row["strategy"]),
        t("column.train_seconds"): seconds(row["train_seconds"]),
        t("column.predict_ms"): milliseconds(row["predict_ms_per_image"]),
        t("column.size_mb"): megabytes(row["size_mb"]),
    }


def _by_label(shown: dict[str, Any], row: LeaderboardRow) -> dict[str, Any]:
    """The row of a run of several labels: all labels right is a hard measure; average precision stands in its place."""
    ours = {t("column.accuracy"): (t("labels.average"), percent(row.get("mean_average_precision")))}
    if row["strategy"] == "baseline":
        ours[t("column.network")] = (t("column.network"), t("leaderboard.baseline_labels"))
    return dict(ours.get(name, (name, value)) for name, value in shown.items())


def name_in_words(row: LeaderboardRow) -> str:
    if row["strategy"] == "baseline":
        return t("leaderboard.baseline")
    return t("leaderboard.ensemble") if row["strategy"] == "ensemble" else plain(row["name"])


def _story(row: LeaderboardRow) -> list[str]:
    """Small lines below the name: what was tried and on how many images, and why it ended there."""
    if row["strategy"] == "baseline":
        return []  # its name says it all
    tried, images = row.get("tried"), row.get("train_images")
    first = [plain(tried)] if tried else []
    first += [t("leaderboard.images", count=images)] if images else []
    lines = [" · ".join(first), plain(row.get("reason") or "")]
    return [f":small[:gray[{line}]]" for line in lines if line]
