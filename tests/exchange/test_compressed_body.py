"""Compressed request bodies: read within the limits of a body, counted by their decompressed bytes."""

import gzip
import importlib
import json
import sys
import tracemalloc
import zlib
from collections.abc import Callable

import aiohttp
import pytest
from aiohttp.compression_utils import HAS_ZSTD

from gateway.exchange.incoming.request_body import ENCODINGS
from tests.support.servers import Fake, Serve

BODY = {"model": "gemini-2.5-flash", "max_tokens": 9}
HELLO = [{"role": "user", "content": "hi"}]
ASKED = {
    "/v1/chat/completions": {**BODY, "messages": HELLO},
    "/v1/messages": {**BODY, "messages": HELLO},
    "/v1/responses": {"model": "gemini-2.5-flash", "input": "hi"},
}
CODINGS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}
if HAS_ZSTD:  # aiohttp reads it with the same library
    CODINGS["zstd"] = importlib.import_module(
        "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    ).compress


@pytest.mark.row("G21")
@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize("coding", CODINGS)
async def test_g21_a_compressed_body_is_read(
    http: aiohttp.ClientSession, gateway: str, fake: Fake, path: str, coding: str
) -> None:
    data = CODINGS[coding](json.dumps(ASKED[path]).encode())
    headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
    async with http.post(gateway + path, data=data, headers=headers) as response:
        assert response.status == 200, await response.text()

    assert fake.last.body["contents"] == [{"role": "user", "parts": [{"text": "hi"}]}]


@pytest.mark.row("G21")
@pytest.mark.parametrize("coding", CODINGS)
async def test_g21_a_bomb_is_a_413_and_is_not_held(
    http: aiohttp.ClientSession, serve: Serve, fake: Fake, coding: str
) -> None:
    base = await serve("limits: {body: 100000}", fake.url)
    data = CODINGS[coding](b" " * 50_000_000)
    tracemalloc.start()
    try:
        async with http.post(
            base + "/v1/chat/completions", data=data, headers={"Content-Encoding": coding}
        ) as response:
            answer = await response.json()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert (response.status, answer["error"]["code"]) == (413, "request_too_large")
    assert peak < 5_000_000


@pytest.mark.row("G21")
@pytest.mark.parametrize("coding", ["br", "compress", "gzip, gzip"])
async def test_g21_another_coding_is_a_415_that_names_those_that_are_read(
    http: aiohttp.ClientSession, gateway: str, coding: str
) -> None:
    async with http.post(
        gateway + "/v1/chat/completions", data=b"x", headers={"Content-Encoding": coding}, compress=False
    ) as response:
        answer = await response.json()

    assert response.status == 415
    if coding != "br":  # which aiohttp's parser refuses before a route is known
        assert "gzip, deflate" in answer["error"]["message"]


@pytest.mark.row("G21")
def test_g21_memory_is_counted_by_the_decompressed_bytes() -> None:
    assert ENCODINGS[:2] == ("gzip", "deflate")
    assert ("zstd" in ENCODINGS) == HAS_ZSTD
