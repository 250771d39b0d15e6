"""A race of two attempts: who wins, and that the other ends."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from gateway.exchange.calls.race import Race


async def value(result: str, wait: asyncio.Event, race: Race[str] | None = None) -> str:
    await wait.wait()
    if race is not None:
        race.decide()
        await asyncio.sleep(0)
    if result.startswith("!"):
        raise ValueError(result)
    return result


def event(ready: bool) -> asyncio.Event:
    result = asyncio.Event()
    if ready:
        result.set()
    return result


@pytest.mark.parametrize(
    ("first", "first_ready", "second", "second_ready", "expected"),
    [
        ("a", True, "b", True, "a"),
        ("a", False, "b", True, "b"),
        ("!a", True, "b", True, "!a"),  # it has failed before the second began
        ("a", False, None, True, "a"),
    ],
)
async def test_a_race_ends_as_it_should(
    first: str, first_ready: bool, second: str | None, second_ready: bool, expected: str
) -> None:
    began = event(first_ready)

    def second_attempt() -> Coroutine[Any, Any, str] | None:
        if second is None:
            began.set()
            return None
        return value(second, event(second_ready))

    if expected.startswith("!"):
        with pytest.raises(ValueError, match=expected):
            await Race[str]().run(value(first, began), 0, second_attempt)
    else:
        assert await Race[str]().run(value(first, began), 0.0, second_attempt) == expected


@pytest.mark.parametrize(("second", "expected"), [("!b", "!a"), ("b", "b")])
async def test_where_one_fails_the_other_may_still_answer(second: str, expected: str) -> None:
    first, later = asyncio.Event(), asyncio.Event()

    async def failing() -> str:
        await first.wait()
        later.set()
        raise ValueError("!a")

    def second_attempt() -> Coroutine[Any, Any, str]:
        first.set()
        return value(second, later)

    if expected == "b":
        assert await Race[str]().run(failing(), 0, second_attempt) == "b"
    else:
        with pytest.raises(ValueError, match="!a"):
            await Race[str]().run(failing(), 0, second_attempt)


async def test_an_attempt_that_has_won_goes_on_alone_also_when_it_fails_later() -> None:
    race = Race[str]()
    begun = asyncio.Event()

    def second_attempt() -> Coroutine[Any, Any, str]:
        begun.set()
        return value("b", event(False))

    with pytest.raises(ValueError, match="!a"):
        await race.run(value("!a", begun, race), 0, second_attempt)


async def test_a_client_that_leaves_ends_both() -> None:
    ended: list[str] = []

    async def endless(name: str) -> str:
        try:
            return await value(name, event(False))
        finally:
            ended.append(name)

    began = asyncio.Event()

    def second_attempt() -> Coroutine[Any, Any, str]:
        began.set()
        return endless("b")

    task = asyncio.create_task(Race[str]().run(endless("a"), 0, second_attempt))
    await began.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == ["a", "b"]
