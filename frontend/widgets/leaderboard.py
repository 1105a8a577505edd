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
    st.caption(t("results.leaderboard_help"))
    best = chosen_row(results)
    rows = [_row(row, best=best) for row in ordered(results["leaderboard"])]
    with st.container(key="leaderboard"):  # the key lets the style align the numbers
        st.table(rows, border="horizontal", hide_index=True, alt=t("results.leaderboard"))


def ordered(rows: list[LeaderboardRow]) -> list[LeaderboardRow]:
    """By rank; what was skipped or failed last."""
    return sorted(rows, key=lambda row: (row["rank"] is None, row["rank"] or 0))


def chosen_row(results: ResultsAnswer) -> LeaderboardRow | None:
    """The best model's row: the highest-ranked one of its name."""
    same = [row for row in ordered(results["leaderboard"]) if row["name"] == results["best_model"]["name"]]
    return same[0] if same else None


def is_tie(row: LeaderboardRow, best: LeaderboardRow | None) -> bool:
    """Whether the test images cannot tell a row from the best: its 95% interval holds the best's accuracy."""
    interval = row.get("accuracy_ci95")
    if best is None or row is best or interval is None or best["accuracy"] is None:
        return False
    return row["strategy"] != "baseline" and interval[0] <= best["accuracy"] <= interval[1]


def _row(row: LeaderboardRow, *, best: LeaderboardRow | None) -> dict[str, Any]:
    name = t("leaderboard.baseline") if row["strategy"] == "baseline" else plain(row["name"])
    return {
        t("column.rank"): str(row["rank"]) if row["rank"] is not None else NOTHING,
        t("column.network"): f"**{name}**" if row is best else name,
        t("column.accuracy"): percent(row["accuracy"]),
        t("column.macro_f1"): percent(row["macro_f1"]),
        t("column.val_accuracy"): percent(row["val_accuracy"]),
        t("column.weights"): weights(row["weights"], row.get("weights_source")),
        t("column.strategy"): name_of("strategy", row["strategy"]),
        t("column.note"): _note(row, best),
        t("column.train_seconds"): seconds(row["train_seconds"]),
        t("column.predict_ms"): milliseconds(row["predict_ms_per_image"]),
        t("column.size_mb"): megabytes(row["size_mb"]),
    }


def _note(row: LeaderboardRow, best: LeaderboardRow | None) -> str:
    if row["status"] != "ok":
        return f"{name_of('status', row['status'])}: {plain(row.get('reason') or NOTHING)}"
    if row is best:
        return t("leaderboard.best")
    if is_tie(row, best):
        return t("leaderboard.tie")
    if row["strategy"] == "baseline":
        return ""  # its name says it all
    return plain(row.get("reason") or "")
