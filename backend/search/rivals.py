"""Champion and challenger: who is right more often on the same images, overall and by class, in numbers and in words.

Pure: answers in, a verdict out. Which images are fair to both is decided by the caller. Each class is a test of its
own, so that of twenty classes one would look different by chance alone; their p-values are therefore corrected for
their number (Holm 1979, "A simple sequentially rejective multiple test procedure").
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from backend.contracts import ClassHeadToHead, HeadToHead
from backend.contracts.comparison import Verdict
from backend.search.ties import LEVEL, mcnemar_of_counts

MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Answered:
    """One image that both answered: its label and what each said.

    Where an image may have several labels all of them in one line, equal where all are right; `each` has them one by
    one: those it carries, and those that champion and challenger named.
    """

    label: str
    champion: str
    challenger: str
    each: tuple[frozenset[str], frozenset[str], frozenset[str]] | None = None


def head_to_head(answered: Sequence[Answered]) -> HeadToHead:
    """Both on all of the images."""
    champion = [one.champion == one.label for one in answered]
    challenger = [one.challenger == one.label for one in answered]
    only_champion = sum(old and not new for old, new in zip(champion, challenger, strict=True))
    only_challenger = sum(new and not old for old, new in zip(champion, challenger, strict=True))
    p_value = mcnemar_of_counts(only_champion, only_challenger)
    return HeadToHead(
        images=len(answered),
        champion_right=sum(champion),
        challenger_right=sum(challenger),
        only_champion=only_champion,
        only_challenger=only_challenger,
        p_value=p_value,
        verdict=_verdict(only_challenger - only_champion, only_champion + only_challenger, p_value),
    )


def by_class(
    answered: Sequence[Answered], *, champion_knows: Collection[str], challenger_knows: Collection[str]
) -> tuple[ClassHeadToHead, ...]:
    """Both on the images of each class, by name; p-values corrected for the number of classes.

    Where an image may have several labels, on each label's presence or absence on all images.
    """
    labels = sorted({label for one in answered for label in ((one.label,) if one.each is None else one.each[0])})
    alone = [head_to_head(_of_label(answered, label)) for label in labels]
    corrected = holm([one.p_value for one in alone])
    return tuple(
        ClassHeadToHead(
            label=label,
            known_to_champion=label in champion_knows,
            known_to_challenger=label in challenger_knows,
            **{
                **one.model_dump(),
                "p_value": p_value,
                "verdict": _verdict(one.gain, one.only_champion + one.only_challenger, p_value),
            },
        )
        for label, one, p_value in zip(labels, alone, corrected, strict=True)
    )


def _of_label(answered: Sequence[Answered], label: str) -> list[Answered]:
    """The images that say something of one label: those of the class, or all, with whether it is there."""
    found = []
    for one in answered:
        if one.each is not None:
            truth, champion, challenger = ("present" if label in labels else "absent" for labels in one.each)
            found.append(Answered(truth, champion=champion, challenger=challenger))
        elif one.label == label:
            found.append(one)
    return found


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values, corrected for how many there are; in their own order."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, p_values[place] * (len(p_values) - rank)))
        corrected[place] = highest
    return corrected


def _verdict(gain: int, differing: int, p_value: float) -> Verdict:
    if differing == 0:
        return "same"
    if p_value >= LEVEL or gain == 0:
        return "unsure"
    return "better" if gain > 0 else "worse"


def headline(overall: HeadToHead, *, left_out: int) -> str:
    """The whole comparison in one sentence."""
    if overall.images == 0:
        return (
            f"The two cannot be compared: the champion learned from all {left_out} test images of the challenger. "
            "Train both with the same test share and seed."
        )
    new, old, count = overall.challenger_right, overall.champion_right, overall.images
    where = f"of {count} images that neither saw in training"
    chance = f"McNemar p = {overall.p_value:.2g}"
    if overall.verdict == "better":
        return f"The challenger is better: right on {new} {where}, the champion on {old} ({chance})."
    if overall.verdict == "worse":
        return f"The challenger is worse: right on {new} {where}, the champion on {old} ({chance}). Keep the champion."
    if new == old:
        return f"Both are right on {new} {where}; nothing tells them apart."
    more = "more" if new > old else "fewer"
    return (
        f"The challenger is right on {abs(new - old)} {more} {where} ({new} against {old}); with so few images that "
        f"may be chance ({chance})."
    )


def classes_in_words(classes: Sequence[ClassHeadToHead]) -> str:
    """Where they differ, class by class: what is sure first."""
    sure = [one for one in classes if one.verdict in ("better", "worse")]
    unsure = [one for one in classes if one.verdict == "unsure"]
    lines = []
    if better := _named(one for one in sure if one.gain > 0):
        lines.append(f"Surely better on {better}.")
    if worse := _named(one for one in sure if one.gain < 0):
        lines.append(f"Surely worse on {worse}.")
    if better := _named(one for one in unsure if one.gain > 0):
        lines.append(f"Better on {better}; too few images to be sure.")
    if worse := _named(one for one in unsure if one.gain < 0):
        lines.append(f"Worse on {worse}; too few images to be sure.")
    # A line each: a class may be called anything, and no name holds the end of a line.
    return "\n".join(lines) or "No class tells them apart."


def _named(classes: Iterable[ClassHeadToHead]) -> str:
    ordered = sorted(classes, key=lambda one: (-abs(one.gain), one.label))
    words = [f"{one.label} {one.gain:+d}" for one in ordered[:MOST_NAMED]]
    if len(ordered) > MOST_NAMED:
        words.append(f"... ({len(ordered)})")
    return ", ".join(words)
