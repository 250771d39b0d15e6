"""`guard` on native answers of several candidates: each candidate's text is one of its own."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.support.fakegem import LAST_CHUNK, FakeGem, message, stream
from tests.support.hooks import SERVED, ask
from tests.support.servers import Serve
from tests.support.surfaces import NATIVE_STREAM


@pytest.fixture
async def gem() -> AsyncIterator[FakeGem]:
    upstream = FakeGem()
    await upstream.start()
    yield upstream
    await upstream.stop()


def candidate(text: str, index: Any = None, **fields: Any) -> dict[str, Any]:
    numbered = {} if index is None else {"index": index}
    return {"content": {"parts": [{"text": text}], "role": "model"}, **numbered, **fields}


ENDS = [candidate("", 0, finishReason="STOP"), candidate("", 1, finishReason="STOP")]
SOURCES = {"groundingMetadata": {"webSearchQueries": ["q"]}}
APART: dict[str, list[list[dict[str, Any]]]] = {
    "side by side": [[candidate("a x", 0), candidate("yyy b", 1)], ENDS],
    "the first without its number": [[candidate("yyy b", 1), candidate("a x")], ENDS],
    "the first alone without its number": [[candidate("a x", 0), candidate("", 1)], [candidate("yyy b", 1)], ENDS],
    "numbers as texts": [[candidate("a x", "0"), candidate("", "1")], [candidate("yyy b", "1")], ENDS],
    "numbers as texts in another order": [[candidate("yyy b", "1"), candidate("a x", "0")], ENDS],
    "no numbers": [
        [candidate("a x"), candidate("yyy b")],
        [candidate("", finishReason="STOP"), candidate("", finishReason="STOP")],
    ],
}  # fmt: skip
TOGETHER: dict[str, list[list[dict[str, Any]]]] = {
    "the other one between": [[candidate("a x", 0), candidate("b", 1)], [candidate("yyy c", 0)], ENDS],
    "once without its number": [[candidate("b", 1), candidate("a x")], [candidate("yyy c", 0)], ENDS],
    "numbers of two forms": [[candidate("b", 0), candidate("a x", 1)], [candidate("yyy c", "1")], ENDS],
}


async def texts(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, messages: list[list[dict[str, Any]]]
) -> tuple[dict[int, str], set[int]]:
    """Return the text of each candidate of a stream, and the candidates with sources."""
    gem.always = [*stream(*(message() | {"candidates": each} for each in messages)), LAST_CHUNK]
    rule = "{name: r, pattern: 'xy{3,4}', on: [answer], action: rewrite, replacement: '-'}"
    base = await serve(f"plugins: {{guard: {{rules: [{rule}]}}, {SERVED}}}", gem.url)
    reply = await ask(http, base, NATIVE_STREAM)
    result = {0: "", 1: ""}
    sources = set()
    numbered = False
    for line in reply.body.decode().splitlines():
        for position, each in enumerate(json.loads(line[6:])["candidates"] if line else ()):
            numbered = numbered or "index" in each
            index = int(each.get("index", 0 if numbered else position))
            result[index] += "".join(part.get("text", "") for part in each["content"]["parts"])
            sources |= {index} if "groundingMetadata" in each else set()
    return result, sources


@pytest.mark.parametrize("name", APART)
async def test_o20_the_texts_of_two_candidates_are_not_one(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, name: str
) -> None:
    assert (await texts(http, serve, gem, APART[name]))[0] == {0: "a x", 1: "yyy b"}


@pytest.mark.parametrize("name", TOGETHER)
async def test_o20_the_text_of_a_candidate_is_one(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem, name: str
) -> None:
    by_index, _ = await texts(http, serve, gem, TOGETHER[name])

    assert sorted(by_index.values()) == ["a - c", "b"]


async def test_o20_sources_stay_with_the_candidate_whose_text_stays(
    http: aiohttp.ClientSession, serve: Serve, gem: FakeGem
) -> None:
    first = candidate("a xyyy b", 0, finishReason="STOP", **SOURCES)
    messages = [[first], [candidate("fine", 1, finishReason="STOP", **SOURCES)]]

    assert await texts(http, serve, gem, messages) == ({0: "a - b", 1: "fine"}, {1})
