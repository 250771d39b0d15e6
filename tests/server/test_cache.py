"""Kept answers: for who asks, exactly the same call, nobody else's, and only whole ones."""

import json
from pathlib import Path
from time import time
from typing import Any

import aiohttp
import pytest

from gateway.errors import BadRequest
from gateway.gemini.call import GeminiCall
from gateway.gemini.wire import GenerateContentRequest, GenerationConfig
from gateway.plugin import SERVICES
from gateway.policy.access import Client, digest
from gateway.store.key_value import StoreLimits
from gateway.store.memory import MemoryStore
from gateway.store.response_cache import HEADER, ResponseCache, answer_key, seconds
from tests.support.servers import RawUpstream, Serve, chunked, whole

FOR_AN_HOUR = {HEADER: "3600"}
ASKED = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "hello"}]}


def answer(text: str = "hi", reason: str = "STOP", **fields: Any) -> dict[str, Any]:
    parts = [{"text": text}] if text else []
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": reason, **fields}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r"}


def one(found: object) -> list[bytes | None]:
    return whole(json.dumps(found, indent=2).encode())  # as Google does: over several lines


def events(*found: object) -> list[bytes | None]:
    return [*chunked(*(b"data: " + json.dumps(each).encode() + b"\r\n\r\n" for each in found)), b"0\r\n\r\n"]


async def ask(
    http: aiohttp.ClientSession,
    base: str,
    headers: dict[str, str],
    path: str = "chat/completions",
    **body: Any,
) -> tuple[int, str | None, str]:
    async with http.post(f"{base}/v1/{path}", json={**ASKED, **body}, headers=headers) as response:
        return response.status, response.headers.get(HEADER), await response.text()


def said(text: str) -> str:
    """The content of an answer, streamed or not."""
    if not text.startswith("data:"):
        return str(json.loads(text)["choices"][0]["message"]["content"])
    chunks = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])


@pytest.fixture
async def base(serve: Serve, raw_upstream: RawUpstream) -> str:
    return await serve("", raw_upstream.url)


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("first", [False, True])
async def test_the_same_is_asked_once_streamed_or_not(
    http: aiohttp.ClientSession, serve: Serve, base: str, raw_upstream: RawUpstream, first: bool, second: bool
) -> None:
    half, rest = answer("Grüße, ", ""), answer("Welt")
    del half["candidates"][0]["finishReason"]
    raw_upstream.scripts = [events(half, rest) if first else one(answer("Grüße, Welt"))]
    told = [await ask(http, base, FOR_AN_HOUR, stream=streamed) for streamed in (first, second, second)]

    assert [(status, outcome) for status, outcome, _ in told] == [(200, "miss"), (200, "hit"), (200, "hit")]
    assert {said(text) for _, _, text in told} == {"Grüße, Welt"}
    assert len(raw_upstream.requests) == 1
    assert serve.app[SERVICES].statistics.cache == {"miss": 1, "hit": 2}
    assert (
        serve.app[SERVICES].statistics.models["m"].completion_tokens == 2
    )  # what was kept is not billed again


async def test_an_answer_is_told_by_another_surface_in_its_own_way(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [one(answer())]
    await ask(http, base, FOR_AN_HOUR, max_tokens=50)
    _, outcome, text = await ask(http, base, FOR_AN_HOUR, "messages", max_tokens=50)

    assert outcome == "hit"
    assert json.loads(text)["content"] == [{"type": "text", "text": "hi"}]


@pytest.mark.parametrize("headers", [{}, {HEADER: "off"}, {HEADER: "0"}])
async def test_nothing_is_kept_for_who_did_not_ask(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, headers: dict[str, str]
) -> None:
    raw_upstream.scripts = [one(answer())]
    for _ in range(2):
        assert (await ask(http, base, headers))[1] == ("off" if headers else None)

    assert len(raw_upstream.requests) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"temperature": 0.5},
        {"model": "gemini-2.5-pro"},
        {"messages": [{"role": "user", "content": "hello!"}]},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"google": {"thinking_config": {"thinking_budget": 0}}},
    ],
)
async def test_another_request_is_another(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, other: dict[str, Any]
) -> None:
    raw_upstream.scripts = [one(answer())]
    await ask(http, base, FOR_AN_HOUR)

    assert (await ask(http, base, FOR_AN_HOUR, **other))[1] == "miss"


async def test_another_client_is_another(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [one(answer())]
    await ask(http, base, FOR_AN_HOUR)

    for key in ("test-kez", "test-key2", "test-ke"):
        assert (await ask(http, base, {**FOR_AN_HOUR, "Authorization": f"Bearer {key}"}))[1] == "miss"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "bad",
    [
        answer("h", "SAFETY"),
        answer("h", "RECITATION"),
        {"promptFeedback": {"blockReason": "SAFETY"}},
        answer(""),
    ],
)
async def test_only_whole_answers_are_kept(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, bad: Any, streamed: bool
) -> None:
    raw_upstream.scripts = [events(bad) if streamed else one(bad)]
    assert (await ask(http, base, FOR_AN_HOUR, stream=streamed))[0] == 200

    assert (await ask(http, base, FOR_AN_HOUR, stream=streamed))[1] == "miss"


