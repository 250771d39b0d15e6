"""A chat request that is read as a plain one becomes what the long way makes of it, byte for byte."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.translation import TranslationContext, translate
from gateway.errors import GatewayError
from gateway.exchange.incoming.request_body import parse
from gateway.plugins.chat import plain_request
from gateway.plugins.chat.fields import CHAT
from gateway.plugins.chat.plain_request import PlainRequest
from gateway.plugins.chat.request import conversation
from gateway.plugins.chat.wire import PLACEHOLDERS, decode_request
from tests.support import goldens
from tests.support.models import TABLE
from tests.support.plain import CHAT_DECLARED, CHAT_REQUESTS, CONTEXTS, SAFETY, outcome

USER = {"role": "user", "content": "hi"}
PNG = "data:image/png;base64,iVBORw0KGgo="


def decoded(data: bytes) -> PlainRequest | None:
    try:
        return plain_request.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def recorded(data: bytes, *, strict: bool = False) -> ConversationBuilder:
    body = parse(data)
    request = body.decode(decode_request, {} if strict else PLACEHOLDERS)
    return goldens.reviewed(conversation(request, body.fields, strict=strict), data, CHAT)


def short_way(
    plain: PlainRequest, data: bytes, context: TranslationContext, *, strict: bool
) -> tuple[Any, ...] | None:
    """Return what becomes of a plain request, or its error; None where it goes the long way from the beginning."""
    try:
        said = plain_request.conversation(plain, lambda: recorded(data, strict=strict), strict=strict)
    except GatewayError as error:
        return error.status, error.code, error.param, error.message
    return outcome(lambda: said, context) if said is not None else None


def both(data: bytes, context: TranslationContext, *, strict: bool = False) -> None:
    """Compare the two ways of a request, if it is a plain one."""
    plain = decoded(data)
    if plain is None:
        return
    long = outcome(lambda: recorded(data, strict=strict), context)
    for _ in range(2):  # the first one learns the declarations
        if (short := short_way(plain, data, context, strict=strict)) is None:
            return
        assert short == long
    if isinstance(long[0], int):  # an error
        return
    request = parse(data).decode(decode_request, PLACEHOLDERS)
    options = request.model, bool(request.stream), request.n or 1
    assert (plain.model, bool(plain.stream), 1) == options
    usage = bool(request.stream_options and request.stream_options.include_usage)
    assert bool(plain.stream_options and plain.stream_options.include_usage) == usage


@given(data=CHAT_REQUESTS, context=CONTEXTS, strict=st.booleans())
def test_both_ways_of_a_generated_request_are_equal(
    data: bytes, context: TranslationContext, strict: bool
) -> None:
    both(data, context, strict=strict)


@pytest.mark.slow
@settings(max_examples=10_000)
@given(data=CHAT_REQUESTS, context=CONTEXTS, strict=st.booleans())
def test_both_ways_of_10_000_generated_requests_are_equal(
    data: bytes, context: TranslationContext, strict: bool
) -> None:
    both(data, context, strict=strict)


@pytest.mark.parametrize("declared", CHAT_DECLARED)
def test_declarations_that_are_known_are_plain(declared: dict[str, Any]) -> None:
    data = json.dumps({"messages": [USER], **declared}).encode()
    context = TranslationContext("gemini-3.5-flash", TABLE.of("gemini-3.5-flash"), SAFETY)
    plain = decoded(data)
    assert plain is not None
    said = plain_request.conversation(plain, lambda: recorded(data), strict=False)
    assert said is not None

    both(data, context)

    unread = structs.replace(said, recorded=lambda: pytest.fail("it went the long way"))
    assert translate(unread, context).request == translate(recorded(data), context).request


@pytest.mark.parametrize(
    "tools",
    [
        [{"type": "google_search"}],
        [{"name": "f", "input_schema": {"type": "object", "properties": {"a": {}}}}],
        [{"type": "nothing"}],
    ],
)
def test_declarations_that_say_more_go_the_long_way(tools: list[Any]) -> None:
    data = json.dumps({"messages": [USER], "tools": tools}).encode()
    plain = decoded(data)
    assert plain is not None

    assert plain_request.conversation(plain, lambda: recorded(data), strict=False) is None


@pytest.mark.parametrize("file", goldens.files("chat"), ids=lambda file: file.stem)
def test_both_ways_of_a_golden_request_are_equal(file: Path) -> None:
    (request,) = goldens.inputs(file)
    model = json.loads(request).get("model", "gemini-2.5-flash")

    both(request.encode(), TranslationContext(model, TABLE.of(model), SAFETY))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"model": None, "stream": None, "temperature": None, "max_tokens": None, "n": None, "seed": None},
        {"model": "gemini-2.5-flash", "stream": True, "stream_options": {"include_usage": True}},
        {"temperature": 1, "top_p": 0.5, "top_k": 3, "max_tokens": 5, "seed": -1, "n": 1},
        {"max_completion_tokens": 5, "presence_penalty": 0, "frequency_penalty": 0.0},
        {"messages": [{"role": "system", "content": "a"}, USER, {"role": "assistant", "content": "b"}, USER]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": PNG}]}]},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": PNG, "detail": "auto"}}],
                }
            ]
        },
    ],
)
def test_a_usual_request_is_plain(fields: dict[str, Any]) -> None:
    plain = decoded(json.dumps({"messages": [USER], **fields}).encode())

    assert plain is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"unknown": 1},
        {"user": "u"},
        {"stop": "x"},
        {"n": 2},
        {"n": 0},
        {"seed": 2**31},
        {"temperature": 2.1},
        {"temperature": True},
        {"presence_penalty": 0.1},
        {"max_tokens": 0},
        {"messages": []},
        {"messages": [{**USER, "name": "Ann"}]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": []}]},
        {"messages": [{"role": "assistant", "content": None}]},
        {"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {}}]}]},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}],
                }
            ]
        },
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": "https://example.com/a.png"}]}
            ]
        },
        {"stream_options": {"include_obfuscation": False}},
    ],
)
def test_anything_else_is_not(fields: dict[str, Any]) -> None:
    assert decoded(json.dumps({"messages": [USER], **fields}).encode()) is None


@given(st.binary(max_size=40))
@example(b"")
@example(b'{"messages":[{"role":"user","content":"\xff"}]}')
@example(b'{"messages":[{"role":"user","content":"\\ud800"}]}')
def test_bytes_that_are_no_request_are_not_plain(data: bytes) -> None:
    assert decoded(data) is None
    with pytest.raises(GatewayError):
        recorded(data)
