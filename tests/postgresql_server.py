"""A PostgreSQL server of our own for the tests: in a temporary folder, on a free port, gone at the end."""

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

import psycopg

from tests.ports import free_port

USER = "sightglass"  # let in as it is, so that a test's second door needs no more than the address it sees
GUARDED_USER = "guarded"
ODD_PASSWORD = "p@ss/w:rd%"  # what an address must have encoded


def binaries():
    """The folder of PostgreSQL's programs; Debian keeps the server's out of PATH. None where it is not installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return folders[-1].parent if folders else None


def unprivileged():
    """PostgreSQL refuses to run as root: then it runs as somebody else."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise RuntimeError("run as root, and there is nobody to run PostgreSQL as")


class PostgresServer:
    """One server; `create_database` gives a fresh database, copied from one that is migrated already."""

    def __init__(self, programs):
        self._programs = programs
        self._identity = unprivileged()
        # not pytest's own folder: that is closed to other users
        self._folder = Path(tempfile.mkdtemp(prefix="sightglass-postgresql-"))
        if self._identity:
            os.chown(self._folder, self._identity["user"], self._identity["group"])
        self.port = free_port()  # none that the system hands out: initdb takes seconds, and tests stop the server
        options = ["--encoding=UTF8", "--no-locale", "--no-sync", "--auth=trust", f"--username={USER}"]
        self._run("initdb", *options, "-D", str(self._folder / "data"))
        access = self._folder / "data" / "pg_hba.conf"
        access.write_text(f"host all {GUARDED_USER} 127.0.0.1/32 scram-sha-256\n{access.read_text()}")
        self.start()
        self._do(f"CREATE ROLE {GUARDED_USER} SUPERUSER LOGIN PASSWORD '{ODD_PASSWORD}'")
        self._template = None

    def start(self):
        # no flush to the disk: nothing here outlives the tests. A small server in an odd time zone, to find who relies on it.
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self._folder} -c fsync=off -c full_page_writes=off "
            "-c shared_buffers=16MB -c timezone=Asia/Kathmandu"
        )
        log = str(self._folder / "log")
        self._run("pg_ctl", "start", "-w", "-D", str(self._folder / "data"), "-l", log, "-o", options)

    def stop(self):
        self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(self._folder / "data"))

    def remove(self):
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database):
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def guarded(self, url, *, password=ODD_PASSWORD):
        """The same database through the user whose password is asked for."""
        return url.replace(f"{USER}@", f"{GUARDED_USER}:{quote(password, safe='')}@")

    def empty_database(self):
        name = f"t{secrets.token_hex(6)}"
        self._do(f"CREATE DATABASE {name}")
        return self.url(name)

    def create_database(self):
        """The address of a fresh, migrated database."""
        from backend.storage.database import Database

        if self._template is None:
            address = self.empty_database()
            database = Database(address)
            database.migrate()
            database.close()
            self._template = address.rpartition("/")[2]
        name = f"t{secrets.token_hex(6)}"
        self._do(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return self.url(name)

    def drop(self, url):
        self._do(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    def _do(self, statement):
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def _run(self, program, *arguments):
        subprocess.run(
            [str(self._programs / program), *arguments],
            check=True,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=120,
            **self._identity,
        )
