"""`sightglass doctor`: what this machine has, and what is missing."""

from __future__ import annotations

from typing import Annotated

import typer

from backend.cli.console import FAILED, answers, print_json, read_settings

COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


def doctor(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="No training step; packages are not loaded.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Look at packages, devices, database, weights and disk, and try a training step. Exit code 1 where one fails."""
    settings = read_settings()
    from backend.workflows.diagnose import diagnose

    findings = diagnose(settings, quick=quick)
    if as_json:
        print_json([finding.model_dump(mode="json") for finding in findings])
    else:
        console = answers()
        for finding in findings:
            colour = COLOURS[finding.state]
            console.print(f"[{colour}]{finding.state:8}[/{colour}] {finding.subject}: ", end="")
            console.print(finding.detail, markup=False)
        problems = sum(finding.state == "problem" for finding in findings)
        warnings = sum(finding.state == "warning" for finding in findings)
        console.print(f"{problems} in the way, {warnings} to know of." if problems + warnings else "All is well.")
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(FAILED)
