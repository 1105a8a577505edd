"""The list of commands, and what becomes of their errors: one sentence and exit code 2, never a traceback."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

import backend
from backend.cli.compare import compare
from backend.cli.console import BAD_INPUT, FAILED, INTERRUPTED, answers, complain
from backend.cli.dataset import dataset
from backend.cli.demo import demo
from backend.cli.doctor import doctor
from backend.cli.evaluate import evaluate
from backend.cli.export import export
from backend.cli.importing import import_data
from backend.cli.insights import insights
from backend.cli.jobs import cancel, follow, jobs
from backend.cli.models import audit, models
from backend.cli.predict import predict
from backend.cli.serve import serve
from backend.cli.table import table
from backend.cli.train import train
from backend.cli.ui import ui
from backend.cli.worker import worker
from backend.errors import SightglassError
from backend.execution.interpreter import QuickExit, collect_rarely
from backend.execution.native import prepare_native_libraries

COMMANDS: list[Callable[..., None]] = [
    train,
    evaluate,
    compare,
    predict,
    export,
    insights,
    import_data,
    jobs,
    follow,
    cancel,
    audit,
    serve,
    worker,
    ui,
    doctor,
    demo,
]
GROUPS: list[typer.Typer] = [dataset, models, table]

app = typer.Typer(
    name="sightglass",
    help="A ZIP of pictures in, several networks compared, a model that you own out.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in COMMANDS:
    app.command()(command)
for group in GROUPS:
    app.add_typer(group)


@app.callback(invoke_without_command=True)
def version(
    context: typer.Context,
    *,
    show: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if show:
        answers().print(backend.__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        answers().print(context.get_help(), markup=False)


def run(arguments: list[str]) -> int:
    """Run one command line; returns the exit code: 0, 1 (the service's fault), 2 (bad input) or 130 (interrupted)."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        return int(app(arguments, prog_name="sightglass", standalone_mode=False) or 0)
    except SightglassError as error:
        complain(error.detail)
        return BAD_INPUT if error.status < 500 else FAILED
    except TyperException as error:
        complain(f"{_sentence(error.format_message())} 'sightglass --help' lists what there is.")
    except OSError as error:  # a folder that cannot be written, a full disk
        complain(f"{error.filename or 'The file system'}: {error.strerror or error}.")
    except (Abort, KeyboardInterrupt):
        complain("Stopped.")
        return INTERRUPTED
    return BAD_INPUT


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def main() -> None:
    """Console entry point."""
    end = QuickExit()
    end.arm()
    collect_rarely()
    prepare_native_libraries()
    end.code = run(sys.argv[1:])
    sys.exit(end.code)
