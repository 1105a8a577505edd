"""Addresses of databases and stores: read, checked, and said without their secrets. It opens none of them."""

from __future__ import annotations

from urllib.parse import quote, quote_plus, urlsplit

from sqlalchemy import URL
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from backend.errors import UnavailableError

HIDDEN = "***"
DATABASE_EXAMPLES = "sqlite:////var/lib/sightglass/sightglass.db or postgresql+psycopg://user:password@host/name"
# What people write, and the driver that is installed with Sightglass.
POSTGRESQL_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
DRIVERS = ("sqlite", "sqlite+pysqlite", "postgresql+psycopg")


def database_address(text: str) -> URL:
    """Read a database's address.

    Raises:
        UnavailableError: it is none that can be used; the message never repeats it, as it may hold a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:  # the error's own text may quote a part of the password
        raise UnavailableError(
            f"SIGHTGLASS_DATABASE_URL cannot be read as an address. Needed is one such as {DATABASE_EXAMPLES}."
        ) from error
    url = url.set(drivername=POSTGRESQL_DRIVERS.get(url.drivername, url.drivername))
    if url.drivername not in DRIVERS:
        raise UnavailableError(
            f"SIGHTGLASS_DATABASE_URL cannot be used: '{url.drivername}' is no database that Sightglass works with. "
            f"Needed is an address such as {DATABASE_EXAMPLES}."
        )
    if "@" in (url.host or ""):
        raise UnavailableError(
            "SIGHTGLASS_DATABASE_URL has an '@' too many: inside a user's name or a password write %40 for it."
        )
    return url


def without_secrets(text: str, url: URL) -> str:
    """The text with the password of that address taken out, in each way of writing it."""
    password = url.password
    if not password:
        return text
    for form in (password, quote(password, safe=""), quote_plus(password)):
        text = text.replace(form, HIDDEN)
    return text


def store_name(url: str) -> str:
    """A store's address fit for messages: without user, password and options."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}".rstrip("/")
