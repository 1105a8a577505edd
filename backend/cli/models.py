"""`sightglass models` and `audit`: the registry of a running service. Each asks the service and prints."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from backend.cli.console import answers, print_json, read_settings
from backend.cli.jobs import Server
from backend.cli.service import Service, service_at
from backend.cli.table import card_of_table, models_of_tables
from backend.cli.tables import number, percent

Plain = dict[str, Any]
ADDRESSES = ("/api/cv", "/api/tabular")
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="Id of the model, as 'sightglass models list' has it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]

models = typer.Typer(
    name="models", help="The models of a running service: look, promote, roll back, put aside, delete."
)


@models.command("list")
def list_models(
    *,
    dataset: Annotated[str | None, typer.Option(help="Only models of this dataset.")] = None,
    state: Annotated[str | None, typer.Option(help="Only candidate, promoted or archived ones.")] = None,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """List models of pictures and of tables: score, dataset, state; newest last, next to the prompt."""
    wanted = {"dataset_id": dataset, "state": state}
    with service_at(server, read_settings()) as service:
        params = {name: value for name, value in wanted.items() if value is not None}
        found, of_tables = (service.json("GET", f"{address}/models", params=params) for address in ADDRESSES)
    if as_json:
        print_json([*found, *of_tables])
    elif not found and not of_tables:
        answers().print("No model." if any(wanted.values()) else "No model yet; 'sightglass train' makes one.")
    if as_json:
        return
    if found:
        answers().print(_table(reversed(found)))
    if of_tables:
        answers().print(models_of_tables(reversed(of_tables)))


@models.command("show")
def show_model(model: ModelName, *, server: Server = None, as_json: AsJson = False) -> None:
    """Show one model: scores, split, members, and whether what comes in is still what it was tested on."""
    with service_at(server, read_settings()) as service:
        address = _address(service, model)
        card = service.json("GET", f"{address}/models/{model}")
        if address != ADDRESSES[0]:
            if as_json:
                print_json(card)
            for line in () if as_json else card_of_table(card):
                answers().print(line, markup=False)
            return
        drift = service.json("GET", f"/api/cv/models/{model}/drift")
    if as_json:
        print_json({**card, "drift": drift})
        return
    for line in _card(card, drift):
        answers().print(line, markup=False)


@models.command("promote")
def promote_model(model: ModelName, *, server: Server = None) -> None:
    """Make a model its dataset's choice and the default of POST /predict."""
    _change(model, "promote", server, "{model_id} answers for {dataset_id} and POST /predict now.")


@models.command("rollback")
def roll_back_model(model: ModelName, *, server: Server = None) -> None:
    """Take back the promotion of a model: the one promoted before it answers again. A dataset's id names its model."""
    _change(model, "rollback", server, "{model_id} answers for {dataset_id} again.")


@models.command("archive")
def archive_model(model: ModelName, *, server: Server = None) -> None:
    """Put a model aside: only its own id stands for it from then on."""
    _change(model, "archive", server, "{model_id} is archived; it answers by its own id alone.")


@models.command("restore")
def restore_model(model: ModelName, *, server: Server = None) -> None:
    """Take an archived model back among the candidates."""
    _change(model, "restore", server, "{model_id} is a {state}.")


