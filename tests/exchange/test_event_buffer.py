"""Event buffer: frames by number, read while they are made."""

import asyncio

from gateway.exchange.event_buffer import EventBuffer


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
