"""Cooldowns: the longer one stays, and a clock that is set back lengthens none."""

import pytest

from gateway.policy.pool.cooldown import Cooldown

NOW = 1_800_000_000.0


def started(reason: str, seconds: float) -> Cooldown:
    cooldown = Cooldown()
    cooldown.start(reason, NOW, NOW + seconds)
    return cooldown


def test_it_ends_at_its_time() -> None:
    cooldown = started("minute", 30)

    assert [cooldown.remaining(NOW + passed) for passed in (0, 10, 30, 31)] == [30, 20, 0, 0]
    assert Cooldown().remaining(NOW) == 0


@pytest.mark.parametrize(
    ("seconds", "reason", "left"), [(20, "day", 50), (50, "day", 50), (70, "minute", 70)]
)
def test_a_shorter_one_does_not_replace_a_longer_one(seconds: float, reason: str, left: float) -> None:
    cooldown = started("day", 50)
    cooldown.start("minute", NOW, NOW + seconds)

    assert (cooldown.reason, cooldown.remaining(NOW)) == (reason, left)


def test_one_that_is_over_is_replaced_by_any_and_the_past_starts_none() -> None:
    cooldown = started("day", 50)
    cooldown.start("minute", NOW + 60, NOW + 61)
    assert (cooldown.reason, cooldown.remaining(NOW + 60)) == ("minute", 1)
    cooldown.start("late", NOW + 70, NOW + 65)
    assert cooldown.reason == "minute"


@pytest.mark.row("P19")
@pytest.mark.parametrize("back", [1.0, 3600.0, 86400.0 * 400])
def test_a_clock_that_is_set_back_keeps_the_remaining_time(back: float) -> None:
    cooldown = started("minute", 30)

    assert cooldown.remaining(NOW - back) == pytest.approx(30)
    assert cooldown.remaining(NOW - back + 31) == 0
