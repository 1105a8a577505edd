"""The model card: one HTML file that says what a model is, what it learned from, how good it is and where it is not.

After Mitchell et al. 2019, "Model Cards for Model Reporting". Everything that comes from a person's data is escaped by
`card_page`; the file runs nothing and fetches nothing. Where the results of the training are not at hand, the card says
what the model's own folder knows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backend import __version__
from backend.contracts import ModelInfo, Results
from backend.engine.model_folder import REFERENCE_FILE
from backend.engine.reference import Reference
from backend.errors import InputError
from backend.inference.exporters import card_words as words
from backend.inference.exporters.card_page import (
    bullets,
    facts,
    page,
    paragraph,
    section,
    table,
    text,
)
from backend.inference.exporters.card_scores import Scores, class_by_class, how_good, mistakes_of, scores_of
from backend.inference.exporters.licences import weights_in_words
from backend.inference.exporters.request import Subject

CARD_FILE = "card.html"


def write_card(folder: Path, subject: Subject) -> None:
    """Write `card.html` into an empty folder."""
    (folder / CARD_FILE).write_text(card_of(subject), encoding="utf-8")


def card_of(subject: Subject) -> str:
    """The whole page."""
    info, results = subject.info, subject.around.results
    scores = scores_of(info, results)
    body = (
        f"<header>{_title(info)}{paragraph(_answer(info, scores), kind='lead')}</header>\n",
        _what(info),
        _use(info),
        _data(subject),
        _training(info, results),
        how_good(subject, scores),
        class_by_class(scores),
        mistakes_of(scores),
        _confidence(results),
        _unknown(subject),
        _remarks(results),
        _environment(info, results),
        f"<footer>{paragraph(f'Written by Sightglass {__version__} from the record of the training.')}</footer>",
    )
    return page(f"Model card: {info.name} ({info.model_id})", body)


def _title(info: ModelInfo) -> str:
    return f"<h1>Model card: {text(info.name)}</h1>"


def _answer(info: ModelInfo, scores: Scores) -> str:
    what = "It gets all labels right on" if info.task == "multilabel" else "It is right on"
    bounds = scores.test.accuracy_ci95 if scores.test else None
    sure = f" ({words.interval(bounds)} with 95% confidence)" if bounds else ""
    return f"{what} {words.percent(info.accuracy)} of test pictures that it never saw{sure}."


def _what(info: ModelInfo) -> str:
    members = ", ".join(f"{member.name} ({member.weight:.0%})" for member in info.members)
    several = "any number of labels for each picture" if info.task == "multilabel" else "one class for each picture"
    how = info.preprocessing
    rows: list[tuple[str, object]] = [
        ("Model", info.model_id),
        ("Answers with", f"{several}, out of {len(info.class_names)}"),
        ("Network", members or info.name),
        ("Architecture in timm", ", ".join(member.timm_name for member in info.members) or info.timm_name),
        ("Parameters", f"{info.parameters:,}" if info.parameters else ""),
        ("Size", f"{info.size_mb:.1f} MB" if info.size_mb else ""),
        ("Sees pictures as", f"{how.width} x {how.height} pixels, {how.resize}, {how.interpolation}"),
        ("Made", info.created_at),
    ]
    return section("What it is", facts(rows), paragraph(how.reason))


LIMITS = """
It answers with one of its own names whatever it is shown; see what it does not know.
It was measured on pictures of the same dataset. Pictures from elsewhere may be answered worse; try a few hundred of
your own, with known answers, before you rely on it.
It is not fit to decide alone about people's safety, health, rights or access. It was not examined for fairness between
groups of people.
A heat map shows where a network looked, not why it answered so.
"""


def _use(info: ModelInfo) -> str:
    known = "labels" if info.task == "multilabel" else "classes"
    meant = (
        "It is meant for pictures like those of its dataset: same subjects, similar camera, light and framing, and the "
        f"{len(info.class_names)} {known} below."
    )
    return section("What it is for, and what not", bullets((meant, *_sentences(LIMITS))))


def _sentences(lines: str) -> list[str]:
    """One entry for each line that begins a sentence; other lines go on with the one before."""
    return lines.strip().replace("\nIt ", "\0It ").replace("\nA ", "\0A ").replace("\n", " ").split("\0")


def _data(subject: Subject) -> str:
    info, results, dataset = subject.info, subject.around.results, subject.around.dataset()
    rows: list[tuple[str, object]] = [
        ("Name", dataset.name if dataset else ""),
        ("Dataset", info.dataset_id),
        ("Version", info.dataset_version),
        ("Digest", info.dataset_digest),
    ]
    if results is not None:
        split = results.split
        total = split.train + split.val + split.test
        rows += [
            ("Pictures", f"{total:,}"),
            ("Training / validation / test", f"{split.train:,} / {split.val:,} / {split.test:,}"),
            ("Divided", f"{split.strategy}; seed {split.seed}"),
            ("Kept together by", split.grouped_by),
        ]
        leak = results.leak
        if leak is not None:
            rows.append(("Copies", f"{leak.images} pictures have an equal or nearly equal one in the dataset"))
    counts = sorted(dataset.class_counts.items(), key=lambda pair: -pair[1]) if dataset else []
    return section(
        "What it learned from",
        facts(rows),
        table(("Class", "Pictures in the dataset"), counts) if counts else "",
        paragraph("The networks were compared on validation; the test pictures were read once, at the end."),
    )


def _training(info: ModelInfo, results: Results | None) -> str:
    how = {
        "probe": "The network's features stayed as they were; a linear head was fitted to them.",
        "finetune": "The network was trained further on these pictures.",
        "ensemble": "Several networks were trained; their probabilities are averaged.",
    }.get(info.strategy, "")
    rows: list[tuple[str, object]] = [("Starting weights", weights_in_words(info))]
    if results is not None:
        tried = [row.name for row in results.leaderboard if row.status == "ok"]
        chosen = {name: value for name, value in results.recipe.items() if name in SHOWN_OPTIONS and value}
        best = next((row for row in results.leaderboard if row.rank == 1), None)
        rows += [
            ("Compared", ", ".join(tried)),
            ("What was tried", best.tried if best else ""),
            ("Asked for", ", ".join(f"{name} {value}" for name, value in chosen.items())),
            ("Took", f"{results.total_seconds:.0f} s"),
        ]
    return section("How it was trained", paragraph(how), facts(rows))


SHOWN_OPTIONS = ("strategy", "preset", "num_epochs", "batch_size", "test_size", "time_budget_s", "seed", "overrides")


def _confidence(results: Results | None) -> str:
    found = results.calibration if results else None
    if found is None:
        return ""
    return section(
        "What its confidence is worth",
        facts(
            (
                ("Temperature", f"{found.temperature:.3f}, folded into the saved head"),
                ("Judged by", f"{found.images} pictures that it had not learned from"),
                (
                    "Calibration error",
                    f"{words.percent(found.ece_before)} before, {words.percent(found.ece_after)} after",
                ),
                ("Log-loss", f"{found.log_loss_before:.3f} before, {found.log_loss_after:.3f} after"),
            )
        ),
    )


def _unknown(subject: Subject) -> str:
    path = subject.folder / REFERENCE_FILE
    try:
        reference = Reference.load(path) if path.is_file() else None
    except InputError:
        reference = None
    if reference is None:
        return section(
            "What it does not know", paragraph("It cannot tell pictures that are unlike its training images.")
        )
    said = (
        f"A picture is called unfamiliar where its mean distance to the {reference.neighbours} nearest of "
        f"{len(reference.image_ids):,} training images, in the network's features, is above {reference.threshold:.3f} "
        "(cosine distance, 0 to 2). The threshold was set on validation pictures. The service says so with every "
        "answer; the scripts of the bundle do not."
    )
    return section("What it does not know", paragraph(said))


def _remarks(results: Results | None) -> str:
    if results is None:
        return ""
    suspects = len(results.suspect_labels)
    doubts = f"{suspects} labels of the dataset may not fit their pictures; nothing was changed." if suspects else ""
    return section("Remarks of the training", bullets((*results.notes, doubts, results.learning_curve_advice or "")))


def _environment(info: ModelInfo, results: Results | None) -> str:
    machine: dict[str, Any] = results.environment if results else {}
    rows: list[tuple[str, object]] = [
        (name.replace("_", " ").capitalize(), value)
        for name, value in machine.items()
        if isinstance(value, str | int | float | bool)
    ]
    return section("Environment", facts(rows), table(("Library", "Version"), sorted(info.versions.items())))
