"""Compressed bodies: whole ones, cut ones, and bombs."""

import gzip
import zlib

import pytest

from gateway.errors import UpstreamError
from gateway.upstream.http1.inflated import InflatedResponse
from gateway.upstream.http1.response import Http1Response
from gateway.upstream.transport import STREAMED_AT_ONCE
from tests.upstream.http1.test_response import response


def inflated(*pieces: bytes, ends: bool = True) -> tuple[InflatedResponse, Http1Response, list[str]]:
    """Return a response to which some compressed pieces have arrived, and what it has asked of its connection."""
    inner, calls = response()
    inner.begin(200, "text/event-stream", b"gzip")
    assert inner.is_compressed
    for piece in pieces:
        inner.feed([piece])
    if ends:
        inner.end()
    return InflatedResponse(inner), inner, calls


async def whole(reader: InflatedResponse) -> bytes:
    result = b""
    while data := await reader.read():
        assert len(data) <= STREAMED_AT_ONCE
        result += data
    return result


@pytest.mark.parametrize("size", [5, STREAMED_AT_ONCE, STREAMED_AT_ONCE + 1, 3_000_000])
@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
@pytest.mark.parametrize("cut", [1, 1000])
async def test_a_body_is_read_in_small_pieces_wherever_it_is_cut(
    size: int, compress: object, cut: int
) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    data: bytes = compress(body)  # type: ignore[operator]
    reader, _, _ = inflated(*(data[i : i + cut] for i in range(0, len(data), cut)))
    assert await whole(reader) == body


@pytest.mark.row("U30", "C05")
async def test_c05_what_nobody_reads_is_not_inflated() -> None:
    body = b"x" * 2_000_000
    reader, inner, calls = inflated(gzip.compress(body)[:-8], ends=False)
    assert (reader.arrived(10**9), reader.is_over) == (None, False)
    assert len(await reader.read()) == STREAMED_AT_ONCE
    assert not inner._pieces
    assert calls == ["read"]
    for _ in range(len(body) // STREAMED_AT_ONCE - 1):
        assert len(await reader.read()) == STREAMED_AT_ONCE
    assert calls == ["read"]  # nothing more is asked for while there is something to inflate
    reader.close()
    assert calls == ["read", "left"]


@pytest.mark.row("U30")
async def test_u30_a_bomb_is_refused_at_4_mb() -> None:
    reader, _, _ = inflated(gzip.compress(b"x" * 10**8)[:STREAMED_AT_ONCE])
    for _ in range(4 * 2**20 // STREAMED_AT_ONCE):
        assert await reader.read()
    with pytest.raises(UpstreamError, match="cannot be read"):
        await reader.read()


@pytest.mark.parametrize(
    "pieces",
    [
        [gzip.compress(b"hello") + b"more"],
        [gzip.compress(b"hello"), b"more"],
        [gzip.compress(b"hello")[:10]],
        [gzip.compress(b"hello")[:-9]],
        [b"hello"],
        [],
    ],
    ids=["more", "more later", "header only", "cut", "no gzip", "empty"],
)
async def test_a_body_that_is_no_whole_gzip_is_an_error(pieces: list[bytes]) -> None:
    reader, inner, _ = inflated(ends=False)
    for piece in pieces[:-1]:
        inner.feed([piece])
        assert await reader.read()
    for piece in pieces[-1:]:
        inner.feed([piece])
    inner.end()
    with pytest.raises(UpstreamError, match="cannot be read"):
        await whole(reader)
