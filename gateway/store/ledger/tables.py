"""Tables of the ledger for SQLite and PostgreSQL, and the steps from each version to the next."""

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic, sleep

import sqlalchemy as sa

from gateway.store import sqlite_file
from gateway.store.versions import LEDGER_VERSION, keep_copy, schema_version, way_back

_RESTORE = (
    "Restore it from a backup (gateway restore FILE), or set `ledger.on_corrupt: fresh` to move it aside and "
    "begin without issued keys, budgets and usage."
)
_LOCK = 0x6761_7465
"""Advisory lock in PostgreSQL of a process that creates or upgrades the tables; the ASCII codes of `gate`."""
_FILLED = 2.0
"""Seconds in which another process that creates the file writes its tables."""

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
"""One row for each upstream call. `reserved` is JSON: `[[unit, period, start, amount]]`, by budget."""

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
    sa.Column("note", sa.String(200)),
    sa.Column("suspended", sa.Float),
    sa.Column("old_hash", sa.String(64)),
    sa.Column("old_until", sa.Float),
)
"""Issued keys, by their SHA-256; the keys themselves are not stored. `rules` is JSON.

After a rotation with a grace period, `old_hash` is that of the key before, which is valid until `old_until`.
"""

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
"""A client's spending and reservations in one period of a budget."""

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("who", sa.String(80), nullable=False),
    sa.Column("how", sa.String(8), nullable=False),
    sa.Column("what", sa.String(40), nullable=False),
    sa.Column("target", sa.String(80), nullable=False),
    sa.Column("detail", sa.String(400), nullable=False),
    sa.Index("audit_at", "at"),
)
"""Changes by operators: who, signed in how, changed what, on which key, project or file."""

BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0)
"""Upper bounds of the buckets of durations, in seconds; a bound belongs to its bucket."""
GROUPED = ("client", "project", "model", "surface", "outcome")
"""Columns by which calls are summed."""
SUMMED = (
    "calls", "prompt", "cached", "completion", "thoughts", "heard", "spoken", "searches", "micros", "failures",
    "estimated", *(f"{name}_{i}" for name in ("first_byte", "duration") for i in range(len(BOUNDS) + 1)),
)  # fmt: skip
"""Sums of calls; see `reports.Usage`."""

usage_sum = sa.Table(
    "usage_sum",
    metadata,
    sa.Column("span", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
    *(sa.Column(name, sa.String(128), primary_key=True) for name in GROUPED),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in SUMMED),
    sqlite_with_rowid=False,
)
"""Sums of the calls of an hour or a day, a row for each group; `store.ledger.sums`. No outcome is ""."""

