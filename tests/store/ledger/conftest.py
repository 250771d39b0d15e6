"""A database for each test of the ledger."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ledgers import databases


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Database of the ledger."""
    yield from databases(request.param, tmp_path)
