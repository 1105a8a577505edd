"""Has what a model answers moved away from what it answered on its test images? Counts in, a verdict in words out.

The measure is the population stability index (PSI), a symmetrised Kullback-Leibler divergence; 0.1 and 0.25 are the
usual marks of credit scoring (Siddiqi 2006, "Credit Risk Scorecards"). Such fixed marks cry wolf on few samples: where
nothing has changed, PSI / (1/n + 1/m) follows a chi-square distribution with one degree of freedom less than there are
bins (Yurdakul 2018, "Statistical Properties of Population Stability Index"). So a change is said only where the PSI is
also beyond what chance exceeds once in a hundred times; where chance alone reaches 0.25, there are too few to say.

It knows no database, no picture and no network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from backend.contracts import (
    CONFIDENCE_BINS,
    DriftBin,
    DriftMeasure,
    DriftVerdict,
    PredictionCounts,
    UnfamiliarShare,
)
from backend.engine.metrics import wilson_interval

SHIFTING, DRIFTED = 0.1, 0.25
Z_99 = 2.3263478740408408  # standard normal, one-sided
FEWEST = 30  # below that the chi-square distribution is none
FEWEST_FOREIGN = 10  # pictures; somebody who tries the model with two of another kind has told nothing of its use
LEAST_IN_BIN = 10  # of both sides together; smaller bins are merged (Cochran's rule asks for 5 on either side)
REST = "others"
# The threshold of familiarity is set so that familiar pictures stay below this share.
NORMAL_UNFAMILIAR, MUCH_UNFAMILIAR = 0.05, 0.2
ORDER: tuple[DriftVerdict, ...] = ("drifted", "shifting", "no_yardstick", "too_few", "steady")


def label_drift(expected: PredictionCounts | None, seen: PredictionCounts) -> DriftMeasure:
    """Compare how often each label is answered. `expected` is counted on test images; None: the model has none."""
    before = {} if expected is None else expected.labels
    names = sorted({*before, *seen.labels}, key=lambda name: (-before.get(name, 0), name))
    bins = _bins(names, before if expected else None, seen.labels)
    if expected is None:
        return _no_yardstick(bins)
    return _measure(_rare_together(names, before, seen.labels), bins, noun="labels", predictions=seen.predictions)


def confidence_drift(expected: PredictionCounts | None, seen: PredictionCounts) -> DriftMeasure:
    """Compare how sure the model is, in ten bins of equal width."""
    names = [f"{place / CONFIDENCE_BINS:.1f}-{(place + 1) / CONFIDENCE_BINS:.1f}" for place in range(CONFIDENCE_BINS)]
    now = dict(zip(names, seen.confidence, strict=True))
    before = None if expected is None else dict(zip(names, expected.confidence, strict=True))
    bins = _bins(names, before, now)
    if before is None:
        return _no_yardstick(bins)
    pairs = [(name, before[name], now[name]) for name in names]
    return _measure(_neighbours_together(pairs), bins, noun="confidences", predictions=seen.predictions)


def unfamiliar_share(seen: PredictionCounts) -> UnfamiliarShare:
    """Say whether more pictures than normal are unlike the training, by the Wilson interval of their share."""
    judged, unfamiliar = seen.judged, seen.unfamiliar
    fields = {"judged": judged, "unfamiliar": unfamiliar, "normal": NORMAL_UNFAMILIAR}
    if not judged:
        return UnfamiliarShare(
            verdict="too_few", words="No answer has said yet whether it knows such pictures.", **fields
        )
    share, low = unfamiliar / judged, wilson_interval(unfamiliar, judged)[0]
    said = f"{unfamiliar} of {judged} pictures ({share:.1%}) are unlike all of the training"
    normal = f"up to {NORMAL_UNFAMILIAR:.0%} is normal"
    verdict: DriftVerdict = "steady"
    words = f"{said}; up to {NORMAL_UNFAMILIAR:.0%} is normal."
    if low > MUCH_UNFAMILIAR and judged >= FEWEST_FOREIGN:
        verdict, words = "drifted", f"{said}: these are other pictures than the model was made for ({normal})."
    elif low > NORMAL_UNFAMILIAR and judged >= FEWEST:
        verdict, words = "shifting", f"{said}, more than chance would have it ({normal})."
    elif judged < FEWEST:
        verdict, words = "too_few", f"{said}; {judged} are too few to say ({normal})."
    return UnfamiliarShare(verdict=verdict, words=words, share=share, **fields)


def worst(verdicts: Sequence[DriftVerdict]) -> DriftVerdict:
    """The one that a person has to hear of first."""
    return min(verdicts, key=ORDER.index)


def stability_index(expected: Sequence[int], seen: Sequence[int]) -> float:
    """PSI of two sets of counts over the same bins; half a count is added to each, so that an empty bin is no infinity.

    0: the same; beyond 0.25 usually called a large change. Symmetric.
    """
    totals = [sum(counts) + len(counts) / 2 for counts in (expected, seen)]
    pairs = [((one + 0.5) / totals[0], (other + 0.5) / totals[1]) for one, other in zip(expected, seen, strict=True)]
    return sum((after - before) * math.log(after / before) for before, after in pairs)


def chance_index(expected: int, seen: int, *, bins: int) -> float:
    """The PSI that two samples of one and the same distribution exceed once in a hundred times (Yurdakul 2018).

    The chi-square quantile is Wilson and Hilferty's approximation (1931), within 2% from one degree of freedom on.
    """
    freedom = bins - 1
    if freedom < 1:
        return 0.0
    quantile = freedom * (1 - 2 / (9 * freedom) + Z_99 * math.sqrt(2 / (9 * freedom))) ** 3
    return (1 / expected + 1 / seen) * quantile


Triple = tuple[str, int, int]


def _measure(merged: Sequence[Triple], bins: tuple[DriftBin, ...], *, noun: str, predictions: int) -> DriftMeasure:
    before, after = [one for _, one, _ in merged], [one for _, _, one in merged]
    if predictions < FEWEST or not sum(before) or not sum(after):
        return DriftMeasure(verdict="too_few", words=_too_few(predictions, noun), bins=bins)
    psi, chance = stability_index(before, after), chance_index(sum(before), sum(after), bins=len(merged))
    verdict: DriftVerdict = "steady"
    if psi > max(DRIFTED, chance):
        verdict = "drifted"
    elif chance > DRIFTED:
        verdict = "too_few"
    elif psi > max(SHIFTING, chance):
        verdict = "shifting"
    words = _words(verdict, noun, psi, chance, predictions=predictions)
    if verdict in ("shifting", "drifted"):
        words += f" {_moved_most(merged)}"
    return DriftMeasure(verdict=verdict, words=words, psi=psi, chance=chance, bins=bins)


def _words(verdict: DriftVerdict, noun: str, psi: float, chance: float, *, predictions: int) -> str:
    if verdict == "too_few":
        return f"{_too_few(predictions, noun)} Chance alone reaches an index of {chance:.2f}."
    if verdict == "steady":
        return f"The {noun} are spread as on the test images (index {psi:.2f}; up to {SHIFTING:g} is steady)."
    how, mark = ("much", DRIFTED) if verdict == "drifted" else ("somewhat", SHIFTING)
    return f"The {noun} have moved {how} away from the test images (index {psi:.2f}, beyond {mark:g})."


def _too_few(predictions: int, noun: str) -> str:
    if predictions == 0:
        return "No prediction has been counted."
    if predictions == 1:
        return f"1 prediction is too few to say whether {noun} have moved."
    return f"{predictions} predictions are too few to say whether {noun} have moved."


def _moved_most(merged: Sequence[Triple]) -> str:
    before, after = sum(one for _, one, _ in merged), sum(one for _, _, one in merged)
    name, one, other = max(merged, key=lambda row: abs(row[2] / after - row[1] / before))
    return f"Most of all '{name}': {other / after:.0%} instead of {one / before:.0%}."


def _no_yardstick(bins: tuple[DriftBin, ...]) -> DriftMeasure:
    words = "There is no yardstick: the model keeps no answers to test images. Train again to have one."
    return DriftMeasure(verdict="no_yardstick", words=words, bins=bins)


def _bins(names: Sequence[str], before: Mapping[str, int] | None, now: Mapping[str, int]) -> tuple[DriftBin, ...]:
    total, counted = sum((before or {}).values()), sum(now.values())
    return tuple(
        DriftBin(
            name=name,
            expected=before.get(name, 0) / total if before is not None and total else None,
            seen=now.get(name, 0) / counted if counted else 0.0,
            count=now.get(name, 0),
        )
        for name in names
    )


def _rare_together(names: Sequence[str], before: Mapping[str, int], now: Mapping[str, int]) -> list[Triple]:
    """Labels with few answers on both sides in one bin."""
    rows = [(name, before.get(name, 0), now.get(name, 0)) for name in names]
    common = [row for row in rows if row[1] + row[2] >= LEAST_IN_BIN]
    rare = [row for row in rows if row[1] + row[2] < LEAST_IN_BIN]
    if not rare:
        return common
    return [*common, (REST if len(rare) > 1 else rare[0][0], sum(r[1] for r in rare), sum(r[2] for r in rare))]


def _neighbours_together(rows: Sequence[Triple]) -> list[Triple]:
    """Bins with few answers joined with the next one; what is left at the end joins the last."""
    merged: list[Triple] = []
    first, before, now = "", 0, 0
    for name, one, other in rows:
        first = first or name.split("-")[0]
        before, now = before + one, now + other
        if before + now >= LEAST_IN_BIN:
            merged.append((f"{first}-{name.split('-')[1]}", before, now))
            first, before, now = "", 0, 0
    if before + now and merged:
        name, one, other = merged.pop()
        merged.append((f"{name.split('-')[0]}-1.0", one + before, other + now))
    return merged