async def test_a_stream_that_breaks_is_not_kept(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    half = answer("half")
    del half["candidates"][0]["finishReason"]
    raw_upstream.scripts = [events(half), one(answer())]
    await ask(http, base, FOR_AN_HOUR, stream=True)

    assert (await ask(http, base, FOR_AN_HOUR))[1] == "miss"


async def test_a_stream_too_large_to_be_kept_is_let_go_on_its_way(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.exchange.call_state.LARGEST", 300)
    raw_upstream.scripts = [events(answer("x" * 400)), one(answer())]
    assert said((await ask(http, base, FOR_AN_HOUR, stream=True))[2]) == "x" * 400

    assert (await ask(http, base, FOR_AN_HOUR))[1] == "miss"


async def test_choices_of_one_answer_are_not_one_and_the_same(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [one(answer("a")), one(answer("b"))]
    _, outcome, text = await ask(http, base, FOR_AN_HOUR, n=2)

    assert outcome == "off"
    assert sorted(choice["message"]["content"] for choice in json.loads(text)["choices"]) == ["a", "b"]


async def test_a_signature_is_known_again_after_a_kept_answer(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    call = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2lnbg=="}
    raw_upstream.scripts = [one(answer("", content={"parts": [call], "role": "model"}))]
    tools = [{"type": "function", "function": {"name": "f"}}]
    await ask(http, base, FOR_AN_HOUR, tools=tools)
    _, outcome, text = await ask(http, base, FOR_AN_HOUR, tools=tools)
    (made,) = json.loads(text)["choices"][0]["message"]["tool_calls"]
    made.pop("extra_content", None)
    history = [
        *ASKED["messages"],
        {"role": "assistant", "tool_calls": [made]},
        {"role": "tool", "tool_call_id": made["id"], "content": "1"},
    ]
    await ask(http, base, {}, tools=tools, messages=history, model="gemini-3-pro-preview")

    assert outcome == "hit"
    assert b'"thoughtSignature":"c2lnbg=="' in raw_upstream.requests[-1]


async def test_the_operator_s_bound_wins(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [one(answer())]
    base = await serve("cache: {seconds: 0}", raw_upstream.url)

    assert (await ask(http, base, FOR_AN_HOUR))[1] == "off"


async def test_answers_outlive_a_restart_with_a_file(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream, tmp_path: Path
) -> None:
    raw_upstream.scripts = [one(answer())]
    config = f"state: {{file: {tmp_path}/state.db}}"
    await ask(http, await serve(config, raw_upstream.url), FOR_AN_HOUR)
    await serve.stop()

    assert (await ask(http, await serve(config, raw_upstream.url), FOR_AN_HOUR))[1] == "hit"


async def test_a_header_that_is_no_number_is_named(http: aiohttp.ClientSession, base: str) -> None:
    status, _, text = await ask(http, base, {HEADER: "soon"})

    assert (status, json.loads(text)["error"]["param"]) == (400, HEADER)


@pytest.mark.parametrize(
    ("given", "rule", "most", "expected"),
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
def test_how_long_an_answer_may_be_kept(
    given: str | None, rule: float | None, most: float, expected: float
) -> None:
    assert seconds(given, rule, most) == expected


@pytest.mark.parametrize("given", ["-1", "1.5", "", "٣", "1e9", "9" * 13])
def test_odd_headers_are_refused(given: str) -> None:
    with pytest.raises(BadRequest):
        seconds(given, None, 100)


def call(**fields: Any) -> GeminiCall:
    return GeminiCall("m", GenerateContentRequest([], generation_config=GenerationConfig(**fields)))


def client(key: str) -> Client:
    return Client(key, "", digest(key))


async def test_a_store_that_gives_another_entry_is_not_believed() -> None:
    """robustness.md S70: a cached value carries its own key."""

    class Mixed(MemoryStore):
        async def get(self, keys: Any, now: float) -> dict[bytes, str]:
            return dict.fromkeys(keys, next(iter(self._kept.values()))[0])

    answers = ResponseCache(Mixed(StoreLimits()))
    mine, other = answer_key(call(), client("a")), answer_key(call(), client("b"))
    await answers.put(mine, [json.dumps(answer()).encode()], 10, time())

    assert await answers.get(mine, time()) is not None
    assert await answers.get(other, time()) is None


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"key": 1}'])
async def test_what_cannot_be_read_is_not_known(text: str) -> None:
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


async def test_what_is_kept_is_bounded() -> None:
    store = MemoryStore(StoreLimits(megabytes=1))
    answers = ResponseCache(store)
    message = json.dumps(answer("x" * 10_000)).encode()
    for seed in range(500):
        await answers.put(answer_key(call(seed=seed), client("a")), [message], 10, 1000.0)
    await answers.put(answer_key(call(), client("a")), [json.dumps(answer("x" * 2**20)).encode()], 10, 1000.0)

    assert store.bytes <= 2**20
    assert await answers.get(answer_key(call(seed=499), client("a")), 1000.0) is not None
    assert await answers.get(answer_key(call(), client("a")), 1000.0) is None
