"""How many Live sessions there may be, and the look at their time."""

import asyncio

import pytest

from gateway.errors import Overloaded, RateLimited
from gateway.observability.statistics import Statistics
from gateway.plugins.native.live import sessions
from gateway.plugins.native.live.closing import Ending
from gateway.plugins.native.live.config import LiveConfig
from gateway.plugins.native.live.sessions import Sessions


class One:
    """A session that counts how often it is looked at."""

    def __init__(self, key: str, address: str = "") -> None:
        self.key = key
        self.address = address
        self.ending = Ending(1000)
        self.looks = self.warnings = 0

    def check_time(self, now: float) -> None:
        self.looks += 1

    def warn(self) -> None:
        self.warnings += 1


@pytest.fixture
def statistics() -> Statistics:
    return Statistics()


async def test_one_key_has_its_number(statistics: Statistics) -> None:
    table = Sessions(LiveConfig(per_client=2), statistics, lambda: False)
    mine = [One("a"), One("a")]
    for session in mine:
        table.enter(session)
    with pytest.raises(RateLimited):
        table.enter(One("a"))
    table.enter(One("b"))
    table.leave(mine[0])
    table.enter(One("a"))
    assert statistics.live_sessions == 3


async def test_all_have_theirs_and_one_address_half(statistics: Statistics) -> None:
    table = Sessions(LiveConfig(sessions=4), statistics, lambda: False)
    table.enter(One("a", "1"))
    table.enter(One("b", "1"))
    with pytest.raises(Overloaded):
        table.enter(One("c", "1"))
    table.enter(One("c", "2"))
    table.enter(One("d", "3"))
    with pytest.raises(Overloaded):
        table.enter(One("e", "4"))
    with pytest.raises(Overloaded):
        Sessions(LiveConfig(sessions=0), statistics, lambda: False).enter(One("a"))


async def test_ends_are_counted_by_code_and_the_clients_own_together(statistics: Statistics) -> None:
    table = Sessions(LiveConfig(), statistics, lambda: False)
    for code in (1000, 1008, 3000, 4999):
        session = One("a")
        table.enter(session)
        session.ending = Ending(code)
        table.leave(session)
    assert statistics.live_closed == {"1000": 1, "1008": 1, "other": 2}
    assert statistics.live_sessions == 0


async def test_one_timer_looks_at_all_and_warns_of_a_drain(
    statistics: Statistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_LOOK", 0.001)
    draining = False
    table = Sessions(LiveConfig(), statistics, lambda: draining)
    one, two = One("a"), One("b")
    table.enter(one)
    table.enter(two)
    while not (one.looks and two.looks):
        await asyncio.sleep(0.001)
    assert one.warnings == 0
    draining = True
    while not (one.warnings and two.warnings):
        await asyncio.sleep(0.001)
    table.leave(one)
    table.leave(two)
