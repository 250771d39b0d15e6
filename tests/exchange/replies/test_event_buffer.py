"""Event buffer: frames by number, read while they are made."""

import asyncio

import pytest

from gateway.errors import Overloaded
from gateway.exchange.replies.event_buffer import EventBuffer
from gateway.policy.load.memory import MemoryAccount


async def read(buffer: EventBuffer, after: int) -> bytes:
    return b"".join([data async for data in buffer.follow(after)])


async def test_frames_after_a_number_are_read() -> None:
    buffer = EventBuffer()
    await buffer.write(b"a: 0\n\na: 1\n\n")
    await buffer.write(b"a: 2\n\n")
    buffer.end()

    assert await read(buffer, -1) == b"a: 0\n\na: 1\n\na: 2\n\n"
    assert await read(buffer, 0) == b"a: 1\n\na: 2\n\n"
    assert await read(buffer, 2) == await read(buffer, 99) == b""
    assert buffer.bytes == 18


async def test_a_reader_waits_for_frames_that_are_still_made() -> None:
    buffer = EventBuffer()
    await buffer.write(b"a: 0\n\n")
    readers = [asyncio.create_task(read(buffer, number)) for number in (-1, 0)]
    await asyncio.sleep(0)
    await buffer.write(b"a: 1\n\n")
    await asyncio.sleep(0)
    assert not any(reader.done() for reader in readers)
    buffer.end()

    assert await asyncio.gather(*readers) == [b"a: 0\n\na: 1\n\n", b"a: 1\n\n"]


@pytest.mark.row("A5")
async def test_a05_the_event_of_a_failure_is_stored_whatever_the_memory() -> None:
    """The refusal of the failure's own event ended the task, and readers saw no end."""
    account = MemoryAccount(1_000_000)
    others = account.open()
    others.admit(790_000)
    buffer = EventBuffer()
    buffer.memory = account.open()
    with pytest.raises(Overloaded):
        await buffer.write(b"a: " + b"0" * 200_000 + b"\n\n")
    await buffer.write(b"b: " + b"1" * 200_000 + b"\n\n")
    buffer.end()

    assert [data.split(b": ")[0] async for data in buffer.follow(0)] == [b"b"]
    assert account.refused == 1


@pytest.mark.row("A5")
async def test_a05_what_is_held_after_the_end_counts_as_kept() -> None:
    account = MemoryAccount(10_000_000)
    buffer = EventBuffer()
    buffer.memory = account.open()
    buffer.memory.admit(500_000)
    await buffer.write(b"a: " + b"0" * 99_995 + b"\n\n")
    buffer.end()

    assert buffer.held == account.used == account.kept == 200_000
    buffer.drop()
    assert account.used == account.kept == 0
