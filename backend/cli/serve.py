"""`sightglass serve`: API and worker, with `--ui` the browser half too. Ctrl-C stops everything."""

from __future__ import annotations

from typing import Annotated

import typer

from backend.cli.console import FAILED, answers, complain, read_settings
from backend.cli.processes import ROOT, Processes, backend_command, reachable, ui_command
from backend.config import Settings
from backend.errors import InputError
from backend.execution.pools import check_executor


def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on; none: SIGHTGLASS_HOST.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the API; none: SIGHTGLASS_PORT.")] = None,
    ui: Annotated[bool, typer.Option("--ui", help="Start the browser half too.")] = False,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Only the API; `sightglass worker` runs elsewhere.")
    ] = False,
    ui_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the browser half.")] = 8501,
) -> None:
    """Start API and worker, or the API alone; with --ui the browser half too."""
    from backend.main import check_exposure  # FastAPI and all routes: half a second that `train` need not wait

    settings = read_settings()
    host, port = host or settings.host, port or settings.port
    check_exposure(settings.model_copy(update={"host": host}))  # here, where it is one sentence and exit code 2
    if not no_worker:
        check_executor(settings)
    if ui:
        _check_own_key(settings)
    api, browser = f"http://{reachable(host)}:{port}", f"http://{reachable(host)}:{ui_port}"
    console = answers()
    with Processes() as processes:
        try:
            processes.start("API", backend_command(host=host, port=port, no_worker=no_worker))
            if ui:
                # Streamlit reads .streamlit/config.toml from the folder it is started in.
                command = ui_command(host=host, port=ui_port)
                processes.start("browser half", command, env=_for_the_page(api), cwd=ROOT)
            processes.wait_for(f"{api}/health")
            if ui:
                processes.wait_for(f"{browser}/_stcore/health")
                console.print(f"Sightglass   {browser}")
            console.print(f"API          {api}   (reference: {api}/docs)\nCtrl-C stops everything.")
            processes.wait()
        except KeyboardInterrupt:
            console.print("Stopping.")
            return
        complain(f"{processes.ended()} ended; stopping the rest.")
    raise typer.Exit(FAILED)


def _check_own_key(settings: Settings) -> None:
    """Refuse to start a browser half that could not talk to the API.

    Raises:
        InputError: keys are asked for, and the one that the browser half would send is none of them.
    """
    from backend.api.security import Keys

    keys = Keys(settings.api_keys)
    if keys and keys.name_of((settings.api_key or "").encode()) is None:
        raise InputError(
            "The browser half needs a key: set SIGHTGLASS_API_KEY to one of SIGHTGLASS_API_KEYS, without its name. "
            "Whoever reaches the page works with that key."
        )


def _for_the_page(api: str) -> dict[str, str]:
    """The browser half's environment: its own key and no others."""
    return {"SIGHTGLASS_API_URL": api, "SIGHTGLASS_API_KEYS": ""}
