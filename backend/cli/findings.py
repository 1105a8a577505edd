"""What a run found out beyond its scores, as lines of text. Takes the JSON of the API; it computes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backend.cli.tables import number, percent

Plain = Mapping[str, Any]
FIRST_SUSPECTS = 5
HARDLY = 0.05  # a temperature this near 1 moves a confidence of 80% by about a point


def lines(results: Plain, *, paths: Mapping[str, str]) -> Iterator[str]:
    """Ensemble, classes, confidence, copies, features, learning curve, suspect labels.

    `paths` says where an image lies.
    """
    members = results["best_model"].get("members")
    if members:
        named = ", ".join(f"{member['name']} ({100 * member['weight']:.0f}%)" for member in members)
        yield f"Answer together: {named}. An answer takes as long as all of them."
    if results.get("imbalance"):
        yield from _imbalance(results["imbalance"])
    if results.get("calibration"):
        yield _confidence(results["calibration"])
    if results.get("leak"):
        yield _copies(results["leak"])
    if results.get("features"):
        yield _features(results["features"])
    if results.get("learning_curve"):
        points = results["learning_curve"]
        several = points[0].get("mean_average_precision") is not None
        score = "mean_average_precision" if several else "accuracy"
        curve = ", ".join(f"{percent(point[score])} with {point['train_images']}" for point in points)
        advice = results.get("learning_curve_advice")
        name = score.replace("_", " ")
        yield f"Learning curve, cross-validated {name} by training images: {curve}.{f' {advice}' if advice else ''}"
    yield from _suspects(results.get("suspect_labels") or (), paths)


def _imbalance(found: Plain) -> Iterator[str]:
    if not (found["balanced"] or found["ranked_by"] != "accuracy" or not found["automatic"]):
        return  # even classes need no words
    alike = "every class" if found["balanced"] else "every image"
    ranked = {"macro_f1": "macro-F1"}.get(found["ranked_by"], found["ranked_by"].replace("_", " "))
    change = " Change it by --class-balance and --rank-by." if found["automatic"] else ""
    yield (
        f"The largest class has {number(found['ratio'])} times the images of the smallest: {alike} counted alike in "
        f"training, {ranked} ranked the networks.{change}"
    )


def _confidence(found: Plain) -> str:
    judged = f"judged by {found['images']} images that it had not learned from"
    if abs(found["temperature"] - 1.0) <= HARDLY:
        return f"Confidence: needed hardly any correction, {judged}: calibration error {percent(found['ece_after'])}."
    change = "lowered" if found["temperature"] > 1.0 else "raised"
    losses = f"log-loss {found['log_loss_before']:.3f} to {found['log_loss_after']:.3f}"
    errors = f"calibration error {percent(found['ece_before'])} to {percent(found['ece_after'])}"
    return f"Confidence: {change} to what holds, {judged}: {errors}, {losses}."


def _features(use: Plain) -> str:
    """What was reused of earlier runs."""
    images, at_hand = use["images"], use["at_hand"]
    counted = f", an image counted once for each of {use['networks']} networks" if use["networks"] > 1 else ""
    if not at_hand:
        return f"Features: those of {images:,} images were computed in this run{counted}; the next run reads them."
    return (
        f"Features: {at_hand:,} of {images:,} images were known from earlier runs and were not computed again{counted}."
    )


def _copies(leak: Plain) -> str:
    """What copies between training and test do to the score, or would have done."""
    own, chance = leak.get("own"), leak.get("by_chance")
    if own:
        return (
            f"Copies: {own['leaked']} of {own['test_images']} test images have a copy among the images learned from: "
            f"the folders of your upload put them there.{_with_and_without(own)}"
        )
    kept = (
        f"Copies: {leak['images']} images have an equal or nearly equal one. They were kept on one side, so they do "
        "not flatter the score."
    )
    if not chance:
        return kept
    would = f"{chance['leaked']} of {chance['test_images']} test images would have had a copy in training"
    return f"{kept} Divided by chance, {would}.{_with_and_without(chance)}"


def _with_and_without(found: Plain) -> str:
    if found.get("accuracy") is None or found.get("accuracy_without") is None:
        return ""
    return f" Right on {percent(found['accuracy'])} with these images, on {percent(found['accuracy_without'])} without."


def _suspects(suspects: Sequence[Plain], paths: Mapping[str, str]) -> Iterator[str]:
    """How many, and the likeliest; the rest stands in the results."""
    if not suspects:
        return
    count = len(suspects)
    labels = "One label may not fit its picture" if count == 1 else f"{count} labels may not fit their pictures"
    yield f"{labels}; nothing was changed. The likeliest mistakes:"
    for one in suspects[:FIRST_SUSPECTS]:
        place = paths.get(one["image_id"], one["image_id"])
        labelled = one["label"] or "nothing"
        if one.get("kind"):
            yield f"  {place}: {one['doubted']} seems {one['kind']} ({percent(one['confidence'])}), labelled {labelled}"
            continue
        yield f"  {place}: labelled {labelled}, looks like {one['suggested']} ({percent(one['confidence'])})"
    if len(suspects) > FIRST_SUSPECTS:
        yield f"  and {len(suspects) - FIRST_SUSPECTS} more in suspect_labels of results.json"
