"""The ledger's tables, for SQLite and PostgreSQL alike, and the steps from one version of them to the next."""

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

import sqlalchemy as sa

VERSION = 2
"""Of the tables."""
_BUSY = 2.0
"""Seconds that the writer waits for another process."""

metadata = sa.MetaData()

attempt = sa.Table(
    "attempt",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("client", sa.String(40), nullable=False),
    sa.Column("project", sa.String(40), nullable=False),
    sa.Column("model", sa.String(128), nullable=False),
    sa.Column("surface", sa.String(40), nullable=False),
    sa.Column("reserved", sa.Text, nullable=False),
    # settled
    sa.Column("ended", sa.Float),
    sa.Column("outcome", sa.String(16)),
    sa.Column("status", sa.Integer),
    *(
        sa.Column(name, sa.BigInteger)
        for name in (
            "prompt", "cached", "tool_use", "completion", "thoughts", "prompt_image", "prompt_video", "prompt_audio",
            "completion_image", "completion_audio", "searches", "micros", "first_byte_ms", "duration_ms",
        )
    ),
    sa.Column("price", sa.String(32)),
    sa.Column("exact", sa.Boolean),
    sa.Index("attempt_at", "at"),
    sa.Index("attempt_client_at", "client", "at"),
)  # fmt: skip
"""One row for each upstream call. `reserved` is JSON: `[[unit, period, start, n]]`, set aside in those budgets."""

client_key = sa.Table(
    "client_key",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("expires", sa.Float),
    sa.Column("revoked", sa.Float),
    sa.Column("rules", sa.Text, nullable=False),
)
"""Keys that the gateway issued: their SHA-256, never themselves."""

budget = sa.Table(
    "budget",
    metadata,
    sa.Column("client", sa.String(40), primary_key=True),
    sa.Column("unit", sa.String(8), primary_key=True),
    sa.Column("period", sa.String(8), primary_key=True),
    sa.Column("start", sa.Float, primary_key=True),
    sa.Column("spent", sa.BigInteger, nullable=False),
    sa.Column("reserved", sa.BigInteger, nullable=False),
)

about = sa.Table(
    "ledger",
    metadata,
    sa.Column("name", sa.String(20), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)
"""`version` of these tables; `revision`, which each change of a client key raises."""

_STEPS: Mapping[int, tuple[str, ...]] = {1: ("ALTER TABLE attempt ADD COLUMN searches BIGINT",)}
"""SQL that brings version n to n + 1."""


def engine(url: str, password: str | None) -> sa.Engine:
    """Connections to a database, tables made or brought up to date. Raises ValueError, sqlalchemy's and OS errors."""
    if url.startswith(("postgresql://", "postgres://")):
        target = sa.make_url(url).set(drivername="postgresql+psycopg")
        if password is not None:
            target = target.set(password=password)
        made = sa.create_engine(
            target, pool_size=2, max_overflow=2, pool_pre_ping=True, connect_args={"connect_timeout": 5}
        )
    else:
        made = _sqlite(Path(url))
    try:
        _prepare(made)
    except BaseException:
        made.dispose()
        raise
    return made


def _sqlite(path: Path) -> sa.Engine:
    """A file of ours alone from its first byte; one that is corrupt is moved aside (robustness.md P18)."""
    with suppress(FileExistsError):
        _create(path)
    if _corrupt(path):
        for suffix in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                os.replace(f"{path}{suffix}", f"{path}.corrupt{suffix}")
        _create(path)
    made = sa.create_engine(f"sqlite:///{path.absolute()}", connect_args={"timeout": _BUSY})

    @sa.event.listens_for(made, "connect")
    def _connected(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # BEGIN is ours to say: sqlite3's own comes too late
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

    @sa.event.listens_for(made, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return made


def _create(path: Path) -> None:
    """An empty file for its owner alone; made by root it belongs to whom the folder does: the service."""
    file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        if os.geteuid() == 0:
            folder = path.absolute().parent.stat()
            os.fchown(file, folder.st_uid, folder.st_gid)
    finally:
        os.close(file)


def _corrupt(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path, timeout=_BUSY)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok")
    except sqlite3.DatabaseError as error:
        # exactly this class is "not a database" and "malformed"; subclasses are locks, space and permissions
        return type(error) is sqlite3.DatabaseError


def _prepare(made: sa.Engine) -> None:
    with made.begin() as connection:
        known = sa.inspect(connection).get_table_names()
        if "ledger" not in known:
            if "attempt" in known or "client_key" in known:
                raise ValueError("this is another program's database; name another in ledger.url")
            metadata.create_all(connection)
            connection.execute(
                about.insert(), [{"name": "version", "value": VERSION}, {"name": "revision", "value": 0}]
            )
            return
        # locked, so that of two machines that start at once only one changes the tables
        asked = sa.select(about.c.value).where(about.c.name == "version").with_for_update()
        version = connection.execute(asked).scalar_one()
        if version > VERSION:
            raise ValueError(
                f"the ledger was written by a newer gateway: its tables are version {version}, this one knows {VERSION}"
            )
        for step in range(version, VERSION):
            for statement in _STEPS[step]:
                connection.execute(sa.text(statement))
        connection.execute(about.update().where(about.c.name == "version").values(value=VERSION))
