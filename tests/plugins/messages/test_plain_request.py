"""A Messages request that is read as a plain one becomes what the long way makes of it, byte for byte."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.translation import TranslationContext
from gateway.exchange.incoming.request_body import parse
from gateway.plugins.messages import plain_request
from gateway.plugins.messages.fields import MESSAGES
from gateway.plugins.messages.plain_request import PlainRequest
from gateway.plugins.messages.request import conversation
from gateway.plugins.messages.wire import PLACEHOLDERS, decode_request
from tests.support import goldens
from tests.support.models import TABLE
from tests.support.plain import CONTEXTS, MESSAGES_REQUESTS, SAFETY, outcome


def decoded(data: bytes) -> PlainRequest | None:
    try:
        return plain_request.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def recorded(data: bytes, *, strict: bool = False) -> ConversationBuilder:
    body = parse(data)
    request = body.decode(decode_request, {} if strict else PLACEHOLDERS)
    return goldens.reviewed(conversation(request, body.fields, strict=strict), data, MESSAGES)


def both(data: bytes, context: TranslationContext, *, strict: bool = False) -> None:
    """Compare the two ways of a request, if it is a plain one."""
    plain = decoded(data)
    if plain is None:
        return
    said = plain_request.conversation(plain, lambda: recorded(data, strict=strict))
    if said is None:
        return
    assert outcome(lambda: said, context) == outcome(lambda: recorded(data, strict=strict), context)
    request = decode_request(data)
    assert (plain.model, bool(plain.stream)) == (request.model, bool(request.stream))


@given(data=MESSAGES_REQUESTS, context=CONTEXTS, strict=st.booleans())
def test_both_ways_of_a_generated_request_are_equal(
    data: bytes, context: TranslationContext, strict: bool
) -> None:
    both(data, context, strict=strict)


@pytest.mark.slow
@settings(max_examples=10_000)
@given(data=MESSAGES_REQUESTS, context=CONTEXTS, strict=st.booleans())
def test_both_ways_of_10_000_generated_requests_are_equal(
    data: bytes, context: TranslationContext, strict: bool
) -> None:
    both(data, context, strict=strict)


@pytest.mark.parametrize("file", goldens.files("messages"), ids=lambda file: file.stem)
def test_both_ways_of_a_golden_request_are_equal(file: Path) -> None:
    (request,) = goldens.inputs(file)
    model = json.loads(request).get("model", "gemini-2.5-flash")

    both(request.encode(), TranslationContext(model, TABLE.of(model), SAFETY))


USER = {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("fields", "is_plain"),
    [
        ({}, True),
        ({"system": "Be brief.", "temperature": 1, "top_p": 0.5, "top_k": 3, "stream": True}, True),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}, True),
        ({"messages": [{"role": "developer", "content": "a"}]}, False),
        ({"messages": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}]}, False),
        ({"max_tokens": None}, False),
        ({"system": [{"type": "text", "text": "a"}]}, False),
        ({"thinking": {"type": "disabled"}}, False),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "image",
                                "source": {
                                    "type": "base64",
                                    "media_type": "image/png",
                                    "data": "iVBORw0KGgo=",
                                },
                            }
                        ],
                    }
                ]
            },
            True,
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image", "source": {"type": "base64", "data": "iVBORw0KGgo="}}],
                    }
                ]
            },
            False,
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
                        ],
                    }
                ]
            },
            False,
        ),
        ({"metadata": {}}, False),
    ],
)
def test_texts_and_numbers_are_plain_and_nothing_else(fields: dict[str, Any], *, is_plain: bool) -> None:
    data = json.dumps({"messages": [USER], "max_tokens": 5, **fields}).encode()

    assert (decoded(data) is not None) is is_plain
    both(data, TranslationContext("gemini-2.5-flash", TABLE.of("gemini-2.5-flash")))
