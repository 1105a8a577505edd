"""Numbers and names as people read them, the same way on every screen. Knows nothing of layout."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime

from frontend import reader
from frontend.answers import BestModel, EnsembleMember, ModelAnswer
from frontend.i18n import has, t, written

_CODE = re.compile(r"(`[^`\n]*`)")
_SPECIAL = re.compile(r"([\\*_~$\[\]<>#:|])")
NOTHING = "–"


def plain(text: str) -> str:
    """Escape Markdown outside of `code spans`, so that `__MACOSX/$1.png` looks as it is called."""
    pieces = _CODE.split(text)
    return "".join(piece if index % 2 else _SPECIAL.sub(r"\\\1", piece) for index, piece in enumerate(pieces))


def percent(share: float | None, *, digits: int = 1) -> str:
    return NOTHING if share is None else t("format.percent", number=written(100 * share, f".{digits}f"))


def percents(low: float, high: float) -> str:
    """An interval of shares, with one sign for both."""
    return t("format.percent", number=f"{written(100 * low, '.1f')}–{written(100 * high, '.1f')}")


def whole(share: float) -> int:
    """A share as whole percent, as in '93 of 100'."""
    return round(100 * share)


def seconds(value: float | None) -> str:
    """A duration: 0.4 s, 42 s, 3 min 5 s, 10 min, 2 h 10 min."""
    if value is None:
        return NOTHING
    if value < 10:
        return f"{written(value, '.1f')} s"
    total = round(value)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return _in_two_units(total // 60, "min", total % 60, "s")
    return _in_two_units(total // 3600, "h", total % 3600 // 60, "min")


def _in_two_units(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit}" + (f" {small} {small_unit}" if small else "")


def milliseconds(value: float | None) -> str:
    """A short time; from 100 ms on, tenths say nothing."""
    return NOTHING if value is None else f"{written(value, '.1f' if value < 100 else '.0f')} ms"


def millions(count: int | None) -> str:
    return NOTHING if count is None else t("format.millions", number=written(count / 1e6, ",.1f"))


def megabytes(value: float | None) -> str:
    return NOTHING if value is None else f"{written(value, ',.1f')} MB"


def weights(kind: str | None, source: str | None) -> str:
    """Where a network's weights came from, in words."""
    if kind is None:
        return NOTHING
    if kind == "scratch":
        return t("weights.scratch")
    name = f"weights.{kind}.{source}"
    return t(name) if has(name) else t("weights.imagenet")


def model_name(model: BestModel | ModelAnswer) -> str:
    """A network's name, or how many answer together."""
    members = model.get("members")
    return t("model.ensemble", count=len(members)) if members else plain(model["name"])


def shares(members: Sequence[EnsembleMember]) -> str:
    """The networks of an ensemble, each with its say in the answer."""
    return ", ".join(f"{plain(member['name'])} ({percent(member['weight'], digits=0)})" for member in members)


def name_of(kind: str, value: str) -> str:
    """The text of a fixed word of the API (a state, a strategy), or the word itself where it is new."""
    key = f"{kind}.{value}"
    return t(key) if has(key) else value


def when(stamp: str | None) -> str:
    """An ISO 8601 time as date and minute, where the reader is."""
    return moment(stamp).strftime(t("format.moment")) if stamp else NOTHING


def moment(stamp: str) -> datetime:
    """An ISO 8601 time in the reader's time zone, or in the server's where the browser tells none."""
    time = datetime.fromisoformat(stamp)
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return aware.astimezone(reader.timezone())


def day(stamp: str) -> str:
    """An ISO 8601 date as the reader writes it."""
    return date.fromisoformat(stamp[:10]).strftime(t("format.day"))
