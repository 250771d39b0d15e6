"""The gateway's own source, for tests that compare it with a table."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.paths import ROOT


def sources() -> Iterator[tuple[Path, ast.Module]]:
    """Yield the modules of the gateway; the emulator is Google's side, and the table itself proves nothing."""
    for path in (ROOT / "gateway").rglob("*.py"):
        if "emulator" not in path.parts and path.name != "headers.py":
            yield path, ast.parse(path.read_text("utf-8"))
