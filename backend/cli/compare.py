"""`sightglass compare`: two saved models on test images that neither has learned from."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from backend.cli.console import answers, messages, print_json, read_settings
from backend.cli.following import following
from backend.contracts import ModelComparison

VERDICTS = {"better": "better", "worse": "worse", "same": "the same", "unsure": "too few images to be sure"}


def compare(
    champion: Annotated[str, typer.Argument(metavar="CHAMPION", help="The model before: a folder, or its id.")],
    challenger: Annotated[str, typer.Argument(metavar="CHALLENGER", help="The model that may replace it.")],
    *,
    champion_data: Annotated[
        str | None, typer.Option("--champion-data", help="Its dataset; none: the one of its run or of the service.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="The challenger's dataset; none: the one of its run or of the service.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Show progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Say whether a new model is better than the one before, overall and class by class."""
    settings = read_settings()
    from backend.workflows.compare_models import compare_rivals
    from backend.workflows.rivals_on_disk import find_rival

    old = find_rival(champion, data=champion_data or data, settings=settings)
    new = find_rival(challenger, data=data, settings=settings)
    with following(messages(), shown=follow) as control:
        outcome = compare_rivals(new, old, settings=settings, control=control)
    if as_json:
        print_json(outcome.model_dump(mode="json"))
        return
    report(outcome)


def report(outcome: ModelComparison) -> None:
    console = answers()
    table = Table("Class", "Images", "Champion right", "Challenger right", "p", "Verdict")
    for one in outcome.classes:
        counts = map(str, (one.images, one.champion_right, one.challenger_right))
        table.add_row(one.label, *counts, f"{one.p_value:.2g}", VERDICTS[one.verdict])
    console.print(table)
    for line in (outcome.headline, outcome.by_class, *(f"Note: {note}" for note in outcome.notes)):
        console.print(line, markup=False)
