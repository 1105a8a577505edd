"""`sightglass ui`: the browser half alone, for an API that runs elsewhere."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from backend.cli.console import answers
from backend.cli.processes import ROOT, ui_command
from backend.errors import InputError


def ui(
    *,
    api: Annotated[
        str | None, typer.Option(help="Address of the API; none: SIGHTGLASS_API_URL, else this machine.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Whoever reaches it can use the API behind it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the browser half.")] = 8501,
) -> None:
    """Start the browser half; SIGHTGLASS_API_KEY is the key that it shows to the API."""
    if api is not None and not api.startswith(("http://", "https://")):
        raise InputError(f"'{api}' is no address of an API; write it as http://host:8000.")
    answers().print(f"Sightglass   http://{host}:{port}")
    os.chdir(ROOT)  # Streamlit reads .streamlit/config.toml from the folder it is started in
    command = ui_command(host=host, port=port)
    # The process becomes Streamlit: a container's TERM then reaches it, and nobody stands between.
    os.execve(command[0], command, {**os.environ, **({"SIGHTGLASS_API_URL": api} if api else {})})  # noqa: S606