about = sa.Table(
    "ledger",
    metadata,
    sa.Column("name", sa.String(20), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)
"""`version` of these tables, `revision`, which each change of an issued key raises, and how far calls are summed."""

_STEPS: Mapping[int, tuple[str, ...]] = {
    1: ("ALTER TABLE attempt ADD COLUMN searches BIGINT",),
    2: (
        "ALTER TABLE client_key ADD COLUMN note VARCHAR(200)",
        "ALTER TABLE client_key ADD COLUMN suspended FLOAT",
        "ALTER TABLE client_key ADD COLUMN old_hash VARCHAR(64)",
        "ALTER TABLE client_key ADD COLUMN old_until FLOAT",
        """CREATE TABLE audit (id VARCHAR(32) NOT NULL PRIMARY KEY, at FLOAT NOT NULL, who VARCHAR(80) NOT NULL,
        how VARCHAR(8) NOT NULL, what VARCHAR(40) NOT NULL, target VARCHAR(80) NOT NULL,
        detail VARCHAR(400) NOT NULL)""",
        "CREATE INDEX audit_at ON audit (at)",
    ),
    3: (
        "CREATE TABLE usage_sum (span INTEGER NOT NULL, start BIGINT NOT NULL, "
        + "".join(f"{name} VARCHAR(128) NOT NULL, " for name in GROUPED)
        + "".join(f"{name} BIGINT NOT NULL, " for name in SUMMED)
        + f"PRIMARY KEY (span, start, {', '.join(GROUPED)}))",
        "INSERT INTO ledger (name, value) VALUES ('summed', 0), ('summed_days', 0)",
    ),
}
"""SQL statements that turn version n into version n + 1."""


class CorruptLedger(Exception):
    """The SQLite file of the ledger is damaged. The text says how, in one line."""


def open_engine(
    url: str,
    password: str | None,
    on_replaced: Callable[[str], None] | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> sa.Engine:
    """Return an engine for a postgresql:// URL or a SQLite file. Tables are created or upgraded. Blocks.

    Before a SQLite file is upgraded, a copy is kept beside it, and `report` is called with its name. A corrupt file
    raises CorruptLedger. With `on_replaced`, it is moved aside, a new one is begun, and `on_replaced` is called with a
    message. Raises ValueError for a database of a newer gateway or of another program, and errors of SQLAlchemy, the
    driver and the operating system.
    """
    is_postgresql = url.startswith(("postgresql://", "postgres://"))
    engine = postgresql_engine(url, password) if is_postgresql else _sqlite(Path(url), on_replaced)
    try:
        if not is_postgresql:
            _copy_if_older(Path(url), report)
        with engine.begin() as connection:
            prepare(connection, report)
    except BaseException:
        engine.dispose()
        raise
    return engine


def postgresql_engine(url: str, password: str | None) -> sa.Engine:
    """Return an engine for a postgresql:// URL, not yet connected. The password replaces that of the URL."""
    address = sa.make_url(url).set(drivername="postgresql+psycopg")
    if password is not None:
        address = address.set(password=password)
    return sa.create_engine(
        address, pool_size=2, max_overflow=2, pool_pre_ping=True, connect_args={"connect_timeout": 5}
    )


def _sqlite(path: Path, on_replaced: Callable[[str], None] | None) -> sa.Engine:
    _ensure(path, on_replaced)

    def connect() -> sqlite3.Connection:
        connection = sqlite_file.connect(path)
        sqlite_file.use_wal(connection)
        return connection

    engine = sa.create_engine(f"sqlite:///{path.absolute()}", creator=connect)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # Reports read without a transaction: they would keep writers out for as long as they take.
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            # sqlite3's own BEGIN comes with the first write, too late
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _ensure(path: Path, on_replaced: Callable[[str], None] | None) -> None:
    """Create the file if there is none. Raises CorruptLedger, or replaces a corrupt file."""
    error: Exception | None = None
    if not sqlite_file.create(path):
        error = EOFError("the file is empty") if _is_left_empty(path) else sqlite_file.damage(path)
    if error is None:
        return
    reason = " ".join(str(error).split())
    if on_replaced is None:
        raise CorruptLedger(f"{path} is corrupt: {reason}. {_RESTORE}")
    sqlite_file.move_aside(path)
    sqlite_file.create(path)
    on_replaced(
        f"{path} was corrupt: {reason}. It is now {path.name}.corrupt, and an empty ledger was begun: all issued keys, "
        "budgets and usage are gone until it is restored."
    )


def _is_left_empty(path: Path) -> bool:
    """Return whether a file stays empty: a process that has just created it fills it at once."""
    end = monotonic() + _FILLED
    while path.stat().st_size == 0:
        if monotonic() > end:
            return True
        sleep(0.02)
    return False


def _copy_if_older(path: Path, report: Callable[[str], None]) -> None:
    """Keep a copy of a file that will be upgraded. No lock is held, so that a gateway that still serves can write."""
    version = schema_version(path, is_ledger=True)
    if 0 < version < LEDGER_VERSION:
        keep_copy(path, version, LEDGER_VERSION, report)


def prepare(connection: sa.Connection, report: Callable[[str], None]) -> None:
    """Create or upgrade the tables. Raises ValueError for a database of a newer gateway or of another program."""
    if connection.dialect.name == "postgresql":
        # machines that start at once create the tables one after another; a row cannot be locked before it exists
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    tables = sa.inspect(connection).get_table_names()
    if "ledger" not in tables:
        if "attempt" in tables or "client_key" in tables:
            raise ValueError("the database belongs to another program; set ledger.url to another one")
        metadata.create_all(connection)
        connection.execute(
            about.insert(),
            [{"name": "version", "value": LEDGER_VERSION}]
            + [{"name": name, "value": 0} for name in ("revision", "summed", "summed_days")],
        )
        return
    query = sa.select(about.c.value).where(about.c.name == "version")
    version = connection.execute(query).scalar_one()
    if version > LEDGER_VERSION:
        raise ValueError(_too_new(connection.engine.url, version))
    for step in range(version, LEDGER_VERSION):
        for statement in _STEPS[step]:
            connection.execute(sa.text(statement))
    if version < LEDGER_VERSION:
        connection.execute(about.update().where(about.c.name == "version").values(value=LEDGER_VERSION))
        if connection.dialect.name != "sqlite":
            report(f"the ledger in PostgreSQL was upgraded from version {version} to {LEDGER_VERSION}.")


def _too_new(url: sa.URL, version: int) -> str:
    """Return the message for a database of a newer gateway, with the way back."""
    remedy = "Start the newer gateway again, or restore the dump of before the upgrade with pg_restore"
    if url.database is not None and url.get_backend_name() == "sqlite":
        remedy = way_back(Path(url.database), LEDGER_VERSION)
    return (
        f"the ledger was written by a newer gateway: its tables have version {version}, "
        f"this gateway supports {LEDGER_VERSION}. {remedy}"
    )
