"""Budgets: never overspent, by whatever number of calls and processes."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec import structs
from sqlalchemy.dialects import postgresql

from gateway.errors import BudgetExceeded
from gateway.policy.clients.budgets import Budget
from gateway.policy.ledger import Intent
from gateway.store.ledger.budgets import charge, lock, release, reserve
from gateway.store.ledger.reports import spent
from gateway.store.ledger.statements import statements
from gateway.store.ledger.tables import attempt, budget, open_engine
from tests.support.ledgers import AT, CLIENT, OpenLedger, intent, settlement

TOTAL = Budget("tokens", "total", 1000)


def used(ledger: OpenLedger, *budgets: Budget, now: float = AT) -> list[tuple[int, int]]:
    """Return what is spent and reserved of each budget."""
    return spent(ledger.ledger.engine, CLIENT, budgets, now)


async def test_two_hundred_calls_of_two_processes_at_once_do_not_overspend(url: str) -> None:
    async with OpenLedger(url) as opened, OpenLedger(url) as other:
        ledgers = (opened.ledger, other.ledger)
        results = await asyncio.gather(
            *(ledgers[i % 2].begin(intent(i, TOTAL, reserve=100)) for i in range(200)), return_exceptions=True
        )
        admitted = [i for i, result in enumerate(results) if result is True]
        assert len(admitted) == 10
        assert {type(result) for result in results} == {bool, BudgetExceeded}
        assert used(opened, TOTAL) == [(0, 1000)]
        for i in admitted:
            await opened.ledger.settle(settlement(i, tokens=30))
        await opened.written()
        assert used(opened, TOTAL) == [(300, 0)]
        await other.ledger.begin(intent(500, TOTAL, reserve=700))
        with pytest.raises(BudgetExceeded):
            await other.ledger.begin(intent(501, TOTAL, reserve=1))


async def test_a_call_reserves_in_all_of_its_budgets_or_in_none(url: str) -> None:
    money = Budget("money", "day", 50)
    async with OpenLedger(url) as opened:
        with pytest.raises(BudgetExceeded, match="money budget"):
            await opened.ledger.begin(intent(1, TOTAL, money, reserve=60))
        assert used(opened, TOTAL, money) == [(0, 0), (0, 0)]
        await opened.ledger.begin(intent(2, TOTAL, money, reserve=50))
        await opened.ledger.begin(intent(3, money, reserve=50, at=AT + 86400))


@pytest.mark.parametrize(
    ("budget", "reserve", "limit", "left", "wanted"),
    [
        (Budget("tokens", "day", 1000), 700, "token budget (1000 tokens, day)", "300 tokens", "700 tokens"),
        (Budget("money", "month", 1_500_000), 10**6, "money budget (1.5 dollars, month)", "0.5 dollars", "1 dollars"),
    ],
)  # fmt: skip
async def test_the_message_says_what_is_left(
    url: str, budget: Budget, reserve: int, limit: str, left: str, wanted: str
) -> None:
    async with OpenLedger(url) as opened:
        await opened.ledger.begin(intent(1, budget, reserve=reserve))
        with pytest.raises(BudgetExceeded) as caught:
            await opened.ledger.begin(intent(2, budget, reserve=reserve))

    assert caught.value.message.startswith(
        f"You exceeded this API key's {limit}: {left} left, and this request may take {wanted}."
    )
    assert (caught.value.code, caught.value.should_retry) == ("insufficient_quota", False)


@pytest.mark.parametrize(("day", "admitted"), [(10_000, 10), (500, 5), (50, 0)])
async def test_calls_that_come_together_are_decided_as_if_they_came_one_by_one(
    url: str, day: int, admitted: int
) -> None:
    daily = Budget("tokens", "day", day)
    async with OpenLedger(url) as opened:
        begin = opened.ledger.begin
        results = await asyncio.gather(
            *(begin(intent(i, TOTAL, daily, reserve=100)) for i in range(20)), return_exceptions=True
        )
        going = [i for i, result in enumerate(results) if result is True]
        assert len(going) == admitted
        assert used(opened, TOTAL, daily) == [(0, 100 * admitted)] * 2
        await asyncio.gather(*(opened.ledger.settle(settlement(i, tokens=i)) for i in going))
        await opened.written()
        assert used(opened, TOTAL, daily) == [(sum(going), 0)] * 2


async def test_calls_before_and_after_midnight_use_different_budgets(url: str) -> None:
    daily = Budget("tokens", "day", 100)
    async with OpenLedger(url) as opened:
        results = await asyncio.gather(
            *(opened.ledger.begin(intent(i, daily, reserve=60, at=AT + i % 2 * 86400)) for i in range(4)),
            return_exceptions=True,
        )
        assert [type(result) for result in results].count(BudgetExceeded) == 2
        assert [used(opened, daily, now=now) for now in (AT, AT + 86400)] == [[(0, 60)], [(0, 60)]]


DAY, MONEY = Budget("tokens", "day", 500), Budget("money", "month", 2_000_000)
MIDNIGHT, FIRST = DAY.start(AT), MONEY.start(AT)


@pytest.fixture
def connection(url: str) -> Iterator[sa.Connection]:
    """A transaction of the ledger's database."""
    engine = open_engine(url, None)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def rows(connection: sa.Connection) -> dict[tuple[str, str, str, float], tuple[int, int]]:
    """Return what is spent and reserved, by client, unit, period and start."""
    return {tuple(row)[:4]: (row.spent, row.reserved) for row in connection.execute(sa.select(budget))}


