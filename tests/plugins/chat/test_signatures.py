"""The places where clients keep the thought signature of a call or of a text."""

from typing import Any

import msgspec
import pytest

from gateway.plugins.chat.signatures import CallSignatures, of_text
from gateway.plugins.chat.wire import Message


def message_of(call: dict[str, Any], **fields: Any) -> Message:
    call = {"id": "c1", "function": {"name": "f"}, **call}
    return msgspec.convert({"role": "assistant", "tool_calls": [call], **fields}, Message)


def signature_of(message: Message, position: int = 0) -> str | None:
    assert message.tool_calls is not None
    return CallSignatures(message).of_call(message.tool_calls[0], position)


PLACES: list[dict[str, Any]] = [
    {"extra_content": {"google": {"thought_signature": "S"}}},
    {"extra_content": {"google": {}, "vertex": {"thought_signature": "S"}}},
    {"provider_specific_fields": {"thought_signature": "S"}},
    {"function": {"name": "f", "provider_specific_fields": {"thought_signature": "S"}}},
    {"function": {"name": "f", "thought_signature": "S"}},
    {"thought_signature": "S"},
    {"thoughtSignature": "S"},
    {"id": "c1__thought__S"},
]
"""From the first that counts to the last."""


@pytest.mark.parametrize("call", PLACES)
def test_a_call_is_signed_in_any_of_its_places(call: dict[str, Any]) -> None:
    assert signature_of(message_of(call), position=1) == "S"


@pytest.mark.parametrize("later", PLACES[1:])
def test_googles_own_place_wins(later: dict[str, Any]) -> None:
    assert signature_of(message_of({**later, "extra_content": {"google": {"thought_signature": "G"}}})) == "G"


@pytest.mark.parametrize(
    "call", [{}, {"extra_content": {}}, {"extra_content": {"google": {}}}, {"function": None}]
)
def test_a_call_without_a_signature_has_none(call: dict[str, Any]) -> None:
    assert signature_of(message_of(call)) is None


@pytest.mark.parametrize("call_id", ["c1", "c1__thought__"])
def test_openrouters_details_are_found_by_the_calls_id(call_id: str) -> None:
    details = [
        {"type": "reasoning.text", "id": "c1", "data": "text"},
        {"type": "reasoning.encrypted", "id": "other", "data": "other"},
        {"type": "reasoning.encrypted", "id": "c1", "data": "S"},
    ]

    assert signature_of(message_of({"id": call_id}, reasoning_details=details), position=1) == "S"
    assert signature_of(message_of({"id": "c2"}, reasoning_details=details), position=1) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"provider_specific_fields": {"thought_signatures": ["S", "T"]}},
        {"extra_content": {"google": {"thought_signature": "S"}}},
    ],
)
def test_a_signature_of_the_message_is_that_of_the_first_call(fields: dict[str, Any]) -> None:
    message = message_of({}, **fields)

    assert [signature_of(message, position) for position in (0, 1)] == ["S", None]


def test_a_signature_of_the_message_belongs_to_its_text_if_there_is_one() -> None:
    fields = {"extra_content": {"vertex": {"thought_signature": "S"}}}
    message = message_of({}, content="I look.", **fields)

    assert signature_of(message) is None
    assert of_text(message) == "S"


def test_a_text_without_a_signature_has_none() -> None:
    assert [of_text(Message("assistant", "x")), of_text(message_of({}, extra_content={"google": {}}))] == [
        None,
        None,
    ]
