"""The database of the file store: schema and queries. One connection, which one thread at a time uses."""

from collections.abc import Collection, Sequence
from pathlib import Path

from gateway.policy.clients.kept_files import FileCopy, FileLimits, Page, StoredFile, Upload
from gateway.store.sqlite_database import Run, SqliteDatabase

VERSION = 1
_SCHEMA = (
    """CREATE TABLE file (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, scope TEXT NOT NULL,
       size INTEGER NOT NULL, sha256 TEXT NOT NULL, filename TEXT NOT NULL, mime_type TEXT NOT NULL,
       purpose TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER)""",
    "CREATE INDEX file_scope ON file (scope, number)",
    """CREATE TABLE copy (file TEXT NOT NULL, project TEXT NOT NULL, name TEXT NOT NULL, uri TEXT NOT NULL,
       expires REAL NOT NULL, active INTEGER NOT NULL, PRIMARY KEY (file, project))""",
    """CREATE TABLE upload (id TEXT PRIMARY KEY, scope TEXT NOT NULL, size INTEGER NOT NULL, filename TEXT NOT NULL,
       mime_type TEXT NOT NULL, purpose TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
       status TEXT NOT NULL, lifetime INTEGER, file TEXT)""",
    "CREATE INDEX upload_scope ON upload (scope)",
    "CREATE TABLE part (id TEXT PRIMARY KEY, upload TEXT NOT NULL, size INTEGER NOT NULL)",
    "CREATE INDEX part_upload ON part (upload)",
)
_FILE = "number, id, scope, size, sha256, filename, mime_type, purpose, created_at, expires_at"
_UPLOAD = "id, scope, size, filename, mime_type, purpose, created_at, expires_at, status, lifetime, file"
_LIVE = "(expires_at IS NULL OR expires_at > ?)"


class FileDatabase(SqliteDatabase):
    """Rows of files, copies, uploads and parts. All methods block. They may be called from any thread."""

    def __init__(self, path: Path) -> None:
        """Open or create the database. Raises sqlite3.Error, OSError, and ValueError for a newer gateway's."""
        super().__init__(path, _SCHEMA, VERSION)

    def files(self, scope: str, ids: Collection[str], now: float) -> list[StoredFile]:
        """Return those of a client's files that exist."""
        marks = ",".join("?" * len(ids))
        rows = self.query(
            f"SELECT {_FILE} FROM file WHERE scope = ? AND id IN ({marks}) AND {_LIVE}",  # noqa: S608
            scope, *ids, now,
        )  # fmt: skip
        return [StoredFile(*row) for row in rows]

    def page(self, scope: str, page: Page, now: float) -> list[StoredFile]:
        """Return a client's files."""
        sign, order = (">", "ASC") if page.up else ("<", "DESC")
        rows = self.query(
            f"SELECT {_FILE} FROM file WHERE scope = ? AND {_LIVE} AND (? IS NULL OR purpose = ?) "  # noqa: S608
            f"AND (? IS NULL OR number {sign} ?) ORDER BY number {order} LIMIT ?",
            scope, now, page.purpose, page.purpose, page.beyond, page.beyond, page.limit,
        )  # fmt: skip
        return [StoredFile(*row) for row in rows]

    def copies(self, file: str) -> list[FileCopy]:
        """Return the copies of a file."""
        rows = self.query("SELECT project, name, uri, expires, active FROM copy WHERE file = ?", file)
        return [FileCopy(row[0], row[1], row[2], row[3], bool(row[4])) for row in rows]

    def upload(self, scope: str, upload: str) -> Upload | None:
        """Return a client's upload, or None."""
        rows = self.query(f"SELECT {_UPLOAD} FROM upload WHERE scope = ? AND id = ?", scope, upload)  # noqa: S608
        return Upload(*rows[0]) if rows else None

    def parts(self, upload: str) -> dict[str, int]:
        """Return the sizes of an upload's parts by their ids."""
        return dict(self.query("SELECT id, size FROM part WHERE upload = ?", upload))


def insert_file(run: Run, row: Sequence[object]) -> int:
    """Insert a file, whose columns follow its number. Return the number."""
    marks = ",".join("?" * len(row))
    columns = _FILE.partition(", ")[2]
    rows = run(f"INSERT INTO file ({columns}) VALUES ({marks}) RETURNING number", *row)  # noqa: S608
    number: int = rows[0][0]
    return number


def check_room(run: Run, scope: str, size: int, limits: FileLimits, now: float, *, more: int = 1) -> str:
    """Return why a client may not store `size` more bytes in `more` more files; "" if it may."""
    count, total = run(
        "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM file WHERE scope = ? "
        "AND (expires_at IS NULL OR expires_at > ?)",
        scope, now,
    )[0]  # fmt: skip
    pending, parts = run(
        "SELECT COUNT(DISTINCT upload.id), COALESCE(SUM(part.size), 0) FROM upload LEFT JOIN part "
        "ON part.upload = upload.id WHERE scope = ? AND status = 'pending' AND expires_at > ?",
        scope, now,
    )[0]  # fmt: skip
    if total + parts + size > limits.total:
        return f"The files of this API key would be larger than {limits.total} bytes together. Delete some first."
    if more and count + pending + more > limits.count:
        return f"This API key has {limits.count} files, and may have no more. Delete some first."
    return ""
