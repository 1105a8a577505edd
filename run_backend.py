"""Start the API and a worker beside it. Flags only; everything else is a SIGHTGLASS_* variable (backend/config.py)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from backend.cli.console import read_settings
from backend.errors import SightglassError
from backend.main import run_worker, serve


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C or TERM; returns the exit code, 2 where the settings do not allow a start."""
    flags = _parser().parse_args(arguments)
    chosen: dict[str, Any] = {
        name: getattr(flags, name) for name in ("host", "port", "data_dir") if getattr(flags, name) is not None
    }
    try:
        serve(read_settings(**chosen), reload=flags.reload, worker=None if flags.no_worker else run_worker)
    except SightglassError as error:
        sys.stderr.write(f"{error.detail}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", help="address to listen on; anything but loopback needs SIGHTGLASS_API_KEYS")
    parser.add_argument("--port", type=int, help="port to listen on")
    parser.add_argument("--data-dir", help="folder for datasets, models and databases")
    parser.add_argument("--no-worker", action="store_true", help="only the API; a worker runs elsewhere")
    parser.add_argument("--reload", action="store_true", help="for development: start again when the code changes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
