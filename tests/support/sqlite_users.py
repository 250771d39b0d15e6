"""Other processes that have a SQLite file open, as a gateway has: locks of one process say nothing to itself."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
for statement in sys.argv[2:]:
    connection.execute(statement)
print("open", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_open(path: Path, *statements: str) -> Iterator[None]:
    """Keep a database open in another process, which has run some statements on it and is idle."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path), *statements],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "open\n"
        try:
            yield
        finally:
            process.stdin.close()
