"""What was typed at `sightglass train` becomes a recipe's options, and a run in this process. It prints nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.cli.console import messages
from backend.cli.following import following
from backend.config import Settings
from backend.contracts import Results
from backend.errors import InputError

PRESET = "preset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Where the data is, where everything goes, and who trains. `shown`: whether progress is."""

    archive: Path
    out: Path
    settings: Settings
    server: str | None
    shown: bool

    @property
    def at_service(self) -> bool:
        return bool(self.server or self.settings.api_url)


def combined(texts: list[str], *, flags: dict[str, Any], config: Path | None) -> dict[str, Any]:
    """A configuration file's options, and above them the flags and every KEY=VALUE.

    Raises:
        InputError, RecipeError: as `workflows.configure`; or a flag and a KEY=VALUE disagree.
    """
    if not texts and config is None:
        return flags
    from backend.workflows.configure import above, options_of, read_config

    typed = options_of(with_preset(texts, flags))
    said = joined(flags, typed)
    return said if config is None else above(read_config(config), said)


def plan_sweep(texts: list[str], *, flags: dict[str, Any], config: Path | None) -> list[tuple[dict[str, str], Any]]:
    """For each run of a sweep what is swept, as it was written, and its options.

    Raises:
        InputError, RecipeError: as `combined`; or nothing is swept.
    """
    from backend.workflows.configure import above, read_config, sweep_of

    below = None if config is None else read_config(config)
    planned = [(swept, joined(flags, typed)) for swept, typed in sweep_of(with_preset(texts, flags))]
    return planned if below is None else [(swept, above(below, said)) for swept, said in planned]


def with_preset(texts: list[str], flags: dict[str, Any]) -> list[str]:
    """A preset that came as a flag is composed like one that was typed."""
    if PRESET not in flags or any(text.lstrip("+").startswith(f"{PRESET}=") for text in texts):
        return texts
    return [f"{PRESET}={flags[PRESET]}", *texts]


def joined(flags: dict[str, Any], typed: dict[str, Any]) -> dict[str, Any]:
    """Flags and what was typed, together.

    Raises:
        InputError: both say one thing, and not the same.
    """
    for name, value in typed.items():
        if name in flags and flags[name] != value:
            flag = name.replace("_", "-")
            raise InputError(f"'{name}={value}' and the flag for {flag} ({flags[name]}) disagree: say it once.")
    return {**flags, **typed}


def train_here(
    archive: Path, options: dict[str, Any], *, out: Path, settings: Settings, shown: bool
) -> tuple[Results, Path]:
    """Train in this process."""
    from backend.workflows.train_images import train_archive

    with following(messages(), shown=shown) as control:
        return train_archive(archive, options, out=out, settings=settings, control=control)
