"""The rules for bad input, on each surface: never our fault, named in the client's terms, in the dialect's own shape.

Each good body must hold every field that its surface's Structs read, so that a new field is spoilt from its first day.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest

from gateway.plugins.completions.wire import CompletionRequest
from gateway.plugins.embeddings.wire import EmbeddingRequest
from gateway.plugins.messages.wire import MessagesRequest
from gateway.plugins.moderations.wire import ModerationRequest
from gateway.plugins.responses.wire import ResponseRequest
from tests.support.hostile import Bench, hostile, paths

BODIES = 2000
PNG = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"enum": ["x", None]}}}
GOOGLE = {"thinking_config": {"thinking_level": "low"}, "generation_config": {"topK": 4}, "tools": []}
F3 = "gemini-3-flash-preview"

RESPONSE: dict[str, Any] = {
    "model": F3, "instructions": [{"role": "system", "content": "s"}], "stream": False, "max_output_tokens": 50,
    "stream_options": {"include_obfuscation": False}, "temperature": 1, "top_p": 0.5, "top_logprobs": 1,
    "reasoning": {"effort": "low", "summary": "auto", "generate_summary": "auto"},
    "text": {"format": {"type": "json_schema", "name": "n", "description": "d", "schema": SCHEMA, "strict": True},
             "verbosity": "low"},
    "tools": [{"type": "function", "name": "f", "description": "d", "parameters": SCHEMA, "strict": False},
              {"type": "custom", "name": "c", "format": {"type": "text"}},
              {"type": "namespace", "name": "ns", "tools": [{"type": "function", "name": "g", "parameters": {}}]},
              {"type": "web_search", "user_location": {"city": "Oslo"}}],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "name": "f", "tools": [{"type": "function", "name": "f"}]},
    "parallel_tool_calls": True, "include": ["reasoning.encrypted_content"], "previous_response_id": None,
    "store": False, "service_tier": "auto", "prompt_cache_key": "k", "metadata": {"a": "b"}, "background": False, "conversation": None,
    "prompt": None, "google": GOOGLE, "extra_body": {"google": GOOGLE},
    "web_search_options": {"user_location": {"approximate": {
        "city": "Oslo", "region": "Oslo", "country": "NO", "timezone": "Europe/Oslo"}}},
    "input": [
        {"type": "message", "id": "m1", "role": "user", "content": [
            {"type": "input_text", "text": "hi"}, {"type": "input_image", "image_url": PNG, "detail": "low"},
            {"type": "input_file", "file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf",
             "file_id": None, "file_url": None},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]},
        {"type": "reasoning", "id": "r1", "encrypted_content": "x"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "1"}]},
        {"type": "custom_tool_call", "call_id": "c2", "name": "c", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "1"},
        {"type": "image_generation_call", "id": "i1", "result": "iVBORw0KGgo="},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"role": "user", "content": "and?"},
    ],
}  # fmt: skip
MESSAGE: dict[str, Any] = {
    "model": F3, "max_tokens": 50, "stream": False, "temperature": 1, "top_p": 0.5, "top_k": 3,
    "stop_sequences": ["x"], "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
    "tools": [{"name": "f", "type": "custom", "description": "d", "input_schema": SCHEMA, "strict": True},
              {"type": "web_search_20250305", "name": "web_search", "allowed_domains": ["a.example"],
               "blocked_domains": [], "user_location": {"type": "approximate", "city": "Oslo"}}],
    "tool_choice": {"type": "auto", "name": "f", "disable_parallel_tool_use": True},
    "google": GOOGLE, "extra_body": {"google": GOOGLE}, "system": [{"type": "text", "text": "s"}],
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "hi"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
            {"type": "image", "source": {"type": "url", "url": "https://generativelanguage.googleapis.com/v1beta/files/x"}},
            {"type": "document", "title": "t", "source": {"type": "content", "content": "x", "file_id": None}}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "t", "signature": "c2ln"}, {"type": "redacted_thinking", "data": "x"},
            {"type": "tool_use", "id": "u1", "name": "f", "input": {"a": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "u1", "is_error": False,
                                      "content": [{"type": "text", "text": "1"}]}]},
    ],
}  # fmt: skip
COMPLETION: dict[str, Any] = {
    "model": F3, "prompt": ["x", "y"], "suffix": "z", "echo": True, "stream": False, "max_tokens": 5,
    "stream_options": {"include_usage": True}, "temperature": 1, "top_p": 0.5, "n": 1, "best_of": 1, "seed": 4,
    "stop": ["a"], "presence_penalty": 0, "frequency_penalty": 0, "logprobs": 1, "user": "u",
}  # fmt: skip
EMBEDDING: dict[str, Any] = {
    "model": "gemini-embedding-001", "input": ["x", "y"], "dimensions": 256, "encoding_format": "float",
    "task_type": "CLUSTERING", "title": "t", "google": {"task_type": "CLUSTERING", "title": "t"},
    "extra_body": {"google": {"task_type": "CLUSTERING"}}, "user": "u",
}  # fmt: skip
MODERATION: dict[str, Any] = {
    "model": "omni-moderation-latest",
    "input": [
        {"type": "text", "text": "x"},
        {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
    ],
}


def openai_error(answer: Any) -> str:
    """The message and param, once the shape is seen to be OpenAI's."""
    assert set(answer) == {"error"}
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    return f"{answer['error']['param']} {answer['error']['message']}"


