"""SQLite files that the configuration names, for backups and checks, and what it keeps elsewhere."""

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from gateway.config.sections import GatewayConfig
from gateway.errors import scrub
from gateway.server.stores import first_line, ledger_url, state_file, without_password
from gateway.store.backup.archive import StoreFile
from gateway.store.state_folder import state_path
from gateway.store.state_stores import KINDS, POOL
from gateway.store.versions import LEDGER_VERSION, STATE_VERSION, way_back

_PLUGIN = re.compile(r"\.(plugin-[A-Za-z0-9_-]+)")
"""Follows the name of `state.file` in that of a plugin's store."""
_SIDE_FILE = re.compile(r"-(wal|shm|journal)$")


def store_files(
    config: GatewayConfig, environ: Mapping[str, str], others: Iterable[str] = ()
) -> list[StoreFile]:
    """Return the SQLite files of the ledger and of state, whether or not they exist yet.

    No configuration lists the stores of plugins. They are those that exist, and those among `others`, the stores of a
    backup.
    """
    files = []
    url = ledger_url(config, environ)
    if url is not None and "://" not in url:
        files.append(StoreFile("ledger", "issued keys, budgets and usage", Path(url), LEDGER_VERSION))
    base = state_file(config, environ)
    if base is None:
        return files
    for kind in KINDS if config.state.redis is None else (POOL,):
        path = base.with_name(base.name + kind.file_suffix)
        files.append(StoreFile(kind.name, kind.noun, path, STATE_VERSION))
    if config.state.redis is None:
        suffixes = {path.name[len(base.name) :] for path in base.parent.glob(f"{base.name}.plugin-*")}
        files += _plugin_files(base, suffixes | {f".{name}" for name in others})
    return files


def _plugin_files(base: Path, suffixes: Iterable[str]) -> Iterator[StoreFile]:
    """Yield the stores of plugins with some ends of the name of `state.file`."""
    for suffix in sorted(suffixes):
        match = _PLUGIN.fullmatch(suffix)
        if match is not None and not _SIDE_FILE.search(suffix):
            name = match[1].removeprefix("plugin-")
            path = base.with_name(base.name + suffix)
            yield StoreFile(match[1], f"data of the plugin {name!r}", path, STATE_VERSION)


def kept_elsewhere(
    config: GatewayConfig, environ: Mapping[str, str], beside: Path | None = None
) -> list[str]:
    """Return a sentence for each store that is no SQLite file, with the command that copies it.

    `beside` is the folder of the YAML file.
    """
    notes = []
    url = ledger_url(config, environ)
    if url is not None and "://" in url:
        password, url = _password_for_shell(config, url, environ), without_password(url)
        notes.append(
            f"The ledger is in PostgreSQL. Copy it with: (umask 077; {password}pg_dump --format=custom "
            f"--file=\"/root/ledger-$(date +%F).dump\" '{url}') and back, while the gateway is stopped, with: "
            f"{password}pg_restore --clean --if-exists --single-transaction --no-owner --dbname='{url}' "
            "/root/ledger-DATE.dump"
        )
    state = "Thought signatures, stored responses, cached answers and owners of files"
    if config.state.redis is not None:
        notes.append(
            f"{state} are in Redis. Copy all of it, as a user that may use SYNC (its password in REDISCLI_AUTH), with: "
            f"redis-cli -u '{config.state.redis}' --rdb redis.rdb "
            "(back: stop Redis, put the file into its `dir` as `dbfilename`, start it)."
        )
    elif state_file(config, environ) is None:
        notes.append(f"{state} are in memory only: set state.file to keep them.")
    folders = state_path("plugins", environ)
    if folders.is_dir() and any(folders.iterdir()):
        notes.append(f"Files of plugins are in {folders}. Copy them with: cp -a {folders} FOLDER.")
    for name in ("files", "batches"):
        kept = state_path((config.plugins.get(name) or {}).get("path") or name, environ, beside)
        if name in config.plugins and (kept / f"{name}.db").exists():
            notes.append(
                f"{name.capitalize()} of clients are in {kept}. "
                f"Copy them while the gateway is stopped: cp -a {kept} FOLDER."
            )
    return notes


