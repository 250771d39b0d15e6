"""The response cache: keys, times, bounds, and entries that are not believed."""

import json
from time import time
from typing import Any

import pytest

from gateway.errors import BadRequest
from gateway.gemini.call import GeminiCall
from gateway.gemini.wire import GenerateContentRequest, GenerationConfig
from gateway.policy.clients.access import Client, digest
from gateway.store.key_value import StoreLimits
from gateway.store.memory import MemoryStore
from gateway.store.response_cache import ResponseCache, answer_key, seconds


def answer(text: str = "hi") -> dict[str, Any]:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": "STOP"}
    return {"candidates": [candidate], "modelVersion": "m", "responseId": "r"}


@pytest.mark.parametrize(
    ("header", "rule", "most", "expected"),
    [
        (None, None, 100, 0),
        (None, 50, 100, 50),
        (None, 500, 100, 100),
        ("30", 50, 100, 30),
        (" 30 ", None, 100, 30),
        ("off", 50, 100, 0),
        ("No-Store", 50, 100, 0),
        ("999", None, 100, 100),
        ("5", None, 0, 0),
    ],
)
def test_how_long_an_answer_may_be_cached(
    header: str | None, rule: float | None, most: float, expected: float
) -> None:
    assert seconds(header, rule, most) == expected


@pytest.mark.parametrize("header", ["-1", "1.5", "", "٣", "1e9", "9" * 13])
def test_invalid_headers_are_refused(header: str) -> None:
    with pytest.raises(BadRequest):
        seconds(header, None, 100)


def call(**fields: Any) -> GeminiCall:
    return GeminiCall("m", GenerateContentRequest([], generation_config=GenerationConfig(**fields)))


def client(key: str) -> Client:
    return Client(key, "", digest(key))


async def test_an_entry_of_another_key_is_not_returned() -> None:
    class Mixed(MemoryStore):
        async def get(self, keys: Any, now: float) -> dict[bytes, str]:
            return dict.fromkeys(keys, next(iter(self._entries.values()))[0])

    answers = ResponseCache(Mixed(StoreLimits()))
    mine, other = answer_key(call(), client("a")), answer_key(call(), client("b"))
    await answers.put(mine, [json.dumps(answer()).encode()], 10, time())

    assert await answers.get(mine, time()) is not None
    assert await answers.get(other, time()) is None


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"key": 1}'])
async def test_an_unreadable_entry_is_missing(text: str) -> None:
    store = MemoryStore(StoreLimits())
    key = answer_key(call(), client("a"))
    await store.put({key: text}, 1000.0)

    assert await ResponseCache(store).get(key, 1000.0) is None


async def test_an_answer_is_good_until_its_time_has_come() -> None:
    answers = ResponseCache(MemoryStore(StoreLimits()))
    key = answer_key(call(), client("a"))
    await answers.put(key, [json.dumps(answer()).encode()], 10, 1000.0)

    assert await answers.get(key, 1009.9) is not None
    assert await answers.get(key, 1010.0) is None


async def test_the_cache_is_bounded_and_large_answers_are_not_cached() -> None:
    store = MemoryStore(StoreLimits(megabytes=1))
    answers = ResponseCache(store)
    message = json.dumps(answer("x" * 10_000)).encode()
    for seed in range(500):
        await answers.put(answer_key(call(seed=seed), client("a")), [message], 10, 1000.0)
    await answers.put(answer_key(call(), client("a")), [json.dumps(answer("x" * 2**20)).encode()], 10, 1000.0)

    assert store.size <= 2**20
    assert await answers.get(answer_key(call(seed=499), client("a")), 1000.0) is not None
    assert await answers.get(answer_key(call(), client("a")), 1000.0) is None


def test_the_key_depends_on_client_model_and_request_and_not_on_streaming() -> None:
    request = GenerateContentRequest([])
    keys = {
        answer_key(GeminiCall("m", request), client("a")),
        answer_key(GeminiCall("n", request), client("a")),
        answer_key(call(seed=1), client("a")),
        answer_key(GeminiCall("m", request), client("b")),
    }

    assert len(keys) == 4
    assert answer_key(GeminiCall("m", request, stream=True), client("a")) in keys
