"""A tool loop begun on one surface and continued on another, with the same call ids, keeps its signatures."""

import json
from typing import Any

import aiohttp
import pytest

from tests.support.servers import Fake, RawUpstream, Serve, whole

F3 = "gemini-3-flash-preview"
CALLS = [
    {"functionCall": {"name": "f", "args": {"a": 1}, "id": "w71i0cbt"}, "thoughtSignature": "c2lnbg=="},
    {"functionCall": {"name": "g", "args": {}, "id": "w71i0cbu"}},
]
LOOP: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}, {"messages": [
        {"role": "user", "content": "x"},
        {"role": "assistant", "tool_calls": [
            {"id": "w71i0cbt", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}},
            {"id": "w71i0cbu", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "w71i0cbt", "content": "1"},
        {"role": "tool", "tool_call_id": "w71i0cbu", "content": "2"}]}),
    "responses": ("/v1/responses", {"input": "x", "store": False}, {"store": False, "input": [
        {"role": "user", "content": "x"},
        {"type": "function_call", "call_id": "w71i0cbt", "name": "f", "arguments": "{\"a\": 1}"},
        {"type": "function_call", "call_id": "w71i0cbu", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "w71i0cbt", "output": "1"},
        {"type": "function_call_output", "call_id": "w71i0cbu", "output": "2"}]}),
    "messages": ("/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": "x"}]},
                 {"max_tokens": 9, "messages": [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "w71i0cbt", "name": "f", "input": {"a": 1}},
            {"type": "tool_use", "id": "w71i0cbu", "name": "g", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "w71i0cbt", "content": "1"},
            {"type": "tool_result", "tool_use_id": "w71i0cbu", "content": "2"}]}]}),
}  # fmt: skip
"""Path, first request, and the one with the results."""


def answer(*parts: Any) -> bytes:
    return json.dumps({"candidates": [{"content": {"parts": list(parts)}, "finishReason": "STOP"}]}).encode()


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("second", LOOP)
@pytest.mark.parametrize("first", LOOP)
async def test_signatures_are_kept(
    http: aiohttp.ClientSession,
    serve: Serve,
    raw_upstream: RawUpstream,
    first: str,
    second: str,
    streamed: bool,
) -> None:
    calls, done = answer(*CALLS), answer({"text": "done"})
    begun = whole(b"data: " + calls + b"\r\n\r\n", kind=b"text/event-stream") if streamed else whole(calls)
    raw_upstream.scripts = [begun, whole(done)]
    base = await serve("", raw_upstream.url)
    path, body, _ = LOOP[first]
    async with http.post(base + path, json={"model": F3, "stream": streamed, **body}) as response:
        text = await response.text()
        assert response.status == 200
    assert "w71i0cbt" in text
    path, _, body = LOOP[second]
    async with http.post(base + path, json={"model": F3, **body}) as response:
        assert response.status == 200, await response.text()

    sent = json.loads(raw_upstream.requests[1].partition(b"\r\n\r\n")[2])
    parts = sent["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["c2lnbg==", None]
    assert [part["functionCall"]["id"] for part in parts] == ["w71i0cbt", "w71i0cbu"]
    results = [part["functionResponse"]["name"] for part in sent["contents"][2]["parts"]]
    assert results == ["f", "g"]


FUNCTION = {
    "name": "f",
    "description": "d",
    "parameters": {"type": "object", "properties": {"a": {"type": "string"}}},
}


@pytest.mark.row("G23")
@pytest.mark.parametrize(("model", "mode"), [(F3, "VALIDATED"), ("gemini-2.0-flash", "AUTO")])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {**LOOP["chat"][1], "tool_choice": "validated", "tools": [{"type": "function", "function": FUNCTION}]}),
        ("/v1/chat/completions", {**LOOP["chat"][1], "tool_choice": "VALIDATED", "tools": [{"type": "function", "function": FUNCTION}]}),
        ("/v1/chat/completions", {**LOOP["chat"][1], "tool_choice": {"type": "validated"}, "tools": [{"type": "function", "function": FUNCTION}]}),
        ("/v1/responses", {**LOOP["responses"][1], "tool_choice": "validated", "tools": [{"type": "function", **FUNCTION}]}),
        ("/v1/responses", {**LOOP["responses"][1], "tool_choice": {"type": "validated"}, "tools": [{"type": "function", **FUNCTION}]}),
        ("/v1/messages", {**LOOP["messages"][1], "tool_choice": {"type": "validated"},
                          "tools": [{"name": "f", "input_schema": FUNCTION["parameters"]}]}),
    ],
)  # fmt: skip
async def test_g23_copilots_tool_choice_is_geminis_mode(
    http: aiohttp.ClientSession,
    gateway: str,
    fake: Fake,
    path: str,
    body: Any,
    stream: bool,
    model: str,
    mode: str,
) -> None:
    async with http.post(gateway + path, json={**body, "model": model, "stream": stream}) as response:
        assert response.status == 200, await response.text()
    assert fake.last.body["toolConfig"]["functionCallingConfig"] == {"mode": mode}