@models.command("delete")
def delete_model(
    model: ModelName,
    *,
    server: Server = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a model with its files and results, for good."""
    if not yes:
        typer.confirm(f"Delete {model} with its files and results, for good?", abort=True)
    with service_at(server, read_settings()) as service:
        service.send("DELETE", f"{_address(service, model)}/models/{model}")
    answers().print(f"{model} is gone.", markup=False)


def audit(
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many entries at most.")] = 50,
    before: Annotated[int | None, typer.Option(min=1, help="Only entries before the one with this number.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only entries about this dataset, job or model.")] = None,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Say who trained, promoted, deleted what at a running service, when and from where; newest last."""
    wanted = {"limit": limit, "before": before, "subject": subject}
    with service_at(server, read_settings()) as service:
        page = service.json("GET", "/api/audit", params={name: one for name, one in wanted.items() if one is not None})
    if as_json:
        print_json(page)
        return
    if not page["entries"]:
        answers().print("Nothing has been written down.")
        return
    answers().print(_trail(page["entries"]))
    if page["next_before"] is not None:
        answers().print(f"There is more: --before {page['next_before']}", markup=False)


def _change(model: str, verb: str, server: str | None, said: str) -> None:
    with service_at(server, read_settings()) as service:
        changed = service.json("POST", f"{_address(service, model)}/models/{model}/{verb}")
    if "target" in changed:
        said = said.replace(" and POST /predict", "")
    answers().print(said.format(**changed), markup=False)


def _address(service: Service, model: str) -> str:
    """Where models of this one's kind are: of tables if it is among them, else of pictures, which say what is wrong."""
    of_tables = service.json("GET", f"{ADDRESSES[1]}/models")
    return ADDRESSES[1] if any(one["model_id"] == model for one in of_tables) else ADDRESSES[0]


def _table(found: Any) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("model", "state", "network", "test", "95%", "F1", "dataset", "MB", "made"):
        table.add_column(name, overflow="fold", justify="right" if name in ("test", "F1", "MB") else "left")
    for model in found:
        table.add_row(
            model["model_id"],
            model["state"],
            escape(_name(model)),
            percent(model["accuracy"]),
            _interval(model["metrics"].get("test")),
            number(model["macro_f1"], "{:.3f}"),
            f"{model['dataset_id']} v{model['dataset_version']}",
            number(model["size_mb"]),
            model["created_at"][:10],
        )
    return table


def _name(model: Plain) -> str:
    members = model.get("members") or ()
    return f"{len(members)} networks together" if members else str(model["name"])


def _interval(test: Plain | None) -> str:
    if not test:
        return ""
    low, high = test["accuracy_ci95"]
    return f"{100 * low:.0f}-{100 * high:.0f}%"


def _minute(stamp: str) -> str:
    return stamp[:16].replace("T", " ")


def _card(card: Plain, drift: Plain) -> list[str]:
    """A model in lines: what it is, how well it does, what has become of what comes in."""
    split = card.get("split")
    state = card["state"]
    if state == "promoted":
        state += f" since {_minute(card['promoted_at'])}{_by(card['promoted_by'])}"
    lines = [
        f"{card['model_id']}: {_name(card)}, {state}",
        f"dataset   {card.get('dataset_name') or 'deleted'} ({card['dataset_id']}), version {card['dataset_version']}",
        f"job       {card['job_id'] or 'none'}{_by(card['trained_by'])}",
        f"test      {percent(card['accuracy'])} right ({_interval(card.get('test'))}), macro F1 {card['macro_f1']:.3f}",
        f"classes   {', '.join(card['class_names'])}",
        f"size      {card['size_mb']:.1f} MB, {card['parameters'] / 1e6:.1f} M parameters",
        f"made      {_minute(card['created_at'])}",
    ]
    if split:
        lines.append(f"split     {split['train']} train, {split['val']} validation, {split['test']} test images")
    members = card.get("members") or ()
    lines.extend(f"member    {member['name']} ({100 * member['weight']:.0f}%)" for member in members)
    if card.get("rollback_to"):
        lines.append(f"rollback  brings back {card['rollback_to']}")
    parts = [drift["headline"], *(drift[name]["words"] for name in ("labels", "confidence", "unfamiliar"))]
    lines.append(f"drift     {drift['predictions']} predictions since {drift['since']}. {' '.join(parts)}")
    return lines


def _by(actor: str | None) -> str:
    return f" by {actor}" if actor else ""


def _trail(entries: list[Plain]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("no.", "when", "who", "what", "on", "detail", "from", "request"):
        table.add_column(name, overflow="fold")
    for entry in reversed(entries):
        words = [entry[name] for name in ("actor", "action", "subject", "detail", "address", "request_id")]
        table.add_row(str(entry["entry_id"]), _minute(entry["created_at"]), *map(escape, words))
    return table
