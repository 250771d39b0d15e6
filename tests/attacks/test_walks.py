"""Bodies whose translation takes more time than their size shows: refused in the client's terms, off the event loop."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from tests.support.hostile import Bench

MODEL = "gemini-2.5-flash"
MESSAGE = {"role": "user", "content": "x"}


def doubled(levels: int) -> dict[str, Any]:
    """Definitions of which each names the next twice: 2 ** levels schemas once they are inlined."""
    definitions: dict[str, Any] = {
        f"D{i}": {"type": "object", "properties": {name: {"$ref": f"#/$defs/D{i + 1}"} for name in "ab"}}
        for i in range(levels)
    }
    return {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/D0"}},
        "$defs": definitions | {f"D{levels}": {"type": "string"}},
    }


def function(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": schema}}


async def old_google(request: web.Request) -> web.Response:
    """Refuses JSON Schema as Google's older models do."""
    field = '"parametersJsonSchema"' if b"parametersJsonSchema" in await request.read() else ""
    if not field:
        answer = {"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}]}
        return web.json_response(answer)
    message = f"Invalid JSON payload received. Unknown name {field} at 'tools[0].function_declarations[0]': Cannot find field."
    error = {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}
    return web.json_response({"error": error}, status=400)


@pytest.fixture
async def old_model() -> AsyncIterator[Bench]:
    bench = Bench(upstream=old_google)
    await bench.start()
    yield bench
    await bench.stop()


@pytest.mark.row("A3")
async def test_a03_a_remedy_does_not_expand_a_schema_without_end(old_model: Bench) -> None:
    tools = [function("small", {"type": "object", "properties": {"a": {}}}), function("big", doubled(40))]
    body = json.dumps({"model": MODEL, "messages": [MESSAGE], "tools": tools}).encode()
    for _ in range(2):  # the second one meets what the model is known to refuse
        status, answer = await old_model.send(body)

        assert status == 400, answer
        error = json.loads(answer)["error"]
        assert error["param"] == "tools[1].function.parameters"
        assert error["message"].startswith("Invalid 'tools[1].function.parameters': more than 50000 values")
    assert (
        await old_model.send(json.dumps({"model": MODEL, "messages": [MESSAGE], "tools": tools[:1]}).encode())
    )[0] == 200


PATHS: dict[str, tuple[dict[str, Any], str]] = {
    "/v1/chat/completions": (
        {"messages": [MESSAGE], "response_format": {"type": "json_schema", "json_schema": {"schema": "?"}}},
        "response_format.json_schema.schema",
    ),
    "/v1/responses": (
        {"input": "x", "tools": [{"type": "function", "name": "f", "parameters": "?"}]},
        "tools[0].parameters",
    ),
    "/v1/messages": (
        {"max_tokens": 9, "messages": [MESSAGE], "tools": [{"name": "f", "input_schema": "?"}]},
        "tools.0.input_schema",
    ),
}
"""A body of each surface with a schema at `?`, and its path in that surface's spelling."""


@pytest.mark.row("A4", "C27")
@pytest.mark.parametrize("path", PATHS)
async def test_a04_a_schema_that_inlines_too_much_is_named(path: str) -> None:
    body, place = PATHS[path]
    schema = {
        "type": "object",
        "x": {"a": [1] * 24_000},
        "properties": {f"p{i}": {"$ref": "#/x"} for i in range(1300)},
    }
    bench = Bench(path)
    await bench.start()
    try:
        sent = json.dumps({"model": MODEL, **body}).replace('"?"', json.dumps(schema))
        status, answer = await bench.send(sent.encode())
    finally:
        await bench.stop()

    assert status == 400
    assert f"{place}" in json.loads(answer)["error"]["message"]
    assert "once its references are inlined" in json.loads(answer)["error"]["message"]
