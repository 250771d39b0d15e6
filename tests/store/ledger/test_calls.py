"""Single calls from the ledger."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.store.ledger.calls import costs, of_request, page
from gateway.store.ledger.tables import attempt, open_engine
from tests.support.ledgers import databases


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    for url in databases(request.param, tmp_path):
        engine = open_engine(url, None)
        rows = [
            {
                "id": f"a{n}", "at": 1e9 + n // 2, "request_id": f"r{n % 3}", "client": f"key_{n % 2}", "project": "blue",
                "model": "m", "surface": "chat", "reserved": "[]", "micros": 10 if n else None, "outcome": "ok",
            }
            for n in range(6)
        ]  # fmt: skip
        with engine.begin() as connection:
            connection.execute(attempt.insert(), rows)
        yield engine
        engine.dispose()


def test_calls_are_read_page_by_page_newest_first(engine: Any) -> None:
    first, place = page(engine, 0, 2e9, {}, 4)
    second, end = page(engine, 0, 2e9, {}, 4, place)

    assert [call.id for call in (*first, *second)] == ["a5", "a4", "a3", "a2", "a1", "a0"]
    assert end is None
    assert [call.id for call in page(engine, 0, 2e9, {"client": ["key_1"]}, 9)[0]] == ["a5", "a3", "a1"]
    assert page(engine, 0, 2e9, {"model": ["other"]}, 9) == ([], None)
    assert [call.id for call in page(engine, 1e9 + 2, 2e9, {}, 9)[0]] == ["a5", "a4"]


def test_calls_and_costs_of_a_request(engine: Any) -> None:
    assert [call.id for call in of_request(engine, "r0", 0, 2e9)] == ["a0", "a3"]
    assert of_request(engine, "r0", 2e9, 3e9) == []
    assert costs(engine, ["r0", "r1", "none"], 0, 2e9) == {"r0": 10, "r1": 20}