def _password_for_shell(config: GatewayConfig, url: str, environ: Mapping[str, str]) -> str:
    """Return the beginning of a shell's command line that gives libpq the ledger's password, without the password."""
    if config.ledger.password is None:
        return "" if without_password(url) == url else "PGPASSWORD=PASSWORD "
    kind, name = config.ledger.password.reference
    folder = environ.get("CREDENTIALS_DIRECTORY", "/etc/gateway/credentials")
    return f"PGPASSWORD=$(cat {folder}/{name}) " if kind == "credential" else f'PGPASSWORD="${name}" '


class StoreState(Struct, frozen=True):
    """A store, as a start of this gateway would find it."""

    name: str
    place: str
    """Path or URL."""
    version: int | None
    """Version of its schema; None if there is none yet."""
    supported: int
    fault: str = ""
    """Reason for which this gateway cannot use it."""
    kind: Literal["", "newer", "unreadable"] = ""

    def __str__(self) -> str:
        if self.fault:
            return self.fault
        if self.version is None:
            return f"{self.name}: {self.place} does not exist yet"
        after = f", which the start upgrades to {self.supported}" if self.version < self.supported else ""
        return f"{self.name}: {self.place} has version {self.version}{after}"


def file_states(config: GatewayConfig, environ: Mapping[str, str]) -> Iterator[StoreState]:
    """Yield the state of each SQLite file, without changing it."""
    for file in store_files(config, environ):
        place, name, supported = str(file.path), file.name, file.supported
        try:
            version = (file.version() or None) if file.path.exists() else None
        except (sqlite3.Error, OSError) as error:
            yield StoreState(name, place, None, supported, f"{place} cannot be read: {error}", "unreadable")
            continue
        if version is not None and version > supported:
            fault = (
                f"{place} was written by a newer gateway: its schema has version {version}, and this gateway supports "
                f"{supported}. {way_back(file.path, supported)}"
            )
            yield StoreState(name, place, version, supported, fault, "newer")
        else:
            yield StoreState(name, place, version, supported)


def postgresql_state(config: GatewayConfig, environ: Mapping[str, str]) -> StoreState | None:
    """Return the state of a ledger in PostgreSQL, without changing it, or None if it is not there."""
    url = ledger_url(config, environ)
    if url is None or "://" not in url:
        return None
    place = without_password(url)
    try:
        version = _postgresql_version(url, config)
    except Exception as error:  # noqa: BLE001 - psycopg's, or that it is not installed
        fault = f"the ledger in PostgreSQL cannot be read: {scrub(first_line(error))}"
        return StoreState("ledger", place, None, LEDGER_VERSION, fault, "unreadable")
    if version is not None and version > LEDGER_VERSION:
        fault = (
            f"the ledger in PostgreSQL was written by a newer gateway: its tables have version {version}, and this "
            f"gateway supports {LEDGER_VERSION}. Start the newer gateway again, or restore the dump of before the "
            "upgrade with pg_restore"
        )
        return StoreState("ledger", place, version, LEDGER_VERSION, fault, "newer")
    return StoreState("ledger", place, version, LEDGER_VERSION)


def _postgresql_version(url: str, config: GatewayConfig) -> int | None:
    import psycopg

    password = config.ledger.password
    secret = password.reveal() if password is not None else None
    with psycopg.connect(url, password=secret, connect_timeout=5) as connection:
        row = connection.execute("SELECT to_regclass('ledger')").fetchone()
        if row is None or row[0] is None:
            return None
        row = connection.execute("SELECT value FROM ledger WHERE name = 'version'").fetchone()
        return int(row[0]) if row is not None else None


def all_states(config: GatewayConfig) -> list[StoreState]:
    """Return the state of every SQLite file, and of a ledger in PostgreSQL."""
    states = list(file_states(config, os.environ))
    remote = postgresql_state(config, os.environ)
    return [remote, *states] if remote is not None else states
