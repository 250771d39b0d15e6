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
from tests.support.bodies import COMPLETION, EMBEDDING, F3, MESSAGE, MODERATION, RESPONSE
from tests.support.hostile import Bench, hostile, paths

BODIES = (300, pytest.param(2000, marks=pytest.mark.slow))
"""In CI, and in `make test-faults`."""


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
    bench = Bench(next(path for path, value in SURFACES.items() if value is surface))
    await bench.start()
    yield bench
    await bench.stop()


def structs(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """A Struct, and those of its fields, each once."""
    seen: set[Any] = set()
    waiting = [kind]
    while waiting:
        struct = waiting.pop()
        if get_origin(struct) is not None or get_args(struct):
            waiting += get_args(struct)
        elif isinstance(struct, type) and issubclass(struct, msgspec.Struct) and struct not in seen:
            seen.add(struct)
            yield struct
            waiting += get_type_hints(struct).values()


def keys(value: Any) -> set[str]:
    return {step for path in paths(value) for step in path if isinstance(step, str)}


def test_a_good_body_holds_every_field_that_is_read(surface: Surface) -> None:
    known = keys(surface.body) | {"summary", "content"}
    missing = {
        (struct.__name__, field)
        for struct in structs(surface.read)
        for field in struct.__struct_encode_fields__
        if field not in known
    }

    assert missing == set()


async def test_a_good_body_is_good(bench: Bench, surface: Surface) -> None:
    for body in (surface.least, surface.body):
        status, answer = await bench.send(json.dumps(body).encode())
        assert status == 200, answer


@pytest.mark.row("C25")
@pytest.mark.parametrize("count", BODIES)
async def test_hostile_bodies_are_never_our_fault(bench: Bench, surface: Surface, count: int) -> None:
    rolls = random.Random(4)
    places = sorted(paths(surface.body), key=str)
    statuses: dict[int, int] = {}
    for _ in range(count):
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


@pytest.mark.row("C25")
async def test_a_wrong_type_names_its_field(bench: Bench, surface: Surface) -> None:
    for field in surface.read.__struct_fields__:
        for value in WRONG:
            status, answer = await bench.send(json.dumps({**surface.least, field: value}).encode())
            assert status in (200, 400), (field, value, status, answer)
            if status == 400:
                message = surface.error(json.loads(answer))
                assert field in message or "google" in message, (field, value, message)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"null", b"\xff\xfe", b'{"model":"\xed\xa0\x80"}', b"[" * 500_000, b'{"a":' * 5000],
)  # fmt: skip
async def test_a_body_that_is_no_json_object_is_a_400(bench: Bench, surface: Surface, body: bytes) -> None:
    status, answer = await bench.send(body)

    assert status == 400
    assert "JSON" in surface.error(json.loads(answer)) or "body" in surface.error(json.loads(answer))
