"""Reports on issued keys: state, last use, and what is spent and left in each period."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.policy.clients.client_rules import Rules
from gateway.store.ledger import client_keys
from gateway.store.ledger.key_reports import as_json, encode, key_reports, money, usage_as_json
from gateway.store.ledger.reports import usage
from gateway.store.ledger.tables import attempt, budget, open_engine

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()
DAY, MONTH = (datetime(2026, 11, day, tzinfo=UTC).timestamp() for day in (26, 1))


def call(number: int, client: str, at: float, micros: int | None) -> dict[str, Any]:
    return {
        "id": str(number), "at": at, "request_id": "", "client": client, "project": "", "model": "gemini-x",
        "surface": "chat", "reserved": "", "micros": micros, "prompt": 3,
    }  # fmt: skip


@pytest.fixture
def engine(url: str) -> Any:
    opened = open_engine(url, None)
    yield opened
    opened.dispose()


def test_o15_what_is_spent_and_left_in_each_period(engine: sa.Engine) -> None:
    rules = Rules(dollars={"month": 0.0001}, tokens={"day": 100, "total": 50})
    key, _ = client_keys.issue(engine, "ada", rules, NOW - 9, None)
    other, _ = client_keys.issue(engine, "bob", Rules(), NOW - 8, None)
    with engine.begin() as connection:
        rows = [(DAY - 1, 20), (DAY + 5, 36), (MONTH - 1, 1000), (NOW - 60, None)]
        connection.execute(
            attempt.insert(), [call(i, key, at, micros) for i, (at, micros) in enumerate(rows)]
        )
        taken = [
            ("money", "month", MONTH, 56, 4),
            ("money", "month", MONTH - 9e6, 9, 9),
            ("tokens", "total", 0.0, 50, 0),
        ]
        connection.execute(
            budget.insert(),
            [
                {
                    "client": key,
                    "unit": unit,
                    "period": period,
                    "start": start,
                    "spent": spent,
                    "reserved": reserved,
                }
                for unit, period, start, spent, reserved in taken
            ],
        )
    newest, report = key_reports(engine, NOW)

    assert (newest.key.name, newest.state, newest.last_used, newest.month, newest.budgets) == (
        "bob",
        "active",
        None,
        0,
        [],
    )
    assert (report.state, report.last_used, report.day, report.month) == ("over budget", NOW - 60, 36, 56)
    assert [(b.budget.unit, b.budget.period, b.spent, b.reserved, b.left) for b in report.budgets] == [
        ("money", "month", 56, 4, 40), ("tokens", "day", 0, 0, 100), ("tokens", "total", 50, 0, 0),
    ]  # fmt: skip
    december, tomorrow = datetime(2026, 12, 1, tzinfo=UTC).timestamp(), DAY + 86400
    assert [b.resets for b in report.budgets] == [december, tomorrow, None]
    assert [entry.key.id for entry in key_reports(engine, NOW, [other])] == [other]


@pytest.mark.parametrize(
    ("expires", "revoked", "state"), [(None, None, "active"), (NOW, None, "expired"), (NOW, NOW, "revoked")]
)
def test_o15_the_state_of_a_key(
    engine: sa.Engine, expires: float | None, revoked: float | None, state: str
) -> None:
    key, _ = client_keys.issue(
        engine, "ada", Rules(tokens={"day": 0} if state != "active" else {}), 1, expires
    )
    if revoked is not None:
        client_keys.revoke(engine, key, revoked)

    assert key_reports(engine, NOW)[0].state == state


def test_o15_money_is_a_number_without_exponent(engine: sa.Engine) -> None:
    key, _ = client_keys.issue(engine, "ada", Rules(dollars={"day": 0.00005, "month": 20}), 1, None)
    with engine.begin() as connection:
        connection.execute(attempt.insert(), [call(1, key, NOW, 56)])
    text = encode(as_json(key_reports(engine, NOW)[0])).decode()

    assert '"dollars":{"day":0.000056,"month":0.000056}' in text
    assert '"rules":{"dollars":{"day":0.00005,"month":20}}' in text
    assert '"unit":"dollars","period":"day","limit":0.00005,"spent":0,"reserved":0,"left":0.00005' in text
    rows = usage_as_json(usage(engine, DAY, NOW + 1, ("model",), 86400, [key]))
    assert json.loads(encode(rows)) == [
        {
            "start": DAY, "model": "gemini-x", "calls": 1, "input_tokens": 3, "cached_tokens": 0, "output_tokens": 0,
            "searches": 0, "dollars": 0.000056,
        }
    ]  # fmt: skip
    assert [str(money(n)) for n in (1, 10, 20_000_000)] == ["0.000001", "0.00001", "20"]
