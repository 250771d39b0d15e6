"""Budgets: never overspent, by whatever number of calls and processes."""

import asyncio

import pytest

from gateway.errors import BudgetExceeded
from gateway.policy.budgets import Budget
from gateway.store.ledger.reports import spent
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
        admitted = [i for i, result in enumerate(results) if result is None]
        assert len(admitted) == 10
        assert {type(result) for result in results} == {type(None), BudgetExceeded}
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
        going = [i for i, result in enumerate(results) if result is None]
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
