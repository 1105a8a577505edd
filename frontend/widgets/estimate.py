"""How long a run will take on this machine, judged from the last one that ended well. A measurement, not a promise."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from frontend.answers import TRAIN_KIND, DatasetAnswer, ResultsAnswer
from frontend.client import ApiError, Client
from frontend.i18n import t
from frontend.widgets.intent import Intent
from frontend.widgets.wording import seconds

TRAINED = ("probe", "finetune")  # rows that cost time: neither the baseline nor several networks together


def sentence(api: Client, dataset: DatasetAnswer, recipe: Mapping[str, Any], *, networks: int, chosen: Intent) -> str:
    """The estimate in words, or that there is nothing to judge by yet; and the limit, the recipe's or the preset's."""
    budget_s = chosen.time_budget_s
    recipe = {**recipe, "strategy": chosen.sets.get("strategy", recipe.get("strategy"))}  # as a stored recipe has it
    guess = estimate(_last_results(api, recipe), images=dataset["total_images"], recipe=recipe, networks=networks)
    limit = recipe.get("time_budget_s") or budget_s
    if guess is None:
        words = t("train.no_estimate")
    else:
        words = t("train.estimate", time=seconds(max(10.0, min(guess, limit or guess))))
    return words if limit is None else f"{words} {t('train.limit', time=seconds(limit))}"


def estimate(last: ResultsAnswer | None, *, images: int, recipe: Mapping[str, Any], networks: int) -> float | None:
    """Seconds, in proportion to images, networks and, where the recipe says them, epochs; None without a like run."""
    if last is None or not last.get("total_seconds"):
        return None
    before = last.get("recipe") or {}
    if _intent(before) != _intent(recipe):
        return None
    split = last["split"]
    ratio = images / max(1, split["train"] + split["val"] + split["test"])
    if recipe.get("strategy") == "finetune":
        ratio *= recipe.get("num_epochs", 2) / max(1, before.get("num_epochs", 2))
    ran = [row["name"] for row in last["leaderboard"] if row["strategy"] in TRAINED and row["status"] == "ok"]
    tried = {name.partition(":refined")[0] for name in ran}  # a refined network has a second row
    ratio *= networks / max(1, len(tried))
    return float(last["total_seconds"] * ratio)


def duration(started: str | None, ended: str | None) -> float | None:
    """Seconds between two ISO 8601 times, or None where one is missing."""
    if started is None or ended is None:
        return None
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()


def _intent(recipe: Mapping[str, Any]) -> tuple[str, str]:
    return recipe.get("strategy") or "auto", recipe.get("preset") or "fast"


def _last_results(api: Client, recipe: Mapping[str, Any]) -> ResultsAnswer | None:
    """Results of the newest job of this kind that ended well, whichever dataset it was on."""
    done = [
        job
        for job in api.jobs()
        if job["kind"] == TRAIN_KIND
        and job["state"] == "succeeded"
        and job["ended_at"]
        and _intent(job.get("recipe") or {}) == _intent(recipe)
    ]
    if not done:
        return None
    newest = max(done, key=lambda job: job["ended_at"] or "")
    try:
        return api.job_results(newest["job_id"])
    except ApiError:
        return None  # its dataset may have been deleted meanwhile; then there is nothing to judge by
