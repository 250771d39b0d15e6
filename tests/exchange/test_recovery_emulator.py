"""Refusals that the emulator provokes, as Google does, and their repair, on every surface."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from gateway.emulator.script import load_script
from gateway.emulator.server import CALLS, build_fake
from tests.support.servers import Fake, Serve

F25, F38 = "gemini-2.5-flash", "gemini-3.8-flash"
LINES = {
    "type": "object",
    "properties": {"a": {"type": "array", "maxItems": 500, "items": {"type": "string", "maxLength": 200}}},
}
"""https://github.com/cline/cline/issues/7897"""
PLAIN = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
LONG = {
    "type": "object",
    "properties": {"a": {"type": "string", "enum": [f"action_required_{i:03}" for i in range(160)]}},
}
"""https://github.com/googleapis/python-genai/issues/2133"""
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"


def answering(path: str, schema: Any) -> dict[str, Any]:
    """Return a request for JSON of a schema."""
    if path == CHAT:
        return {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}}
    form = {"type": "json_schema", "name": "n", "schema": schema}
    return {"text": {"format": form}} if path == RESPONSES else {"output_config": {"format": form}}


def declaring(path: str, schema: Any, *, forced: bool = False) -> dict[str, Any]:
    """Return a request with a function."""
    function = {"name": "f", "description": "d"}
    if path == CHAT:
        fields: dict[str, Any] = {
            "tools": [{"type": "function", "function": {**function, "parameters": schema}}]
        }
    elif path == RESPONSES:
        fields = {"tools": [{"type": "function", **function, "parameters": schema}]}
    else:
        fields = {"tools": [{**function, "input_schema": schema}]}
    if forced:
        fields["tool_choice"] = {"type": "any"} if path == MESSAGES else "required"
    return fields


def body(path: str, model: str, fields: dict[str, Any], *, stream: bool) -> dict[str, Any]:
    if path == RESPONSES:
        return {"model": model, "input": "hi", "stream": stream, **fields}
    more = {"max_tokens": 99} if path == MESSAGES else {}
    return {
        "model": model,
        "messages": [{"role": "user", "content": "hi"}],
        "stream": stream,
        **more,
        **fields,
    }


async def ask(
    http: aiohttp.ClientSession, base: str, path: str, request: dict[str, Any]
) -> tuple[int, str | None, str]:
    async with http.post(base + path, json=request) as response:
        return response.status, response.headers.get("x-gateway-notes"), await response.text()


NOTES = {CHAT: "response_format", RESPONSES: "text.format", MESSAGES: "output_config.format"}
TOOLS = {CHAT: "tools", RESPONSES: "tools", MESSAGES: "tools"}


@pytest.mark.row("T6", "T12")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("model", [F25, F38])
@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
async def test_t06_a_schema_with_too_many_states(
    http: aiohttp.ClientSession, gateway: str, fake: Fake, path: str, model: str, stream: bool
) -> None:
    status, notes, text = await ask(
        http, gateway, path, body(path, model, answering(path, LINES), stream=stream)
    )

    assert (status, fake.calls) == (200, 2), text
    assert notes is not None
    assert NOTES[path] in notes
    assert "maxItems 500" in json.dumps(fake.last.body["generationConfig"]["responseJsonSchema"])


@pytest.mark.row("T6", "T12")
@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
@pytest.mark.parametrize("model", [F25, F38])
async def test_t06_long_enums_of_a_forced_function(
    http: aiohttp.ClientSession, gateway: str, fake: Fake, path: str, model: str
) -> None:
    fields = declaring(path, LONG, forced=True)
    status, notes, text = await ask(http, gateway, path, body(path, model, fields, stream=False))

    assert (status, fake.calls) == (200, 2), text
    assert notes == TOOLS[path]
    assert fake.last.body["toolConfig"]["functionCallingConfig"]["mode"] == "ANY"
    assert "One of: action_required_000" in json.dumps(fake.last.body["tools"])
    unforced = declaring(path, LONG)
    assert (await ask(http, gateway, path, body(path, model, unforced, stream=False)))[1] is None
    assert fake.calls == 3


SCRIPTED = [
    "* GenerateContentRequest.tools[0].function_declarations[0].parameters.required[0]: property is not defined\n",
    "* GenerateContentRequest.tools[0].function_declarations[0].parameters.properties[a].properties: only allowed for OBJECT type",
    "* GenerateContentRequest.tools[0].function_declarations[0].parameters.properties[a].enum: only allowed for STRING type",
    "reference to undefined schema at properties.a",
    "schema at properties.a can only contain properties starting with '$' when $ref is present",
    "Model generated invalid JSON syntax and the output could not be parsed. Please retry the request.",
]


@pytest.mark.row("T6", "T12")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
@pytest.mark.parametrize("message", SCRIPTED)
async def test_t06_recorded_refusals_of_a_script(
    http: aiohttp.ClientSession,
    serve: Serve,
    aiohttp_server: Any,
    tmp_path: Path,
    message: str,
    path: str,
    stream: bool,
) -> None:
    file = tmp_path / "recorded.json"
    error = {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}
    file.write_text(json.dumps({"upstream": [{"status": 400, "body": error}]}))
    app = build_fake(load_script(file), pace=0)
    server: TestServer = await aiohttp_server(app)
    base = await serve("", str(server.make_url("")).rstrip("/"))
    status, notes, text = await ask(http, base, path, body(path, F38, declaring(path, PLAIN), stream=stream))

    assert (status, len(app[CALLS])) == (200, 2), text
    assert notes == (None if message.startswith("Model") else "tools")


@pytest.mark.row("M4")
async def test_m4_a_speech_model_gets_no_sampling(
    http: aiohttp.ClientSession, gateway: str, serve: Serve, fake: Fake
) -> None:
    fields = {
        "temperature": 0.7,
        "top_p": 0.9,
        "modalities": ["audio"],
        "audio": {"voice": "vi-vn-Advisor-1", "format": "wav"},
    }
    request = body(CHAT, "gemini-3.8-flash-tts", fields, stream=False)
    status, notes, text = await ask(http, gateway, CHAT, request)

    assert (status, fake.calls) == (200, 1), text
    assert notes == "temperature,top_p"
    config = fake.last.body["generationConfig"]
    assert config == {
        "responseModalities": ["AUDIO"],
        "speechConfig": {"voiceConfig": {"voice": "vi-vn-Advisor-1"}},
    }
    strict = await serve("compat: strict", fake.url)
    status, _, text = await ask(http, strict, CHAT, request)
    assert (status, json.loads(text)["error"]["param"]) == (400, "temperature")


@pytest.mark.row("M4")
@pytest.mark.parametrize(
    ("model", "level"),
    [("gemini-4-neon", "XHIGH"), ("gemini-4-hydrogen", "XHIGH"), ("gemini-4-argon", "HIGH")],
)
async def test_m4_the_level_of_effort_xhigh(
    http: aiohttp.ClientSession, gateway: str, fake: Fake, model: str, level: str
) -> None:
    status, _, text = await ask(
        http, gateway, CHAT, body(CHAT, model, {"reasoning_effort": "xhigh"}, stream=False)
    )

    assert (status, fake.calls) == (200, 1), text
    assert fake.last.body["generationConfig"]["thinkingConfig"]["thinkingLevel"] == level
