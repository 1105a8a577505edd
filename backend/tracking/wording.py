"""Words for a tracking store: parameters as flat text, addresses without secrets, failures as sentences."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

LONGEST_REASON = 600  # a failed request's message may hold a whole HTML page


def flatten(params: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Join nested keys with a dot and write values as text; lists become comma-separated, None is left out."""
    flat: dict[str, str] = {}
    for key, value in params.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{name}."))
        elif isinstance(value, (list, tuple)):
            flat[name] = ", ".join(map(str, value))
        elif value is not None:
            flat[name] = str(value)
    return flat


def without_password(uri: str) -> str:
    """The address without user name and password, fit for results, logs and error messages."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else uri


def explain_failure(error: Exception, *, uri: str) -> str:
    """Say which store failed and how; a password in the address never shows."""
    shown = without_password(uri)
    reason = (str(error) or type(error).__name__).replace(uri, shown)
    password = urlsplit(uri).password
    if password:
        reason = reason.replace(password, "***")
    cause = f"{type(error).__name__}: {reason[:LONGEST_REASON]}"
    return f"MLflow at {shown} did not take the run ({cause}). Training is not affected."
