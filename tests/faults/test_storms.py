"""Faults that last, and many at once."""

import asyncio
import random
from collections.abc import Sequence
from itertools import count

import pytest

from gateway.errors import UpstreamError
from gateway.policy.retry import RetryBudget, RetryConfig, judge
from tests.support.fakegem import (
    STREAM_HEAD,
    Script,
    Step,
    close,
    event,
    good,
    head,
    message,
    refusal,
    reset,
    stream,
)
from tests.support.site import Site
from tests.support.surfaces import (
    STREAMS,
    TRANSLATED,
    Reply,
    Surface,
    assert_broken_off,
    assert_refused,
    assert_whole,
)

OVERLOADED = refusal(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")


async def ask_many(site: Site, number: int, at_once: int, surfaces: Sequence[Surface]) -> list[Reply]:
    """Return the replies to many requests, of which some run at once."""
    turns = asyncio.Semaphore(at_once)

    async def ask(position: int) -> Reply:
        async with turns:
            return await site.ask(surfaces[position % len(surfaces)])

    return await asyncio.gather(*(ask(position) for position in range(number)))


@pytest.mark.row("U44", "U45")
async def test_u44_a_storm_is_not_amplified_and_ends_at_once(site: Site) -> None:
    await site.start()
    site.upstream.always = OVERLOADED

    replies = await ask_many(site, 200, 20, TRANSLATED)

    for reply in replies:
        assert_refused(reply, 529 if reply.surface.name == "messages" else 503, "overloaded")
    calls = len(site.upstream.requests)
    assert calls <= 1.2 * len(replies)
    site.upstream.always = good
    for reply in await ask_many(site, 100, 20, TRANSLATED):
        assert_whole(reply)
    assert len(site.upstream.requests) - calls == 100, "no rush after the storm"


@pytest.mark.row("U44")
def test_u44_a_client_waits_less_than_two_seconds_for_all_attempts() -> None:
    config, budget, waits = RetryConfig(), RetryBudget(), 0.0
    for attempt in count(1):
        verdict = judge(UpstreamError("busy", status=503), attempt, budget, config, 0.999)
        if not hasattr(verdict, "after"):
            break
        waits += verdict.after

    assert attempt == config.attempts
    assert waits < 2


def some_fail(seed: int, share: float) -> Script:
    """Return a script that fails for a share of the requests, at random: a 503 or a reset."""
    chance = random.Random(seed)
    faults: list[list[Step]] = [OVERLOADED, [reset]]
    return lambda request: chance.choice(faults) if chance.random() < share else good(request)


@pytest.mark.row("U46")
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_u46_retries_hide_three_of_ten_failures(site: Site, seed: int) -> None:
    await site.start()
    site.upstream.always = some_fail(seed, 0.3)

    replies = await ask_many(site, 200, 10, TRANSLATED)
    site.resent = len(site.upstream.requests)

    assert sum(reply.status == 200 for reply in replies) >= 0.99 * len(replies)


@pytest.mark.row("U46")
@pytest.mark.slow
async def test_u46_also_over_thousands_of_requests(site: Site) -> None:
    await site.start()
    site.upstream.always = some_fail(4, 0.3)

    replies = await ask_many(site, 3000, 20, TRANSLATED)
    site.resent = len(site.upstream.requests)

    assert sum(reply.status == 200 for reply in replies) >= 0.99 * len(replies)


BAD = b"bad request of a test"
FAULTS: list[Script] = [
    [reset],
    [STREAM_HEAD, reset],
    [*stream(message("one ", None)), reset],
    [head(content_type="text/event-stream", connection="close"), event(message("one ", None)), close],
    [*stream(message("one ", None)), close],
    [head(content_type="application/json", content_length=100) + b'{"a":', close],
    [None],
    [*stream(message("one ", None)), None],
]


async def mixed(site: Site, number: int) -> None:
    """Ask many bad and good requests side by side, and check each answer."""
    chance = random.Random(7)

    def script(request: bytes) -> Sequence[Step]:
        chosen = chance.choice(FAULTS) if BAD in request else good
        return chosen(request) if callable(chosen) else chosen

    site.upstream.always = script
    turns = asyncio.Semaphore(40)

    async def ask(position: int) -> None:
        async with turns:
            surface, bad = TRANSLATED[position % len(TRANSLATED)], position % 3 == 0
            reply = await site.ask(surface, BAD.decode() if bad else "hello")
            if not bad:
                assert_whole(reply)
            elif reply.status == 200:
                assert surface in STREAMS
                assert_broken_off(reply)
            else:
                assert_refused(reply, reply.status)
                assert reply.status in (502, 504)

    await asyncio.gather(*(ask(position) for position in range(number)))
    site.resent = len(site.upstream.requests)


@pytest.mark.row("U52")
async def test_u52_good_requests_do_not_notice_bad_ones(site: Site) -> None:
    await site.start(idle=1)
    await mixed(site, 150)


@pytest.mark.timed
async def test_faults_do_not_hold_the_loop(site: Site) -> None:
    """The fixture of this folder looks at the loop's lag after the test."""
    await site.start(idle=1)
    await mixed(site, 300)


@pytest.mark.row("U52")
@pytest.mark.slow
async def test_u52_for_thousands_of_requests(site: Site) -> None:
    await site.start(idle=1)
    await mixed(site, 4000)
