"""A chat request's way through refusals, empty answers, several calls and the signature store, over HTTP."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.frames import frames
from tests.support.servers import RawUpstream, Serve, chunked, ok, whole
from tests.support.waiting import eventually

F3 = "gemini-3-flash-preview"
USER = {"role": "user", "content": "go"}
CALL = {
    "functionCall": {"name": "f", "args": {"b": 1, "a": 2}, "id": "w71i0cbt"},
    "thoughtSignature": "c2lnbg==",
}


def gemini(parts: list[dict[str, Any]], reason: str | None = "STOP", **fields: Any) -> dict[str, Any]:
    candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": reason, "index": 0}
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": "m",
        "responseId": "r",
        **fields,
    }


def refused(message: str, status: bytes = b"400 Bad Request", **fields: Any) -> list[bytes | None]:
    error = {"code": int(status[:3]), "message": message, "status": "INVALID_ARGUMENT", **fields}
    return whole(json.dumps({"error": error}).encode(), status)


def events(*chunks: object) -> list[bytes | None]:
    return [*chunked(*(b"data: " + json.dumps(c).encode() + b"\r\n\r\n" for c in chunks)), b"0\r\n\r\n"]


def bodies(upstream: RawUpstream) -> list[dict[str, Any]]:
    return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in upstream.requests]


async def ask(
    http: aiohttp.ClientSession, base: str, /, key: str = "test-key", **body: Any
) -> tuple[int, Any, Any]:
    body.setdefault("messages", [USER])
    headers = {"Authorization": f"Bearer {key}"}
    async with http.post(f"{base}/v1/chat/completions", json=body, headers=headers) as response:
        text = await response.text()
        return response.status, response.headers, text if body.get("stream") else json.loads(text)


@pytest.fixture
async def base(serve: Serve, raw_upstream: RawUpstream) -> str:
    return await serve("plugins: {chat: {}, metrics: {}, translate: {}, hello: {}}", raw_upstream.url)


TEXT = ok(gemini([{"text": "hi"}]))


async def test_two_choices_are_two_calls(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [TEXT]
    _, _, answer = await ask(http, base, model="gemini-2.5-flash", n=2, seed=7)

    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    assert answer["usage"]["prompt_tokens"] == 3
    assert answer["usage"]["completion_tokens"] == 4
    assert sorted(body["generationConfig"]["seed"] for body in bodies(raw_upstream)) == [7, 8]
    assert [body for body in bodies(raw_upstream) if "candidateCount" in body["generationConfig"]] == []


async def test_of_two_choices_a_failed_one_fails_the_answer(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [TEXT, refused("no")]

    assert (await ask(http, base, model="gemini-2.5-flash", n=2))[0] == 400


async def test_a_refused_thinking_level_is_lowered_and_remembered(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [refused("Thinking level MINIMAL is not supported for this model."), TEXT]
    question = {"model": F3, "reasoning_effort": "minimal"}
    status, headers, _ = await ask(http, base, **question)
    await ask(http, base, **question)

    levels = [body["generationConfig"]["thinkingConfig"]["thinkingLevel"] for body in bodies(raw_upstream)]
    assert status == 200
    assert levels == ["MINIMAL", "LOW", "LOW"]
    assert headers["x-gateway-notes"] == "reasoning_effort"


MODALITIES = (
    "The requested combination of response modalities (IMAGE) is not supported by the model. models/X accepts the"
    " following combination of response modalities:\n* IMAGE, TEXT"
)
REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("JSON mode is not enabled for this model", {"response_format": {"type": "json_object"}}, "responseMimeType"),
    ("Penalty is not enabled for this model", {"model": "gemini-2.0-flash", "presence_penalty": 1}, "presencePenalty"),
    ("Logprobs is not enabled for models/x", {"model": "gemini-2.0-flash", "logprobs": True}, "responseLogprobs"),
    ("Developer instruction is not enabled for models/x", {"messages": [{"role": "system", "content": "s"}, USER]},
     "systemInstruction"),
    ("Budget 0 is invalid. This model only works in thinking mode.", {"reasoning_effort": "none"},
     '"thinkingBudget":0'),
    ("Forced function calling (ANY mode) with a response mime type: 'application/json' is unsupported",
     {"model": F3, "response_format": {"type": "json_object"}}, "responseMimeType"),
    ("Function calling with a response mime type: 'application/json' is unsupported",
     {"model": F3, "response_format": {"type": "json_object"}, "tools": [{"function": {"name": "f"}}]},
     "responseMimeType"),
    ("Google Maps tool with a response mime type: 'application/json' is unsupported",
     {"model": F3, "response_format": {"type": "json_object"}}, "responseMimeType"),
    ("Tool use with function calling is unsupported",
     {"model": F3, "web_search_options": {}, "tools": [{"function": {"name": "f"}}]}, "googleSearch"),
    ("Tool call context circulation is not enabled",
     {"model": F3, "web_search_options": {}, "tools": [{"function": {"name": "f"}}]}, "includeServerSide"),
    ("Function calling config is set without function_declarations",
     {"model": F3, "tool_choice": "required", "tools": [{"function": {"name": "f"}}]}, "functionCallingConfig"),
    ("Tool config, tools and system instruction should not be set in the request when using cached content.",
     {"messages": [{"role": "system", "content": "s"}, USER]}, "systemInstruction"),
    ("Multiple candidates is not enabled for this model",
     {"google": {"generation_config": {"candidate_count": 2}}}, "candidateCount"),
    (MODALITIES, {"google": {"response_modalities": ["IMAGE"]}},
     '["IMAGE"]'),
    ("Thinking is not enabled for models/x", {"reasoning_effort": "low"}, "thinkingConfig"),
    ("service_tier is not supported", {"service_tier": "flex"}, "serviceTier"),
    ("Invalid value at 'safety_settings[4].category' (type.googleapis.com/...), \"HARM_CATEGORY_CIVIC_INTEGRITY\"",
     {}, "CIVIC_INTEGRITY"),
    ('Invalid JSON payload received. Unknown name "parametersJsonSchema" at \'tools[0].function_declarations[0]\': Cannot find field.',
     {"tools": [{"function": {"name": "f", "parameters": {"properties": {"a": {"type": "string"}}}}}]},
     "parametersJsonSchema"),
    ("Invalid value at 'generation_config.response_json_schema'",
     {"response_format": {"type": "json_schema", "json_schema": {"schema": {
         "type": "object", "properties": {"a": {"type": "string", "minLength": 3}}}}}}, "minLength"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("told", "question", "gone"), REFUSALS, ids=lambda v: v[:40] if isinstance(v, str) else None
)
async def test_a_refusal_with_a_remedy_is_tried_once_more_without(
    http: aiohttp.ClientSession,
    base: str,
    raw_upstream: RawUpstream,
    told: str,
    question: dict[str, Any],
    gone: str,
) -> None:
    raw_upstream.scripts = [refused(told), TEXT]
    status, headers, _ = await ask(http, base, **{"model": "gemini-2.5-flash", **question})

    first, second = (json.dumps(body, separators=(",", ":")) for body in bodies(raw_upstream))
    assert status == 200
    assert gone in first
    assert gone not in second.replace("Constraint: minLength", "")
    assert ("x-gateway-notes" in headers) is bool(question)  # the safety thresholds are the operator's


async def test_a_refusal_without_a_remedy_is_the_clients(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [refused("Please use a valid role: user, model.")]
    status, _, answer = await ask(http, base, model="gemini-2.5-flash")

    assert (status, answer["error"]["message"]) == (400, "Please use a valid role: user, model.")
    assert len(raw_upstream.requests) == 1


async def test_a_refusal_that_stays_after_one_remedy_is_the_clients_error(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [refused("Penalty is not enabled for this model")]

    assert (await ask(http, base, model="gemini-2.0-flash", presence_penalty=1))[0] == 400
    assert len(raw_upstream.requests) == 2


async def test_strict_mode_changes_no_answer(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [refused("Penalty is not enabled for this model"), TEXT]
    base = await serve("compat: strict", raw_upstream.url)

    assert (await ask(http, base, model="gemini-2.0-flash", presence_penalty=1))[0] == 400


@pytest.mark.parametrize(
    "empty",
    [{}, {"candidates": []}, gemini([]), gemini([{"text": ""}]), gemini([], "MALFORMED_FUNCTION_CALL"),
     gemini([], "UNEXPECTED_TOOL_CALL")],
    ids=["nothing", "no candidate", "no part", "no text", "malformed", "unexpected"],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_holds_nothing_is_asked_for_once_more(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, empty: dict[str, Any], stream: bool
) -> None:
    said = gemini([{"text": "hi"}])
    if stream and not empty.get("candidates"):
        empty = {**empty, "candidates": [{"finishReason": "STOP"}]}
    raw_upstream.scripts = [events(empty), events(said)] if stream else [ok(empty), ok(said)]
    status, _, answer = await ask(http, base, model="gemini-2.5-flash", stream=stream)

    assert status == 200
    assert '"hi"' in (answer if stream else json.dumps(answer))
    assert len(raw_upstream.requests) == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_malformed_twice_is_an_empty_stop(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, stream: bool
) -> None:
    broken = gemini([], "MALFORMED_FUNCTION_CALL")
    broken["candidates"][0]["finishMessage"] = "Malformed function call: x"
    raw_upstream.scripts = [events(broken) if stream else ok(broken)]
    status, _, answer = await ask(http, base, model="gemini-2.5-flash", stream=stream)

    assert (status, len(raw_upstream.requests)) == (200, 2)
    if stream:
        received = frames(answer)
        assert received[-1]["choices"][0]["finish_reason"] == "stop"
        assert received[-2]["choices"][0]["delta"]["extra_content"]["google"]["finish_message"]
        assert answer.endswith("data: [DONE]\n\n")
    else:
        assert answer["choices"][0]["message"]["content"] == ""
        assert answer["choices"][0]["finish_reason"] == "stop"


async def test_a_missing_signature_inside_a_200_is_repaired(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [events(gemini([], "MISSING_THOUGHT_SIGNATURE")), events(gemini([{"text": "hi"}]))]
    history = [
        USER,
        {"role": "assistant", "tool_calls": [_call()]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]
    status, headers, _ = await ask(http, base, model="gemini-2.5-flash", stream=True, messages=history)

    signatures = [body["contents"][1]["parts"][0].get("thoughtSignature") for body in bodies(raw_upstream)]
    assert (status, signatures) == (200, [None, "skip_thought_signature_validator"])
    assert headers["x-gateway-notes"] == "messages.thought_signature"


def _call(call_id: str = "c", **fields: Any) -> dict[str, Any]:
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": "f", "arguments": '{"a": 2, "b": 1}'},
        **fields,
    }


async def test_a_corrupt_signature_is_replaced_by_the_dummy(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [refused("Thought signature is not valid"), TEXT]
    call = _call(extra_content={"google": {"thought_signature": "broken"}})
    history = [
        USER,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]
    status, _, _ = await ask(http, base, model=F3, messages=history)

    signatures = [body["contents"][1]["parts"][0]["thoughtSignature"] for body in bodies(raw_upstream)]
    assert (status, signatures) == (200, ["broken", "skip_thought_signature_validator"])


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_inside_a_200_is_tried_again(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, stream: bool
) -> None:
    broken = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    said = gemini([{"text": "hi"}])
    raw_upstream.scripts = [events(broken), events(said)] if stream else [ok(broken), ok(said)]

    assert (await ask(http, base, model="gemini-2.5-flash", stream=stream))[0] == 200
    assert len(raw_upstream.requests) == 2


async def second_turn(http: aiohttp.ClientSession, base: str, key: str, call: dict[str, Any]) -> None:
    history = [USER, {"role": "assistant", "content": None, "tool_calls": [call]},
               {"role": "tool", "tool_call_id": call["id"], "content": "1"}]  # fmt: skip
    assert (await ask(http, base, key, model=F3, messages=history))[0] == 200


def signature(body: dict[str, Any]) -> str | None:
    received: str | None = body["contents"][1]["parts"][0].get("thoughtSignature")
    return received


DUMMY = "skip_thought_signature_validator"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_dropped_signature_comes_from_the_store_for_the_same_key_only(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, stream: bool
) -> None:
    raw_upstream.scripts = [events(gemini([CALL])) if stream else ok(gemini([CALL])), TEXT]
    await ask(http, base, model=F3, stream=stream)
    await second_turn(http, base, "test-key", _call("w71i0cbt"))
    await second_turn(http, base, "another-key", _call("w71i0cbt"))
    await second_turn(http, base, "test-key", _call("an-id-the-client-made-up"))
    await second_turn(http, base, "another-key", _call("an-id-the-client-made-up"))

    assert [signature(body) for body in bodies(raw_upstream)[1:]] == ["c2lnbg==", DUMMY, "c2lnbg==", DUMMY]


async def test_signatures_outlive_a_restart(
    http: aiohttp.ClientSession, serve: Serve, raw_upstream: RawUpstream, tmp_path: Path
) -> None:
    raw_upstream.scripts = [ok(gemini([CALL])), TEXT]
    text = f"state: {{file: '{tmp_path / 'state.db'}'}}"
    first = await serve(text, raw_upstream.url)
    await ask(http, first, model=F3)
    await serve.stop()
    second = await serve(text, raw_upstream.url)
    await second_turn(http, second, "test-key", _call("w71i0cbt"))

    assert signature(bodies(raw_upstream)[1]) == "c2lnbg=="


async def test_an_images_signature_comes_back_from_the_store(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}, "thoughtSignature": "big"}
    raw_upstream.scripts = [ok(gemini([image])), TEXT]
    model = "gemini-3-pro-image-preview"
    _, _, answer = await ask(http, base, model=model)
    message = answer["choices"][0]["message"]
    await ask(http, base, model=model, messages=[USER, message, USER])

    assert message["images"][0]["image_url"]["url"] == "data:image/png;base64,iVBORw0KGgo="
    assert "big" not in json.dumps(answer)
    assert bodies(raw_upstream)[1]["contents"][1]["parts"][-1]["thoughtSignature"] == "big"


async def test_an_event_of_three_megabytes_passes(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    data = "A" * 3_000_000
    raw_upstream.scripts = [events(gemini([{"inlineData": {"mimeType": "image/png", "data": data}}]))]
    _, _, text = await ask(http, base, model="gemini-2.5-flash-image", stream=True)

    assert frames(text)[1]["choices"][0]["delta"]["images"][0]["image_url"]["url"].endswith(data)


async def test_a_429_before_the_first_event_is_a_429(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [refused("slow down", b"429 Too Many Requests")]
    status, headers, text = await ask(http, base, model="gemini-2.5-flash", stream=True)

    assert (status, headers["Content-Type"]) == (429, "application/json")
    assert json.loads(text)["error"]["code"] == "rate_limit_exceeded"


async def test_two_streams_have_one_role_and_one_end_each(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [events(gemini([{"text": "a"}], None), gemini([{"text": "b"}]))]
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    _, _, text = await ask(http, base, model="gemini-2.5-flash", n=2, **options)

    received = frames(text)
    for index in (0, 1):
        mine = [c["choices"][0] for c in received if c["choices"] and c["choices"][0]["index"] == index]
        assert [c["delta"].get("role") for c in mine].count("assistant") == 1
        assert "".join(c["delta"].get("content", "") for c in mine) == "ab"
        assert [c["finish_reason"] for c in mine if c["finish_reason"]] == ["stop"]
    assert text.count("[DONE]") == 1
    assert len({c["id"] for c in received}) == 1
    assert received[-1]["usage"]["completion_tokens"] == 4


async def test_of_two_streams_a_broken_one_ends_both(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    cut = [*chunked(b"data: " + json.dumps(gemini([{"text": "a"}], None)).encode() + b"\r\n\r\n")]
    raw_upstream.scripts = [cut]
    _, _, text = await ask(http, base, model="gemini-2.5-flash", n=2, stream=True)

    assert frames(text)[-1]["error"]["code"] == "upstream_incomplete"
    assert "[DONE]" not in text


async def test_an_array_instead_of_events_gives_the_same_chunks(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    said = [gemini([{"text": "a"}], None), gemini([{"text": "b"}])]
    raw_upstream.scripts = [events(*said), ok(said)]
    first = await ask(http, base, model="gemini-2.5-flash", stream=True)
    second = await ask(http, base, model="gemini-2.5-flash", stream=True)

    created = frames(first[2])[0]["created"], frames(second[2])[0]["created"]
    assert first[2].replace(str(created[0]), "") == second[2].replace(str(created[1]), "")


async def test_upstream_calls_end_when_the_client_leaves(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    open_end: list[bytes | None] = [
        *chunked(b"data: " + json.dumps(gemini([{"text": "a"}], None)).encode() + b"\r\n\r\n"),
        None,
    ]
    raw_upstream.scripts = [open_end]
    body = {"model": "gemini-2.5-flash", "n": 2, "stream": True, "messages": [USER]}
    async with http.post(f"{base}/v1/chat/completions", json=body) as response:
        await response.content.readany()
    await eventually(raw_upstream.left.is_set)

    assert len(raw_upstream.requests) == 2


async def test_adjusted_fields_are_counted(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [refused("Penalty is not enabled for this model"), TEXT]
    await ask(http, base, model="gemini-2.0-flash", presence_penalty=1, user="u")
    async with http.get(f"{base}/metrics") as response:
        text = await response.text()

    assert 'gateway_adjusted_total{field="presence_penalty"} 1.0' in text
    assert 'gateway_notes_total{field="user"} 1.0' in text
    assert 'gateway_exchanges_total{model="m",status="200"} 1.0' in text
    assert 'gateway_attempts_total{model="gemini-2.0-flash"} 2.0' in text


@pytest.mark.row("T4")
@pytest.mark.parametrize("reason", ["NO_IMAGE", "OTHER", "A_NEW_REASON", "UNEXPECTED_TOOL_CALL"])
async def test_t04_a_failed_turn_tells_its_reason_and_message_and_is_noted(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream, reason: str
) -> None:
    failed = gemini([{"text": "Half."}], reason)
    failed["candidates"][0]["finishMessage"] = "Unable to show."
    raw_upstream.scripts = [ok(failed), events(failed)]
    _, headers, answer = await ask(http, base)
    _, _, stream = await ask(http, base, stream=True)

    expected = {"finish_reason": reason, "finish_message": "Unable to show."}
    assert answer["choices"][0]["message"]["extra_content"] == {"google": expected}
    assert headers["x-gateway-notes"] == f"finish_reason={reason}"
    deltas = [
        c["delta"]
        for chunk in frames(stream.removesuffix("data: [DONE]\n\n").encode())
        for c in chunk["choices"]
    ]
    assert [d["extra_content"] for d in deltas if "extra_content" in d] == [{"google": expected}]