def anthropic_error(answer: Any) -> str:
    assert (set(answer), answer["type"]) == ({"type", "error", "request_id"}, "error")
    assert set(answer["error"]) == {"type", "message"}
    return str(answer["error"]["message"])


class Surface(msgspec.Struct):
    """A good body of one surface; `least` is one without anything that is optional."""

    body: dict[str, Any]
    read: type[msgspec.Struct]
    error: Callable[[Any], str]
    least: dict[str, Any]
    light: tuple[str, ...] = ()


OPENAI = openai_error
SURFACES: dict[str, Surface] = {
    "/v1/responses": Surface(RESPONSE, ResponseRequest, OPENAI, {"model": F3, "input": "x"},
                             ("tool_choice", "text", "instructions", "google")),
    "/v1/messages": Surface(MESSAGE, MessagesRequest, anthropic_error,
                            {"model": F3, "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]},
                            ("tool_choice", "tools", "output_config", "google")),
    "/v1/messages/count_tokens": Surface(MESSAGE, MessagesRequest, anthropic_error,
                                         {"model": F3, "messages": [{"role": "user", "content": "x"}]}, ("google",)),
    "/v1/responses/input_tokens": Surface(RESPONSE, ResponseRequest, OPENAI, {"model": F3, "input": "x"}, ("google",)),
    "/v1/completions": Surface(COMPLETION, CompletionRequest, OPENAI, {"model": F3, "prompt": "x"}, ("logprobs",)),
    "/v1/embeddings": Surface(EMBEDDING, EmbeddingRequest, OPENAI, {"input": "x"}),
    "/v1/moderations": Surface(MODERATION, ModerationRequest, OPENAI, {"input": "x"}),
}  # fmt: skip


@pytest.fixture(params=SURFACES)
def surface(request: pytest.FixtureRequest) -> Surface:
    return SURFACES[request.param]


@pytest.fixture
async def bench(request: pytest.FixtureRequest, surface: Surface) -> AsyncIterator[Bench]:
    found = Bench(next(path for path, one in SURFACES.items() if one is surface))
    await found.start()
    yield found
    await found.stop()


def structs(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """A Struct, and those of its fields, each once."""
    seen: set[Any] = set()
    waiting = [kind]
    while waiting:
        one = waiting.pop()
        if get_origin(one) is not None or get_args(one):
            waiting += get_args(one)
        elif isinstance(one, type) and issubclass(one, msgspec.Struct) and one not in seen:
            seen.add(one)
            yield one
            waiting += get_type_hints(one).values()


def keys(value: Any) -> set[str]:
    return {step for path in paths(value) for step in path if isinstance(step, str)}


def test_a_good_body_holds_every_field_that_is_read(surface: Surface) -> None:
    known = keys(surface.body) | {"summary", "content"}
    missing = {
        (found.__name__, field)
        for found in structs(surface.read)
        for field in found.__struct_fields__
        if field not in known
    }

    assert missing == set()


async def test_a_good_body_is_good(bench: Bench, surface: Surface) -> None:
    for body in (surface.least, surface.body):
        status, answer = await bench.send(json.dumps(body).encode())
        assert status == 200, answer


async def test_hostile_bodies_are_never_our_fault(bench: Bench, surface: Surface) -> None:
    rolls = random.Random(4)
    places = sorted(paths(surface.body), key=str)
    statuses: dict[int, int] = {}
    for _ in range(BODIES):
        body = hostile(surface.body, places, surface.light, rolls)
        status, answer = await bench.send(body)
        statuses[status] = statuses.get(status, 0) + 1
        assert status in (200, 400), (status, answer[:300], body[:2000])
        if status == 400:
            surface.error(json.loads(answer))
        await asyncio.sleep(0)

    assert statuses[200] > 20  # or nothing beyond the decoder was ever reached
    assert statuses[400] > 20


WRONG: list[Any] = [True, 5, 2.5, "text", [], ["x"], {}, {"x": 1}]


async def test_a_wrong_type_names_its_field(bench: Bench, surface: Surface) -> None:
    for field in surface.read.__struct_fields__:
        for value in WRONG:
            status, answer = await bench.send(json.dumps({**surface.least, field: value}).encode())
            assert status in (200, 400), (field, value, status, answer)
            if status == 400:
                told = surface.error(json.loads(answer))
                assert field in told or "google" in told, (field, value, told)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"null", b"\xff\xfe", b'{"model":"\xed\xa0\x80"}', b"[" * 500_000, b'{"a":' * 5000],
)  # fmt: skip
async def test_what_is_no_json_object_is_a_400(bench: Bench, surface: Surface, body: bytes) -> None:
    status, answer = await bench.send(body)

    assert status == 400
    assert "JSON" in surface.error(json.loads(answer)) or "body" in surface.error(json.loads(answer))
