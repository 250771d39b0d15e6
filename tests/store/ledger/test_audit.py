"""Changes by operators in the ledger's database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.store.ledger.audit import AuditEntry, add, page
from gateway.store.ledger.tables import open_engine
from tests.support.ledgers import databases


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield from databases(request.param, tmp_path)


def test_entries_are_read_page_by_page_newest_first(url: str) -> None:
    engine = open_engine(url, None)
    for number in range(5):
        add(engine, AuditEntry(1e9 + number // 2, "ada", "cookie", "key.issue", f"key_{number}", "x" * 900))
    first, place = page(engine, 2)
    second, place = page(engine, 2, place)
    last, end = page(engine, 2, place)
    engine.dispose()

    assert [entry.at for entry in (*first, *second, *last)] == [1e9 + 2, 1e9 + 1, 1e9 + 1, 1e9, 1e9]
    assert {entry.target for entry in (*first, *second, *last)} == {f"key_{number}" for number in range(5)}
    assert len(first[0].detail) == 400
    assert end is None
