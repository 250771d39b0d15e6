"""A response as its reader sees it."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.errors import UpstreamError
from gateway.upstream.http1.response import Http1Response


class Sender:
    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.calls: list[str] = []

    def leave(self) -> None:
        self.calls.append("left")

    def read_on(self) -> None:
        self.calls.append("read")

    def acknowledge_later(self) -> None:
        pass


def response(wake_at: int = 1) -> tuple[Http1Response, list[str]]:
    sender = Sender()
    return Http1Response(sender, wake_at), sender.calls


async def test_what_has_arrived_is_read_at_once_and_an_end_is_empty() -> None:
    reader, calls = response()
    reader.begin(200, "text/event-stream", b"")
    reader.feed([b"a", b"b"])
    reader.feed([b"c"])
    assert await reader.read() == b"abc"
    reader.end()
    assert await reader.read() == b""
    reader.close()
    assert calls == ["read"]


async def test_the_rest_of_a_finished_response_does_not_resume_the_connection() -> None:
    reader, calls = response()
    reader.begin(200, "", b"")
    reader.feed([b"a"])
    reader.end()
    assert await reader.read() == b"a"
    assert calls == []


async def test_closing_before_the_end_lets_the_connection_go_once() -> None:
    reader, calls = response()
    reader.begin(200, "", b"")
    reader.close()
    reader.close()
    assert calls == ["left"]


async def test_an_error_comes_after_what_arrived() -> None:
    reader, _ = response()
    reader.begin(200, "", b"")
    reader.feed([b"a"])
    reader.fail(UpstreamError("gone"))
    assert await reader.read() == b"a"
    with pytest.raises(UpstreamError, match="gone"):
        await reader.read()


async def test_headers_keep_bytes_that_are_no_utf8() -> None:
    reader, _ = response()
    reader.raw_headers += [(b"X-Name", b"caf\xe9"), (b"x-name", "ö".encode())]
    assert reader.headers.getall("X-NAME") == ["caf\udce9", "ö"]


@pytest.mark.parametrize("coding", [b"br", b"zstd", b"gzip, gzip", b"chunked"])
async def test_a_coding_that_was_not_asked_for_is_refused(coding: bytes) -> None:
    with pytest.raises(UpstreamError, match="cannot be read"):
        response()[0].begin(200, "", coding)


def waiting(reader: Http1Response, take: Callable[[bytes], bool]) -> asyncio.Future[None]:
    """Return the future of a reader that waits in `push_to`."""
    pushing = reader.push_to(take)
    assert pushing is not None
    return pushing


async def test_data_are_pushed_in_the_call_that_brings_them_until_they_are_refused() -> None:
    reader, calls = response()
    reader.begin(200, "text/event-stream", b"")
    taken: list[bytes] = []

    def take(data: bytes) -> bool:
        taken.append(data)
        return data != b"c"

    task = waiting(reader, take)
    assert reader.feed([b"a", b"b"])
    assert taken == [b"ab"]
    assert not reader.feed([b"c"])
    reader.feed([b"d"])
    assert taken == [b"ab", b"c"]
    await task
    assert await reader.read() == b"d"
    assert calls == ["read"]


async def test_the_last_data_are_read_not_pushed() -> None:
    reader, _ = response()
    reader.begin(200, "", b"")
    task = waiting(reader, lambda _: pytest.fail("the last data are read"))
    reader.feed([b"a"], last=True)
    reader.end()
    await task
    assert (reader.is_over, await reader.read(), reader.is_over) == (False, b"a", True)
    assert reader.push_to(lambda _: pytest.fail("the end is read")) is None


async def test_data_that_wait_are_read_before_others_are_pushed() -> None:
    reader, _ = response()
    reader.begin(200, "", b"")
    reader.feed([b"a"])
    assert reader.push_to(lambda _: pytest.fail("there is something to read")) is None
    assert await reader.read() == b"a"


async def test_an_error_of_the_taker_is_raised_where_it_waits() -> None:
    reader, _ = response()
    reader.begin(200, "", b"")

    def broken(data: bytes) -> bool:
        raise ValueError(data)

    task = waiting(reader, broken)
    reader.feed([b"a"])
    reader.feed([b"b"])
    with pytest.raises(ValueError, match="a"):
        await task
    assert await reader.read() == b"b"


async def test_a_failed_upstream_ends_the_pushing() -> None:
    reader, _ = response()
    reader.begin(200, "", b"")
    task = waiting(reader, lambda _: True)
    reader.fail(UpstreamError("gone"))
    await task
    with pytest.raises(UpstreamError, match="gone"):
        await reader.read()
