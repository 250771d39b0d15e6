"""A look at many objects leaves the loop to others in between."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.upstream.turns import AT_ONCE, in_turns


@pytest.mark.parametrize(
    ("count", "turns"), [(0, 1), (1, 1), (AT_ONCE, 1), (AT_ONCE + 1, 2), (3 * AT_ONCE, 3)]
)
async def test_every_object_is_looked_at_once_and_few_at_a_time(count: int, turns: int) -> None:
    shares: list[Sequence[int]] = []
    ended = asyncio.Event()
    in_turns(asyncio.get_running_loop(), range(count), shares.append, ended.set)
    assert len(shares) == 1  # the first ones at once
    async with asyncio.timeout(5):
        await ended.wait()
    assert len(shares) == turns
    assert sorted(number for share in shares for number in share) == list(range(count))
    assert max(map(len, shares)) <= AT_ONCE


async def test_others_run_between_two_turns() -> None:
    order: list[str] = []
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    in_turns(loop, range(2 * AT_ONCE), lambda _: order.append("look"), ended.set)
    loop.call_soon(order.append, "other")
    async with asyncio.timeout(5):
        await ended.wait()
    assert order == ["look", "other", "look"]


async def test_objects_that_come_meanwhile_are_left_to_the_next_round() -> None:
    objects = dict.fromkeys(range(2 * AT_ONCE))
    seen: list[int] = []
    ended = asyncio.Event()

    def look(share: Sequence[int]) -> None:
        seen.extend(share)
        objects.clear()
        objects.update(dict.fromkeys(range(10_000, 11_000)))

    in_turns(asyncio.get_running_loop(), objects, look, ended.set)
    async with asyncio.timeout(5):
        await ended.wait()
    assert sorted(seen) == list(range(2 * AT_ONCE))


async def test_a_look_that_fails_does_not_end_the_round() -> None:
    loop = asyncio.get_running_loop()
    errors: list[object] = []
    loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
    ended = asyncio.Event()
    looks = 0

    def look(share: Sequence[int]) -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            raise ValueError(looks)

    in_turns(loop, range(3 * AT_ONCE), look, ended.set)
    async with asyncio.timeout(5):
        await ended.wait()
    assert looks == 3
    assert len(errors) == 1