def decided(connection: sa.Connection, *intents: Intent) -> dict[int, Any]:
    """Return the claims of each intent, or why it is refused, by its number."""
    reservations, refused = reserve(statements(connection), intents)
    claims: dict[int, Any] = {
        i: [tuple(claim) for claim in json.loads(reservation.text or "[]")]
        for i, reservation in enumerate(reservations)
    }
    return claims | {i: error.message for i, error in refused.items()}


def of_client(client: str, intent: Intent) -> Intent:
    return structs.replace(intent, client=client)


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_a_reservation_is_one_claim_in_each_budget(connection: sa.Connection, calls: int) -> None:
    """Whether a client's calls are reserved one by one or together."""
    both = [structs.replace(intent(i, DAY, MONEY), reserve_micros=70, reserve_tokens=8) for i in range(calls)]
    claims = [("tokens", "day", MIDNIGHT, 8), ("money", "month", FIRST, 70)]

    assert decided(connection, *both) == dict.fromkeys(range(calls), claims)
    assert rows(connection) == {
        (CLIENT, "tokens", "day", MIDNIGHT): (0, 8 * calls),
        (CLIENT, "money", "month", FIRST): (0, 70 * calls),
    }


def test_each_client_has_budgets_of_its_own(connection: sa.Connection) -> None:
    calls = [of_client(client, intent(i, DAY, reserve=200)) for i, client in enumerate("abaabc")]
    results = decided(connection, *calls, of_client("d", intent(6)))

    assert [type(results[i]) for i in range(7)] == [list, list, list, str, list, list, list]
    assert results[6] == []
    assert {key[0]: counts for key, counts in rows(connection).items()} == {
        "a": (0, 400), "b": (0, 400), "c": (0, 200)
    }  # fmt: skip


@pytest.mark.parametrize(("clients", "updates"), [("a", 2), ("aa", 2), ("aaa", 2), ("abaab", 4)])
def test_calls_of_a_client_that_fit_take_one_statement_for_each_budget(
    connection: sa.Connection, clients: str, updates: int
) -> None:
    texts: list[str] = []
    decided(connection, *(of_client(client, intent(0, DAY, MONEY)) for client in "ab"))
    if connection.dialect.name == "sqlite":
        connection.connection.dbapi_connection.set_trace_callback(texts.append)  # type: ignore[union-attr]
    else:
        sa.event.listen(connection, "before_cursor_execute", lambda _, __, text, *___: texts.append(text))
    decided(connection, *(of_client(client, intent(i, DAY, MONEY)) for i, client in enumerate(clients)))

    assert [text.split()[0] for text in texts] == ["UPDATE"] * updates


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize(("amount", "fits"), [(250, True), (251, False)])
def test_the_whole_of_a_budget_may_be_reserved(
    connection: sa.Connection, calls: int, amount: int, fits: bool
) -> None:
    decided(connection, intent(9, DAY, reserve=500 - calls * 250))
    results = decided(connection, *(intent(i, DAY, reserve=amount) for i in range(calls)))

    assert isinstance(results[calls - 1], list) is fits


def test_what_does_not_fit_leaves_the_other_budgets_as_they_were(connection: sa.Connection) -> None:
    first, second = (Budget("tokens", "total", 1000), Budget("tokens", "month", 900))
    decided(connection, intent(1, first, second, DAY, reserve=100))
    before = rows(connection)
    for calls in (1, 2):
        results = decided(connection, *(intent(i, first, second, DAY, reserve=450) for i in range(calls)))
        assert all("token budget (500 tokens, day): 400 tokens left" in text for text in results.values())
        assert rows(connection) == before


