"""Turns: where one ends, which counts are its own, and what is paid for one that does not end."""

import asyncio
from typing import Any

import pytest

from gateway.gemini.usage import TokenCounts
from gateway.plugins.native.live.messages import read_message
from gateway.plugins.native.live.turns import Turns


class Paid:
    """An attempt that keeps how it has ended."""

    def __init__(self, all_paid: "list[Paid]") -> None:
        self.all_paid = all_paid
        self.counts: TokenCounts | None = None
        self.is_whole = self.is_answered = False
        self.error: object = None

    async def __aenter__(self) -> "Paid":
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        self.error = error
        self.all_paid.append(self)

    def count(self, counts: TokenCounts, *, whole: bool = True) -> None:
        self.counts, self.is_whole = counts, whole


class Ways:
    """An exchange that makes such attempts."""

    def __init__(self) -> None:
        self.paid: list[Paid] = []
        self.begun = 0

    def turn(self, context: Any, target: Any) -> Paid:
        self.begun += 1
        return Paid(self.paid)


@pytest.fixture
def ways() -> Ways:
    return Ways()


def of(ways: Ways) -> Turns:
    fake: Any = ways
    return Turns(fake, fake, fake)


CONTENT = b'{"serverContent":{"modelTurn":{}}}'
OVER = b'{"serverContent":{"turnComplete":true}}'


def usage(prompt: int) -> bytes:
    return b'{"usageMetadata":{"promptTokenCount":%d,"responseTokenCount":1,"totalTokenCount":%d}}' % (
        prompt,
        prompt + 1,
    )


async def read(turns: Turns, *messages: bytes) -> None:
    for message in messages:
        await turns.read(read_message(message))


async def test_the_last_counts_before_the_end_are_those_of_the_turn(ways: Ways) -> None:
    turns = of(ways)
    await turns.begin()
    await read(turns, CONTENT, usage(10), usage(30), OVER)
    assert not turns.is_open
    assert [(p.counts.prompt, p.is_whole) for p in ways.paid if p.counts] == [(30, True)]


async def test_counts_may_come_after_the_end(ways: Ways) -> None:
    turns = of(ways)
    await read(turns, CONTENT, OVER)
    assert ways.paid == []
    await read(turns, usage(7))
    assert not turns.is_open
    assert ways.paid[0].counts == TokenCounts(prompt=7, completion=1)


async def test_a_turn_without_counts_ends_with_the_next_content(ways: Ways) -> None:
    turns = of(ways)
    await read(turns, CONTENT, OVER, CONTENT, usage(5), OVER)
    assert ways.begun == 2
    assert [paid.counts and paid.counts.prompt for paid in ways.paid] == [None, 5]
    assert ways.paid[0].is_answered


async def test_messages_that_are_no_content_open_no_turn(ways: Ways) -> None:
    turns = of(ways)
    await read(
        turns, b'{"setupComplete":{}}', b'{"goAway":{}}', b'{"sessionResumptionUpdate":{"newHandle":"h"}}'
    )
    assert ways.begun == 0
    await turns.end(None)
    assert ways.paid == []


async def test_both_loops_open_one_turn(ways: Ways) -> None:
    turns = of(ways)
    await asyncio.gather(turns.begin(), turns.begin(), read(turns, CONTENT))
    assert ways.begun == 1


async def test_input_without_an_answer_is_estimated(ways: Ways) -> None:
    turns = of(ways)
    await turns.begin()
    turns.sent(b'{"realtimeInput":{"audio":' + b"x" * 17_070)
    turns.sent(b'{"clientContent":' + b"x" * 400)
    await turns.end(asyncio.CancelledError())
    (paid,) = ways.paid
    assert paid.counts is not None
    assert 110 <= paid.counts.prompt <= 116
    assert paid.is_whole


async def test_an_answer_that_breaks_off_is_not_counted_whole(ways: Ways) -> None:
    turns = of(ways)
    await read(turns, CONTENT, usage(9))
    error = asyncio.CancelledError()
    await turns.end(error)
    (paid,) = ways.paid
    assert (paid.is_whole, paid.is_answered, paid.error) == (False, True, error)
