"""`sightglass table`: train on a CSV or Parquet file, and answer for one, without a service."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from backend.cli.console import answers, messages, print_json, read_settings
from backend.cli.following import following
from backend.contracts.table import TableResults

table = typer.Typer(
    name="table", help="Tables: train on a CSV or Parquet file, and answer for one.", no_args_is_help=True
)


@table.command("train")
def train_table(
    data: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV or Parquet file.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The column to predict.")],
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder for the model and its results.")] = Path("table_run"),
    task: Annotated[
        str | None, typer.Option("--task", help="classification or regression; unset: told from it.")
    ] = None,
    time_budget_s: Annotated[float, typer.Option("--time-budget", help="Seconds for the comparison.")] = 60.0,
    model: Annotated[list[str] | None, typer.Option("--model", help="Only this model; may be given again.")] = None,
    exclude: Annotated[list[str] | None, typer.Option("--exclude", help="Leave a column out; may be repeated.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Decides the division of rows.")] = 42,
    follow: Annotated[bool, typer.Option("--follow", help="Show progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Compare models on a table and keep the best one."""
    settings = read_settings()
    from backend.workflows.tables_on_disk import train_on_file

    options = {"target": target, "task": task, "time_budget_s": time_budget_s, "seed": seed, "exclude": exclude or ()}
    options |= {"models": model or None}
    with following(messages(), shown=follow) as control:
        results, folder = train_on_file(data, options, out=out, settings=settings, control=control)
    if as_json:
        print_json(results.model_dump(mode="json"))
        return
    report(results, folder)


@table.command("predict")
def predict_table(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model's folder, or the run's.")],
    data: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV or Parquet file with rows to answer.")],
    *,
    output: Annotated[Path, typer.Option("--output", help="The CSV to write.")] = Path("answers.csv"),
) -> None:
    """Answer for every row of a file."""
    settings = read_settings()
    from backend.workflows.tables_on_disk import answer_file

    count = answer_file(model, data, into=output, settings=settings)
    answers().print(f"{count:,} rows answered: {output}", markup=False)


def report(results: TableResults, folder: Path) -> None:
    console = answers()
    board = Table("Rank", "Model", "Status", results.metric, "95%", "Seconds", "What was tried")
    for row in results.leaderboard:
        interval = "" if row.score_ci95 is None else f"{row.score_ci95[0]:.3f} to {row.score_ci95[1]:.3f}"
        board.add_row(
            "" if row.rank is None else str(row.rank),
            row.name,
            row.status,
            "" if row.score is None else f"{row.score:.3f}",
            interval,
            "" if row.train_seconds is None else f"{row.train_seconds:.1f}",
            row.reason or row.tried or "",
        )
    console.print(board)
    test = results.test
    console.print(
        f"{results.best_model}: {results.metric} {test.score:.3f} on {test.rows} rows held out "
        f"({test.score_ci95[0]:.3f} to {test.score_ci95[1]:.3f} with 95% confidence); "
        f"without looking {test.baseline:.3f}.",
        markup=False,
    )
    for note in results.notes:
        console.print(f"Note: {note}", markup=False)
    console.print(f"Model: {folder}", markup=False)


def models_of_tables(found: Iterable[dict[str, Any]]) -> Table:
    """Models of a service's tables as rows, in the order given."""
    table = Table(box=None, pad_edge=False)
    for name in ("model", "state", "predicts", "by", "score", "95%", "table"):
        table.add_column(name, overflow="fold", justify="right" if name == "score" else "left")
    for model in found:
        low, high = model["score_ci95"]
        score = f"{model['score']:.3f} {model['metric']}"
        names = escape(model["target"]), escape(model["name"])
        table.add_row(model["model_id"], model["state"], *names, score, f"{low:.3f}-{high:.3f}", model["dataset_id"])
    return table


def card_of_table(card: dict[str, Any]) -> list[str]:
    """A model of a table in lines: what it predicts, from what, how well."""
    low, high = card["score_ci95"]
    lines = [
        f"{card['model_id']}: {card['name']}, {card['state']}",
        f"predicts  {card['target']} of table {card['dataset_id']}",
        f"test      {card['metric']} {card['score']:.3f} on rows held out ({low:.3f} to {high:.3f})",
        f"columns   {', '.join(column['name'] for column in card['columns'])}",
        *(f"member    {member['title']} ({100 * member['weight']:.0f}%)" for member in card["members"]),
        f"made      {card['created_at'][:16].replace('T', ' ')} by job {card['job_id'] or 'none'}",
    ]
    back = card.get("rollback_to")
    return [*lines, f"rollback  brings back {back}"] if back else lines