def test_a_refusal_says_what_is_left_and_what_to_do(connection: sa.Connection) -> None:
    spent_out, cheap = Budget("tokens", "total", 10), Budget("money", "day", 20)
    decided(connection, intent(1, spent_out, cheap, reserve=1))
    charge(statements(connection), CLIENT, ("tokens", "total", 0.0), -1, 25)
    refusal = decided(connection, intent(2, spent_out, reserve=1))[0]
    expensive = decided(connection, intent(3, cheap, reserve=3_400_000))[0]
    unused = decided(connection, of_client("new", intent(4, cheap, reserve=21)))[0]

    assert [refusal, expensive, unused] == [
        f"You exceeded this API key's {text}. Ask for less (a smaller max_tokens, fewer pictures, a shorter text), "
        "or ask the gateway's operator."
        for text in (
            "token budget (10 tokens, total): 0 tokens left, and this request may take 1 tokens",
            "money budget (0.00002 dollars, day): 0.000019 dollars left, and this request may take 3.4 dollars",
            "money budget (0.00002 dollars, day): 0.00002 dollars left, and this request may take 0.000021 dollars",
        )
    ]


def test_a_charge_changes_one_budget_and_nothing_falls_below_zero(connection: sa.Connection) -> None:
    for client in ("a", "b"):
        decided(connection, of_client(client, intent(1, DAY, TOTAL, MONEY, reserve=100)))
    others = rows(connection)
    del others["a", "tokens", "day", MIDNIGHT]
    for reserved, cost, counts in (
        (-40, 30, (30, 60)), (5, -9, (30, 65)), (-64, 1, (31, 1)), (-1, 0, (31, 0)), (7, 0, (31, 7)), (-80, 2, (33, 0))
    ):  # fmt: skip
        charge(statements(connection), "a", ("tokens", "day", MIDNIGHT), reserved, cost)
        assert rows(connection) == {**others, ("a", "tokens", "day", MIDNIGHT): counts}
    charge(statements(connection), "a", ("tokens", "day", MIDNIGHT + 1), 5, 5)
    assert len(rows(connection)) == len(others) + 1


def call(connection: sa.Connection, client: str, number: int, reserved: str, ended: float | None) -> None:
    values = dict.fromkeys(("request_id", "project", "model", "surface"), "x")
    row = {"id": f"{number:032x}", "at": AT, "client": client, "reserved": reserved, "ended": ended, **values}
    connection.execute(attempt.insert(), row)


def test_the_end_of_a_call_gives_back_its_reservation_and_charges_its_cost(connection: sa.Connection) -> None:
    """Once, if it ends twice; of calls that have ended, or are unknown, nothing."""
    claims = f'[["tokens", "day", {MIDNIGHT}, 100], ["money", "month", {FIRST}, 90]]'
    for client in ("a", "b"):
        decided(connection, of_client(client, intent(1, DAY, MONEY, reserve=400)))
    call(connection, "a", 1, claims, None)
    call(connection, "b", 2, claims, None)
    call(connection, "a", 3, claims, None)
    call(connection, "a", 4, claims, AT)
    call(connection, "a", 5, "", None)
    ends = [settlement(i, tokens=10 * i, micros=i) for i in (1, 1, 2, 3, 4, 5, 6)]
    release(statements(connection), [*ends, settlement(3, tokens=1000)])

    assert rows(connection) == {
        ("a", "tokens", "day", MIDNIGHT): (40, 200),
        ("a", "money", "month", FIRST): (4, 220),
        ("b", "tokens", "day", MIDNIGHT): (20, 300),
        ("b", "money", "month", FIRST): (2, 310),
    }
    release(statements(connection), [])
    call(connection, "a", 7, claims, None)
    release(statements(connection), [settlement(7, tokens=0, micros=-50)])
    assert rows(connection)["a", "money", "month", FIRST] == (4, 130)


@pytest.mark.parametrize(("dialect", "clients"), [("sqlite", []), ("postgresql", ["a", "b", "c"])])
def test_budgets_are_locked_in_one_order_and_in_sqlite_not_at_all(dialect: str, clients: list[str]) -> None:
    selects: list[sa.Select[Any]] = []

    def execute(statement: Any, *_: Any) -> sa.CursorResult[Any]:
        selects.append(statement)
        return engine.connect().execute(sa.text("select 1"))

    engine = sa.create_engine("sqlite://")
    connection: Any = sa.create_mock_engine(f"{dialect}://", execute)
    lock(
        connection,
        [of_client("free", intent(1)), structs.replace(settlement(2), reserved=False, client="ended")],
    )
    assert selects == []
    calls = [of_client(client, intent(i, DAY)) for i, client in enumerate("bab")]
    lock(connection, [*calls, structs.replace(settlement(4), client="c")])
    texts = [
        str(statement.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))  # type: ignore[no-untyped-call]
        for statement in selects
    ]

    names = ", ".join(f"'{client}'" for client in clients)
    order = "budget.client, budget.unit, budget.period, budget.start"
    expected = (
        f"SELECT budget.client FROM budget WHERE budget.client IN ({names}) ORDER BY {order} FOR UPDATE"
    )
    assert [" ".join(text.split()) for text in texts] == [expected] * bool(clients)
