"""A Responses request that is read as a plain one becomes what the long way makes of it, byte for byte."""

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
from gateway.plugins.responses import plain_request
from gateway.plugins.responses.fields import RESPONSES
from gateway.plugins.responses.plain_request import PlainRequest
from gateway.plugins.responses.request import conversation
from gateway.plugins.responses.response_object import new_response
from gateway.plugins.responses.wire import PLACEHOLDERS, decode_request
from tests.support import goldens
from tests.support.models import TABLE
from tests.support.plain import CONTEXTS, RESPONSES_REQUESTS, SAFETY, outcome


def decoded(data: bytes) -> PlainRequest | None:
    try:
        return plain_request.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def recorded(data: bytes, *, strict: bool = False) -> ConversationBuilder:
    body = parse(data)
    request = body.decode(decode_request, {} if strict else PLACEHOLDERS)
    return goldens.reviewed(conversation(request, [], body.fields, strict=strict), data, RESPONSES)


def both(data: bytes, context: TranslationContext, *, strict: bool = False) -> None:
    """Compare the two ways of a request, if it is a plain one."""
    plain = decoded(data)
    if plain is None:
        return
    said = plain_request.conversation(plain, lambda: recorded(data, strict=strict))
    if said is None:
        return
    assert outcome(lambda: said, context) == outcome(lambda: recorded(data, strict=strict), context)
    request, short = decode_request(data), plain_request.request(plain)
    assert short == msgspec.structs.replace(request, input=None)
    assert new_response("r", short, "m", 1) == new_response("r", request, "m", 1)
    assert (plain.model, bool(plain.stream)) == (request.model, bool(request.stream))


@given(data=RESPONSES_REQUESTS, context=CONTEXTS, strict=st.booleans())
def test_both_ways_of_a_generated_request_are_equal(
    data: bytes, context: TranslationContext, strict: bool
) -> None:
    both(data, context, strict=strict)


@pytest.mark.slow
@settings(max_examples=10_000)
@given(data=RESPONSES_REQUESTS, context=CONTEXTS, strict=st.booleans())
def test_both_ways_of_10_000_generated_requests_are_equal(
    data: bytes, context: TranslationContext, strict: bool
) -> None:
    both(data, context, strict=strict)


@pytest.mark.parametrize("file", goldens.files("responses"), ids=lambda file: file.stem)
def test_both_ways_of_a_golden_request_are_equal(file: Path) -> None:
    request = goldens.inputs(file)[0]
    model = json.loads(request).get("model", "gemini-2.5-flash")

    both(request.encode(), TranslationContext(model, TABLE.of(model), SAFETY))


USER = {"role": "user", "content": "hi"}
PNG = "data:image/png;base64,iVBORw0KGgo="


@pytest.mark.parametrize(
    ("fields", "is_plain"),
    [
        ({}, True),
        ({"instructions": "Be brief.", "temperature": 1, "top_p": 0.5, "store": False, "stream": True}, True),
        ({"input": [USER, {"role": "assistant", "content": "a", "type": "message"}, USER]}, True),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}]}, True),
        ({"input": [{"role": "user", "content": "a", "id": "msg_1"}]}, False),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, False),
        ({"input": []}, False),
        ({"previous_response_id": "resp_1"}, False),
        ({"background": True}, False),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": PNG}]}]}, True),
        (
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_image", "image_url": PNG, "detail": "auto"}]}
                ]
            },
            True,
        ),
        (
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_image", "image_url": PNG, "detail": "low"}]}
                ]
            },
            False,
        ),
        (
            {
                "input": [
                    {
                        "role": "user",
                        "content": [{"type": "input_image", "image_url": "https://example.com/a.png"}],
                    }
                ]
            },
            False,
        ),
        ({"metadata": {}}, False),
    ],
)
def test_texts_and_numbers_are_plain_and_nothing_else(fields: dict[str, Any], *, is_plain: bool) -> None:
    data = json.dumps({"input": "hi", **fields}).encode()

    assert (decoded(data) is not None) is is_plain
    both(data, TranslationContext("gemini-2.5-flash", TABLE.of("gemini-2.5-flash")))
