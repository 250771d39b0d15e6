"""The response cache over HTTP: only on request, per client, for equal calls and complete answers."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.plugin import SERVICES
from gateway.store.response_cache import HEADER
from tests.support.frames import frames
from tests.support.servers import RawUpstream, Serve, chunked, whole

FOR_AN_HOUR = {HEADER: "3600"}
ASKED = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "hello"}]}


def answer(text: str = "hi", reason: str = "STOP", **fields: Any) -> dict[str, Any]:
    parts = [{"text": text}] if text else []
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": reason, **fields}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r"}


def entry(result: object) -> list[bytes | None]:
    return whole(json.dumps(result, indent=2).encode())  # as Google does: over several lines


def events(*result: object) -> list[bytes | None]:
    return [*chunked(*(b"data: " + json.dumps(each).encode() + b"\r\n\r\n" for each in result)), b"0\r\n\r\n"]


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
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in frames(text) if c["choices"])


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
    raw_upstream.scripts = [events(half, rest) if first else entry(answer("Grüße, Welt"))]
    message = [await ask(http, base, FOR_AN_HOUR, stream=streamed) for streamed in (first, second, second)]

    assert [(status, outcome) for status, outcome, _ in message] == [
        (200, "miss"),
        (200, "hit"),
        (200, "hit"),
    ]
    assert {said(text) for _, _, text in message} == {"Grüße, Welt"}
    assert len(raw_upstream.requests) == 1
    assert serve.app[SERVICES].statistics.cache == {"miss": 1, "hit": 2}
    assert (
        serve.app[SERVICES].statistics.models["m"].completion_tokens == 2
    )  # what was kept is not billed again


async def test_a_cached_answer_is_written_by_each_surface_in_its_own_format(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [entry(answer())]
    await ask(http, base, FOR_AN_HOUR, max_tokens=50)
    _, outcome, text = await ask(http, base, FOR_AN_HOUR, "messages", max_tokens=50)

    assert outcome == "hit"
    assert json.loads(text)["content"] == [{"type": "text", "text": "hi"}]


@pytest.mark.parametrize("headers", [{}, {HEADER: "off"}, {HEADER: "0"}])
async def test_nothing_is_cached_for_clients_that_did_not_ask(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, headers: dict[str, str]
) -> None:
    raw_upstream.scripts = [entry(answer())]
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
    raw_upstream.scripts = [entry(answer())]
    await ask(http, base, FOR_AN_HOUR)

    assert (await ask(http, base, FOR_AN_HOUR, **other))[1] == "miss"


async def test_another_client_is_another(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [entry(answer())]
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
    raw_upstream.scripts = [events(bad) if streamed else entry(bad)]
    assert (await ask(http, base, FOR_AN_HOUR, stream=streamed))[0] == 200

    assert (await ask(http, base, FOR_AN_HOUR, stream=streamed))[1] == "miss"


async def test_a_stream_that_breaks_is_not_kept(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    half = answer("half")
    del half["candidates"][0]["finishReason"]
    raw_upstream.scripts = [events(half), entry(answer())]
    await ask(http, base, FOR_AN_HOUR, stream=True)

    assert (await ask(http, base, FOR_AN_HOUR))[1] == "miss"


async def test_a_stream_too_large_to_be_kept_is_let_go_on_its_way(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.exchange.replies.stream_relay.LARGEST", 300)
    raw_upstream.scripts = [events(answer("x" * 400)), entry(answer())]
    assert said((await ask(http, base, FOR_AN_HOUR, stream=True))[2]) == "x" * 400

    assert (await ask(http, base, FOR_AN_HOUR))[1] == "miss"


async def test_choices_of_one_answer_are_not_one_and_the_same(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [entry(answer("a")), entry(answer("b"))]
    _, outcome, text = await ask(http, base, FOR_AN_HOUR, n=2)

    assert outcome == "off"
    assert sorted(choice["message"]["content"] for choice in json.loads(text)["choices"]) == ["a", "b"]


async def test_a_signature_is_known_again_after_a_kept_answer(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    call = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2lnbg=="}
    raw_upstream.scripts = [entry(answer("", content={"parts": [call], "role": "model"}))]
    tools = [{"type": "function", "function": {"name": "f"}}]
    await ask(http, base, FOR_AN_HOUR, tools=tools)
    _, outcome, text = await ask(http, base, FOR_AN_HOUR, tools=tools)
    (created,) = json.loads(text)["choices"][0]["message"]["tool_calls"]
    created.pop("extra_content", None)
    history = [
        *ASKED["messages"],
        {"role": "assistant", "tool_calls": [created]},
        {"role": "tool", "tool_call_id": created["id"], "content": "1"},
    ]
    await ask(http, base, {}, tools=tools, messages=history, model="gemini-3-pro-preview")

    assert outcome == "hit"
    assert b'"thoughtSignature":"c2lnbg=="' in raw_upstream.requests[-1]


async def test_the_operator_s_bound_wins(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [entry(answer())]
    base = await serve("cache: {seconds: 0}", raw_upstream.url)

    assert (await ask(http, base, FOR_AN_HOUR))[1] == "off"


async def test_answers_outlive_a_restart_with_a_file(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream, tmp_path: Path
) -> None:
    raw_upstream.scripts = [entry(answer())]
    config = f"state: {{file: {tmp_path}/state.db}}"
    await ask(http, await serve(config, raw_upstream.url), FOR_AN_HOUR)
    await serve.stop()

    assert (await ask(http, await serve(config, raw_upstream.url), FOR_AN_HOUR))[1] == "hit"


async def test_a_header_that_is_no_number_is_named(http: aiohttp.ClientSession, base: str) -> None:
    status, _, text = await ask(http, base, {HEADER: "soon"})

    assert (status, json.loads(text)["error"]["param"]) == (400, HEADER)
