"""Errors about a field are told in the words of OpenAI's API."""

from typing import Annotated

import msgspec
import pytest
from msgspec import Meta, Struct

from gateway.conversation.invalid import (
    empty_array,
    missing,
    not_json,
    place_of,
    too_long,
    undecodable,
    unsupported_value,
)


class Inner(Struct):
    name: str


class Body(Struct):
    text: str | list[int] | None = None
    count: Annotated[int, Meta(ge=1, le=5)] | None = None
    share: Annotated[float, Meta(ge=0, le=2)] | None = None
    items: Annotated[list[Inner], Meta(min_length=1)] | None = None
    counts: dict[str, int] | None = None


@pytest.mark.parametrize(
    ("body", "param", "code", "message"),
    [
        (b'{"text": {}}', "text", "invalid_type",
         "Invalid type for 'text': expected one of a string or an array, but got an object instead."),
        (b'{"text": [1, "x"]}', "text[1]", "invalid_type",
         "Invalid type for 'text[1]': expected an integer, but got a string instead."),
        (b'{"count": true}', "count", "invalid_type",
         "Invalid type for 'count': expected an integer, but got a boolean instead."),
        (b'{"count": 0}', "count", "integer_below_min_value",
         "Invalid 'count': integer below minimum value. Expected a value >= 1."),
        (b'{"share": 2.5}', "share", "decimal_above_max_value",
         "Invalid 'share': decimal above maximum value. Expected a value <= 2."),
        (b'{"items": []}', "items", "empty_array",
         "Invalid 'items': empty array. Expected an array with minimum length 1, but got an empty array instead."),
        (b'{"items": [{}]}', "items[0].name", "missing_required_parameter",
         "Missing required parameter: 'items[0].name'."),
        (b'{"counts": {"a": "b"}}', "counts[...]", "invalid_type",
         "Invalid type for 'counts[...]': expected an integer, but got a string instead."),
        (b"[]", None, "invalid_type", "Invalid type for 'body': expected an object, but got an array instead."),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_decoded_is_named(
    body: bytes, param: str | None, code: str, message: str
) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(body, type=Body)

    error = undecodable(*place_of(caught.value))

    assert (error.param, error.code, error.message) == (param, code, message)


def test_other_messages_of_msgspec_are_repeated() -> None:
    error = undecodable("Invalid RFC3339 encoded datetime", "at")

    assert (error.param, error.code) == ("at", "invalid_value")
    assert error.message == "Invalid value for 'at': Invalid RFC3339 encoded datetime"


def test_three_types_are_listed_with_commas() -> None:
    error = undecodable("Expected `str | int | array | null`, got `object`", "input")

    assert "expected one of a string, an integer, or an array, but got an object" in error.message


def test_a_clients_value_is_repeated_in_part() -> None:
    error = unsupported_value("x" * 100, ("a", "b"), "tools[0].type")

    assert error.message == f"Invalid value: '{'x' * 40}'. Supported values are: 'a', 'b'."
    assert (error.param, error.code, error.status) == ("tools[0].type", "invalid_value", 400)


def test_arrays_and_absent_fields() -> None:
    assert missing("input").message == "Missing required parameter: 'input'."
    assert too_long("stop", 5, 6).message.endswith(
        "with maximum length 5, but got an array with length 6 instead."
    )
    assert empty_array("prompt").code == "empty_array"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"a": x}', "The request body is not valid JSON: byte 6 is wrong."),
        (b'{"a"', "The request body is not valid JSON."),
    ],
)
def test_a_body_that_is_not_json_is_reported_with_the_place(text: bytes, message: str) -> None:
    with pytest.raises(msgspec.DecodeError) as caught:
        msgspec.json.decode(text)

    error = not_json(caught.value)

    assert (error.message, error.code) == (message, "invalid_json")
