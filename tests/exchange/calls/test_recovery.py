"""Recovery: every remedy with one choice and with several, whole and streamed; and no request is ever changed in place."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from msgspec import Struct

from gateway.exchange.offload import HEAVY
from gateway.gemini.call import GeminiCall
from gateway.gemini.remedies import REMEDIES
from gateway.gemini.wire import encode_request
from gateway.upstream.client import GeminiClient
from tests.support.servers import Serve

F2, F25, F3 = "gemini-2.0-flash", "gemini-2.5-flash", "gemini-3-flash-preview"
USER = {"role": "user", "content": "go"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
JSON = {"response_format": {"type": "json_object"}}
MODALITIES = (
    "The requested combination of response modalities (IMAGE) is not supported by the model. models/X accepts the"
    " following combination of response modalities:\n* IMAGE, TEXT"
)


def called(**call: Any) -> list[dict[str, Any]]:
    """A history with one tool call and its result."""
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}, **call}
    return [
        USER,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
    ]


def declared(properties: dict[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": "f", "parameters": parameters}}


def answering(properties: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties}
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}}


class Case(Struct):
    """A remedy's request, Gemini's message, and the text that Gemini refuses to find, or to miss, in a body."""

    message: str
    fields: dict[str, Any]
    refused: str = ""
    required: str = ""

    def refuses(self, body: str) -> bool:
        return (self.refused in body) if self.refused else (self.required not in body)


CASES: dict[str, Case] = {
    "signature_missing": Case(
        "Function call is missing a thought_signature in functionCall parts.",
        {"model": F25, "messages": called(), "tools": [TOOL]}, required="thoughtSignature"),
    "signature_invalid": Case(
        "Thought signature is not valid.",
        {"model": F25, "tools": [TOOL],
         "messages": called(extra_content={"google": {"thought_signature": "c2lnbmVk"}})},
        refused="c2lnbmVk"),
    "referenced_name": Case(
        "The referenced name `x` in function_response.response does not match to a display_name in the "
        "function_response.parts.",
        {"messages": [*called()[:2], {**called()[2], "content": '{"ref": "x"}'}], "tools": [TOOL]},
        refused='{"ref":"x"}'),
    "prefill": Case(
        "Requests ending with a model turn are not supported.",
        {"messages": [USER, {"role": "assistant", "content": "It"}]}, required="Continue."),
    "forced_json": Case(
        "Forced function calling (ANY mode) with a response mime type: 'application/json' is unsupported",
        {"model": F3, **JSON}, refused="responseMimeType"),
    "maps_json": Case(
        "Google Maps tool with a response mime type: 'application/json' is unsupported", {"model": F3, **JSON},
        refused="responseMimeType"),
    "json_with_tools": Case(
        "Function calling with a response mime type: 'application/json' is unsupported",
        {"model": F3, "tools": [TOOL], **JSON}, refused="responseMimeType"),
    "json_mode": Case("JSON mode is not enabled for this model", JSON, refused="responseMimeType"),
    "built_ins": Case(
        "Tool use with function calling is unsupported", {"model": F3, "web_search_options": {}, "tools": [TOOL]},
        refused="googleSearch"),
    "server_side_on": Case(
        "Please enable tool_config.include_server_side_tool_invocations", {"model": F25, "tools": [TOOL]},
        required="includeServerSideToolInvocations"),
    "server_side_off": Case(
        "Tool call context circulation is not enabled", {"model": F3, "web_search_options": {}, "tools": [TOOL]},
        refused="includeServerSideToolInvocations"),
    "calling_config": Case(
        "Function calling config is set without function_declarations",
        {"model": F3, "tool_choice": "required", "tools": [TOOL]}, refused="functionCallingConfig"),
    "cached_content": Case(
        "Tool config, tools and system instruction should not be set in the request when using cached content.",
        {"messages": [{"role": "system", "content": "s"}, USER]}, refused="systemInstruction"),
    "duplicates": Case(
        "Duplicate function declaration found: f",
        {"tools": [TOOL], "google": {"tools": [{"functionDeclarations": [{"name": "f", "description": "again"}]}]}},
        refused="again"),
    "candidates": Case(
        "Multiple candidates is not enabled for this model",
        {"google": {"generation_config": {"candidate_count": 2}}}, refused="candidateCount"),
    "penalties": Case(
        "Penalty is not enabled for this model", {"model": F2, "presence_penalty": 1}, refused="presencePenalty"),
    "logprobs": Case("Logprobs is not enabled for models/x", {"model": F2, "logprobs": True}, refused="responseLogprobs"),
    "system": Case(
        "Developer instruction is not enabled for models/x",
        {"messages": [{"role": "system", "content": "s"}, USER]}, refused="systemInstruction"),
    "modalities": Case(MODALITIES, {"google": {"response_modalities": ["IMAGE"]}}, refused='["IMAGE"]'),
    "image_size": Case(
        "Aspect ratio is not enabled for this model", {"google": {"aspect_ratio": "1:1", "image_size": "4K"}},
        refused="imageSize"),
    "image_config": Case(
        "Aspect ratio is not enabled for this model", {"google": {"aspect_ratio": "1:1"}}, refused="imageConfig"),
    "image_opaque": Case(
        "Request contains an invalid argument.", {"google": {"image_size": "4K"}}, refused="imageConfig"),
    "thinking_minimal": Case(
        "Thinking level MINIMAL is not supported for this model.", {"model": F3, "reasoning_effort": "minimal"},
        refused="MINIMAL"),
    "thinking_xhigh": Case(
        "Thinking level XHIGH is not supported for this model.", {"model": "gemini-4-neon", "reasoning_effort": "xhigh"},
        refused="XHIGH"),
    "thinking_zero": Case(
        "Budget 0 is invalid. This model only works in thinking mode.", {"reasoning_effort": "none"},
        refused='"thinkingBudget":0'),
    "thinking_level": Case(
        "Thinking level is not supported for this model.", {"model": F3, "reasoning_effort": "low"},
        refused="thinkingLevel"),
    "thinking_budget": Case(
        "Thinking budget is not supported for this model.", {"reasoning_effort": "low"}, refused="thinkingBudget"),
    "thinking": Case("Thinking is not enabled for models/x", {"reasoning_effort": "low"}, refused="thinkingConfig"),
    "service_tier": Case("service_tier is not supported", {"service_tier": "flex"}, refused="serviceTier"),
    "safety": Case(
        "Invalid value at 'safety_settings[4].category', \"HARM_CATEGORY_CIVIC_INTEGRITY\"", {},
        refused="CIVIC_INTEGRITY"),
    "json_schema": Case(
        'Invalid JSON payload received. Unknown name "parametersJsonSchema" at \'tools[0].function_declarations[0]\': Cannot find field.',
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {
            "type": "object", "properties": {"a": {"type": "string"}}}}}]}, refused="parametersJsonSchema"),
    "schema": Case(
        "Invalid value at 'generation_config.response_json_schema'",
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {
            "type": "object", "properties": {"a": {"type": "string", "minLength": 3}}}}}}, refused='"minLength"'),
    "references": Case(
        "reference to undefined schema at properties.a.anyOf.1", {"tools": [declared({"a": {"type": "string"}})]},
        refused="parametersJsonSchema"),
    "schema_misfit": Case(
        "* GenerateContentRequest.tools[0].function_declarations[0].parameters.properties[a].enum: only allowed for STRING type",
        {"tools": [declared({"a": {"type": "integer", "enum": [1, 2]}})]}, refused='"enum"'),
    "schema_classic": Case(
        "* GenerateContentRequest.tools[0].function_declarations[0].parameters.required[0]: property is not defined",
        {"tools": [declared({"a": {"type": "string"}})]}, refused="parametersJsonSchema"),
    "schema_bounds": Case(
        "The specified schema produces a constraint that has too many states for serving.",
        {"tools": [declared({"a": {"type": "array", "maxItems": 500, "items": {"type": "string"}}})]},
        refused='"maxItems"'),
    "unforced": Case(
        "Request contains an invalid argument.",
        {"tools": [declared({"a": {"type": "string"}})], "tool_choice": "required"}, refused='"ANY"'),
    "schemas_in_words": Case(
        "A schema in GenerationConfig in the request exceeds the maximum allowed nesting depth.", answering({"a": {}}),
        refused="responseJsonSchema"),
    "answer_in_words": Case(
        "Request contains an invalid argument.", answering({"a": {}}), refused="responseJsonSchema"),
}  # fmt: skip


class Refusing:
    """An upstream that refuses what a case says, and answers all else. It holds the first calls until all are there."""

    def __init__(self) -> None:
        self.case = Case("", {}, required="")
        self.together = 1
        self.down = ""
        """A model that fails."""
        self.later: list[str] = []
        """Messages of the next refusals, whatever is asked."""
        self.url = ""
        self.bodies: list[str] = []
        self._all_here = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = json.dumps(await request.json(), separators=(",", ":"))
        self.bodies.append(body)
        if len(self.bodies) >= self.together:
            self._all_here.set()
        await self._all_here.wait()
        if self.down and self.down in request.path:
            error = {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}
            return web.json_response({"error": error}, status=503)
        if self.later or self.case.refuses(body):
            message = self.later.pop(0) if self.later else self.case.message
            error = {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}
            return web.json_response({"error": error}, status=400)
        candidate = {"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}
        answer = {"candidates": [candidate], "usageMetadata": {"promptTokenCount": 3}}
        if "stream" not in request.path:
            return web.json_response(answer)
        text = b"data: " + json.dumps(answer).encode() + b"\r\n\r\n"
        return web.Response(body=text, headers={"Content-Type": "text/event-stream"})


@pytest.fixture
async def refusing() -> Refusing:
    return Refusing()


@pytest.fixture
async def base(serve: Serve, refusing: Refusing, aiohttp_server: Any) -> str:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refusing.answer)
    server = await aiohttp_server(app)
    fallbacks = f"models: {{fallbacks: {{{F25}: [{F2}]}}}}"
    refusing.url = f"http://127.0.0.1:{server.port}"
    return await serve(fallbacks, refusing.url)


@pytest.fixture
def unchanged(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[], int]]:
    """Watch every call that is sent. The result says how many were sent, once it has found none of them changed."""
    sent: list[tuple[GeminiCall, bytes]] = []

    def watch(name: str) -> None:
        original = getattr(GeminiClient, name)

        async def watched(client: GeminiClient, call: GeminiCall, key: str, *more: object) -> Any:
            sent.append((call, encode_request(call.request)))
            return await original(client, call, key, *more)

        monkeypatch.setattr(GeminiClient, name, watched)

    def check() -> int:
        for call, before in sent:
            assert encode_request(call.request) == before == call.encode()
        return len(sent)

    watch("send")
    watch("open")
    return check  # type: ignore[return-value]


async def ask(http: aiohttp.ClientSession, base: str, **fields: Any) -> tuple[int, Any, str]:
    body = {"model": F25, "messages": [USER], **fields}
    headers = {"Authorization": "Bearer test-key"}
    async with http.post(f"{base}/v1/chat/completions", json=body, headers=headers) as response:
        return response.status, response.headers, await response.text()


def test_every_remedy_has_a_case() -> None:
    assert {*CASES, "again"} == {remedy.feature for remedy in REMEDIES}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("feature", CASES)
async def test_a_remedy_repairs_each_choice(
    http: aiohttp.ClientSession,
    base: str,
    refusing: Refusing,
    unchanged: Callable[[], int],
    feature: str,
    n: int,
    stream: bool,
) -> None:
    refusing.case, refusing.together = CASES[feature], n
    status, headers, text = await ask(http, base, n=n, stream=stream, **CASES[feature].fields)

    assert status == 200, text
    assert text.count('"hi"') == n
    assert [CASES[feature].refuses(body) for body in refusing.bodies] == [True] * n + [False] * n
    assert ("x-gateway-notes" in headers) is (feature != "safety")  # these thresholds are the operator's
    assert unchanged() == 2 * n


async def test_a_learned_refusal_is_avoided_by_each_choice(
    http: aiohttp.ClientSession, base: str, refusing: Refusing, unchanged: Callable[[], int]
) -> None:
    refusing.case, fields = CASES["thinking_minimal"], CASES["thinking_minimal"].fields
    await ask(http, base, **fields)
    del refusing.bodies[:]
    status, headers, _ = await ask(http, base, n=3, **fields)

    assert (status, headers["x-gateway-notes"]) == (200, "reasoning_effort")
    assert len(refusing.bodies) == 3
    assert unchanged() == 5


async def test_choices_without_a_seed_are_one_call_that_is_encoded_once(
    http: aiohttp.ClientSession, base: str, monkeypatch: pytest.MonkeyPatch, refusing: Refusing
) -> None:
    calls: list[GeminiCall] = []
    original = GeminiClient.send

    async def send(client: GeminiClient, call: GeminiCall, key: str, *more: Any) -> bytes:
        calls.append(call)
        return await original(client, call, key, *more)

    monkeypatch.setattr(GeminiClient, "send", send)
    await ask(http, base, n=3)
    assert len({id(call.encode()) for call in calls}) == 1

    del calls[:]
    await ask(http, base, n=3, seed=5)
    assert len({call.encode() for call in calls}) == 3


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_each_choice_falls_back_and_is_repaired_by_itself(
    http: aiohttp.ClientSession, base: str, refusing: Refusing, unchanged: Callable[[], int], stream: bool
) -> None:
    refusing.case, refusing.down, refusing.together = CASES["penalties"], F25, 2
    fields = {"n": 2, "seed": 7, "presence_penalty": 1, "max_completion_tokens": 100}
    status, headers, text = await ask(http, base, stream=stream, **fields)

    assert (status, text.count('"hi"')) == (200, 2), text
    assert headers["x-gateway-fallback"].split(", ")[0] == f"{F25} overloaded"
    answered = [json.loads(body) for body in refusing.bodies if "presencePenalty" not in body]
    assert sorted(body["generationConfig"]["seed"] for body in answered[-2:]) == [7, 8]
    assert unchanged() == len(refusing.bodies)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_heavy_request_is_repaired_as_well(
    http: aiohttp.ClientSession, base: str, refusing: Refusing, unchanged: Callable[[], int], stream: bool
) -> None:
    refusing.case, refusing.together = CASES["system"], 2
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "x" * (HEAVY + 1)}]
    status, _, text = await ask(http, base, n=2, stream=stream, messages=messages)

    assert (status, text.count('"hi"')) == (200, 2), text[:500]
    assert unchanged() == 4


async def test_a_remedy_that_has_nothing_to_change_leaves_the_clients_error(
    http: aiohttp.ClientSession, base: str, refusing: Refusing
) -> None:
    refusing.case = Case(CASES["penalties"].message, {}, refused="contents")
    status, _, text = await ask(http, base)

    assert (status, len(refusing.bodies)) == (400, 1)
    assert CASES["penalties"].message in text


async def test_a_call_gets_two_remedies_and_no_third(
    http: aiohttp.ClientSession, base: str, refusing: Refusing
) -> None:
    messages = (
        "Penalty is not enabled",
        "Developer instruction is not enabled",
        "service_tier is not supported",
    )
    refusing.later = list(messages)
    status, _, text = await ask(
        http, base, model=F2, presence_penalty=1, service_tier="flex",
        messages=[{"role": "system", "content": "s"}, USER],
    )  # fmt: skip

    assert (status, len(refusing.bodies)) == (400, 3)
    assert messages[2] in text
    last = json.loads(refusing.bodies[2])
    assert "systemInstruction" not in last
    assert "presencePenalty" not in last["generationConfig"]
    assert last["serviceTier"]


@pytest.mark.parametrize(
    ("feature", "status"),
    [("signature_missing", 200), ("system", 200), ("thinking", 400), ("json_mode", 400)],
)
async def test_strict_mode_allows_only_harmless_remedies(
    http: aiohttp.ClientSession, serve: Serve, base: str, refusing: Refusing, feature: str, status: int
) -> None:
    strict = await serve("compat: strict", refusing.url)
    refusing.case = CASES[feature]
    calls = 2 if status == 200 else 1

    assert (await ask(http, strict, **CASES[feature].fields))[0] == status
    assert len(refusing.bodies) == calls


INVALID = "Model generated invalid JSON syntax and the output could not be parsed. Please retry the request."
FORCED = {
    "tools": [declared({"a": {"type": "string", "enum": [f"action_required_{i}" for i in range(200)]}})],
    "tool_choice": "required",
}
OPAQUE = "Request contains an invalid argument."


@pytest.mark.row("T6")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("refusals", "fields", "note"),
    [
        ([INVALID], {}, None),
        ([INVALID, INVALID], answering({"a": {}}), "response_format"),
        ([OPAQUE], FORCED, "tools"),
        ([OPAQUE, OPAQUE], FORCED, "tools,tool_choice"),
        (["reference to undefined schema at $defs.A.properties.b"] * 2, {"tools": FORCED["tools"]}, "tools"),
    ],
)  # fmt: skip
async def test_t06_a_refusal_is_repaired_in_steps(
    http: aiohttp.ClientSession,
    base: str,
    refusing: Refusing,
    refusals: list[str],
    fields: Any,
    note: str | None,
    stream: bool,
) -> None:
    refusing.case, refusing.later = Case("", {}, refused="\0"), list(refusals)
    status, headers, text = await ask(http, base, stream=stream, **fields)

    assert (status, len(refusing.bodies)) == (200, len(refusals) + 1), text
    assert headers.get("x-gateway-notes") == note
    assert len(set(refusing.bodies)) >= len(refusals) + 1 - refusals.count(INVALID)


@pytest.mark.row("T6")
async def test_t06_a_third_refusal_reaches_the_client(
    http: aiohttp.ClientSession, base: str, refusing: Refusing
) -> None:
    refusing.case, refusing.later = Case("", {}, refused="\0"), [OPAQUE] * 3
    status, _, text = await ask(http, base, **FORCED)

    assert (status, len(refusing.bodies)) == (400, 3)
    assert OPAQUE in text


@pytest.mark.row("T6")
async def test_t06_strict_mode_changes_no_schema(
    http: aiohttp.ClientSession, serve: Serve, base: str, refusing: Refusing
) -> None:
    refusing.case, refusing.later = Case("", {}, refused="\0"), [OPAQUE]
    strict = await serve("compat: strict", refusing.url)

    assert (await ask(http, strict, **FORCED))[0] == 400
    refusing.later = [
        "schema at properties.a can only contain properties starting with '$' when $ref is present"
    ]
    assert (await ask(http, strict, tools=FORCED["tools"]))[0] == 200
