"""Tool results of each surface reach Gemini whole, each with its own call."""

import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from tests.support.servers import RawUpstream, Serve, ok, whole

ANSWER = {"candidates": [{"content": {"parts": [{"text": "fine"}]}, "finishReason": "STOP"}]}
REFUSAL = {
    "error": {
        "code": 400,
        "message": "The referenced name `#/components/schemas/Pet` in function_response.response does not match to a "
        "display_name in the function_response.parts.",
        "status": "INVALID_ARGUMENT",
    }
}
Results = list[tuple[str, Any]]


def chat(results: Results) -> tuple[str, dict[str, Any]]:
    call = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    return "/v1/chat/completions", {
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "tool_calls": [{"id": call_id, **call} for call_id, _ in results]},
            *({"role": "tool", "tool_call_id": call_id, "content": text} for call_id, text in results),
        ]
    }


def responses(results: Results) -> tuple[str, dict[str, Any]]:
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    outputs = [{"type": "function_call_output", "call_id": c, "output": text} for c, text in results]
    calls = [{"call_id": call_id, **call} for call_id, _ in results]
    return "/v1/responses", {"store": False, "input": [{"role": "user", "content": "go"}, *calls, *outputs]}


def messages(results: Results) -> tuple[str, dict[str, Any]]:
    uses = [{"type": "tool_use", "id": call_id, "name": "f", "input": {}} for call_id, _ in results]
    blocks = [{"type": "tool_result", "tool_use_id": call_id, "content": text} for call_id, text in results]
    turns = [{"role": "assistant", "content": uses}, {"role": "user", "content": blocks}]
    return "/v1/messages", {"max_tokens": 99, "messages": [{"role": "user", "content": "go"}, *turns]}


Surface = Callable[[Results], tuple[str, dict[str, Any]]]
each_surface = pytest.mark.parametrize("surface", [chat, responses, messages])
each_way = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


async def sent(
    http: aiohttp.ClientSession,
    serve: Serve,
    upstream: RawUpstream,
    surface: Surface,
    results: Results,
    *,
    stream: bool,
) -> list[list[Any]]:
    """Return the function responses of each request that reached Gemini, as (id, response)."""
    event = b"data: " + json.dumps(ANSWER).encode() + b"\r\n\r\n"
    upstream.scripts += [whole(event, kind=b"text/event-stream") if stream else ok(ANSWER)]
    path, body = surface(results)
    base = await serve("", upstream.url)
    body = {"model": "gemini-2.5-flash", "stream": stream, **body}
    async with http.post(base + path, json=body) as response:
        assert response.status == 200, await response.text()
        assert "fine" in await response.text()
    return [responses_of(request) for request in upstream.requests]


def responses_of(request: bytes) -> list[Any]:
    contents = json.loads(request.partition(b"\r\n\r\n")[2])["contents"]
    parts = [part.get("functionResponse") for content in contents for part in content["parts"]]
    return [(part.get("id"), part["response"]) for part in parts if part]


@pytest.mark.row("T1")
@each_way
@each_surface
@pytest.mark.parametrize("form", ["%s", "[%s, 1]", '{"deep": [%s]}'])
async def test_t01_a_reference_goes_whole(
    http: aiohttp.ClientSession,
    serve: Serve,
    raw_upstream: RawUpstream,
    surface: Surface,
    form: str,
    stream: bool,
) -> None:
    text = form % '{"schema": {"$ref": "#/components/schemas/Pet"}}'

    (got,) = await sent(http, serve, raw_upstream, surface, [("c1", text)], stream=stream)

    assert got == [("c1", {"output": text})]


@pytest.mark.row("T1")
@each_way
@each_surface
async def test_t01_a_refused_name_is_asked_again_as_text(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream, surface: Surface, stream: bool
) -> None:
    raw_upstream.scripts = [whole(json.dumps(REFUSAL).encode(), b"400 Bad Request")]

    first, second = await sent(
        http,
        serve,
        raw_upstream,
        surface,
        [("c1", '{"a":"x"}'), ("c2", "[1]"), ("c3", "plain")],
        stream=stream,
    )

    assert first == [("c1", {"a": "x"}), ("c2", {"output": [1]}), ("c3", {"output": "plain"})]
    assert second == [
        ("c1", {"output": '{"a":"x"}'}),
        ("c2", {"output": "[1]"}),
        ("c3", {"output": "plain"}),
    ]


@pytest.mark.row("T2")
@each_way
@each_surface
@pytest.mark.parametrize(("call_id", "ids"), [("call-w", ["call-w", "call-w_2"]), ("", [None, None])])
async def test_t02_two_results_of_one_id_reach_their_calls_in_order(
    http: aiohttp.ClientSession,
    serve: Serve,
    raw_upstream: RawUpstream,
    surface: Surface,
    call_id: str,
    ids: list[str | None],
    stream: bool,
) -> None:
    (got,) = await sent(
        http, serve, raw_upstream, surface, [(call_id, "cold"), (call_id, "hot")], stream=stream
    )

    assert got == [(ids[0], {"output": "cold"}), (ids[1], {"output": "hot"})]


@pytest.mark.row("T13")
@each_surface
@pytest.mark.parametrize(
    "text", ["3.10", "9007199254740993", '{"id": 9007199254740993}', "[1.2345678901234567890]"]
)
async def test_t13_numbers_reach_the_model_as_the_tool_wrote_them(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream, surface: Surface, text: str
) -> None:
    (got,) = await sent(http, serve, raw_upstream, surface, [("c1", text)], stream=False)

    assert got == [("c1", {"output": text})]
