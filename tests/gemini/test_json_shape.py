"""Limits on JSON before it is decoded, compared with what a decoder finds."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.gemini.json_shape import (
    LONG_NUMBER,
    MOST_ESCAPES,
    MOST_LEVELS,
    MOST_LONG_DIGITS,
    MOST_MARKS,
    check,
    check_text,
    count,
    has_long_number,
)


def nested(levels: int, value: Any = 1) -> Any:
    for i in range(levels):
        value = [value] if i % 2 else {"a": value}
    return value


@pytest.mark.parametrize("levels", [0, 1, MOST_LEVELS - 1, MOST_LEVELS])
def test_so_many_levels_are_accepted(levels: int) -> None:
    check(json.dumps(nested(levels)).encode())


@pytest.mark.parametrize("levels", [MOST_LEVELS + 1, 1000, 100_000])
def test_more_levels_are_refused(levels: int) -> None:
    data = b"[" * levels + b"1" + b"]" * levels
    with pytest.raises(BadRequest, match="nested more than 100 levels deep") as caught:
        check(data)

    assert caught.value.code == "invalid_json"


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(list(range(MOST_MARKS - 1))).encode(),
        json.dumps("[{,:" * MOST_MARKS).encode(),
        json.dumps({"a": '"[\\' * MOST_MARKS}).encode(),
        json.dumps([{"text": "[[[{{{"} for _ in range(MOST_LEVELS * 10)]).encode(),
        b"",
        b"]]]" * 200,
    ],
    ids=["numbers", "marks in a string", "escapes in a string", "many strings", "nothing", "unbalanced"],
)
def test_few_values_are_accepted(data: bytes) -> None:
    check(data)


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(list(range(MOST_MARKS + 1))).encode(),
        json.dumps([""] * (MOST_MARKS + 1)).encode(),
        json.dumps({str(i): {} for i in range(MOST_MARKS // 2)}).encode(),
        b"[" + b"{}," * MOST_MARKS + b"{}]",
    ],
    ids=["numbers", "strings", "members", "objects"],
)
def test_many_values_are_refused(data: bytes) -> None:
    with pytest.raises(BadRequest, match="holds more than 300000 values") as caught:
        check(data)

    assert caught.value.code == "invalid_json"


JSON = st.recursive(
    st.text(alphabet='ab"\\[]{},:', max_size=6) | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='"\\[{', max_size=3), inner),
)


@settings(max_examples=200)
@given(JSON, st.integers(0, MOST_LEVELS + 40))
def test_levels_are_those_of_the_decoder(value: Any, levels: int) -> None:
    value = nested(levels, value)
    data = json.dumps(value).encode()

    if depth(value) <= MOST_LEVELS:
        check(data)
    else:
        with pytest.raises(BadRequest, match="levels deep"):
            check(data)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@pytest.mark.row("A4")
@pytest.mark.parametrize("escape", [b"\\n", b"\\u0041", b"\\\\", b'\\"'])
def test_many_escapes_are_refused(escape: bytes) -> None:
    """32 MB of them hold the interpreter for 180 ms, in one call of the decoder."""
    backslashes = escape.count(b"\\")
    check(b'{"a":"' + escape * (MOST_ESCAPES // backslashes) + b'"}')
    with pytest.raises(BadRequest, match="holds more than 4000000 escapes"):
        check(b'{"a":"' + escape * (MOST_ESCAPES // backslashes + 1) + b'"}')


@pytest.mark.row("A17", "C22")
@pytest.mark.parametrize("bad", [b"\xff", b"\xed\xa0\x80", b"\xc3", b"\xf8\x88\x80\x80\x80"])
@pytest.mark.parametrize("before", [0, 1, 2**18 - 1, 2**18, 2**19])
def test_a17_the_field_whose_text_is_not_utf8_is_named(bad: bytes, before: int) -> None:
    fields = {
        "good": "\u00e9\u20ac\U0001f600".encode() * 100_000,
        "x" * 100: b'"' + b"a" * before + bad + b'"',
    }
    with pytest.raises(BadRequest, match="is not UTF-8") as caught:
        check_text(b"".join(fields.values()), fields)

    assert caught.value.param == "x" * 64


def test_text_that_is_utf8_passes() -> None:
    text = "a\u00e9\u20ac\U0001f600".encode() * 100_000
    check_text(text, {"a": text})
    check_text(b"ascii", {"a": b"\xff"})  # the fields are not looked at


def numbers(digits: int, each: int) -> bytes:
    return b'{"a":[' + b",".join([b"7" * each] * (digits // each)) + b"]}"


@pytest.mark.row("A4")
@pytest.mark.parametrize("each", [LONG_NUMBER, 4200, 100_000])
def test_a04_many_digits_of_long_numbers_are_refused(each: int) -> None:
    check(numbers(MOST_LONG_DIGITS, min(each, MOST_LONG_DIGITS)))
    with pytest.raises(
        BadRequest, match="holds more than 40000 digits of numbers with 400 or more"
    ) as caught:
        check(numbers(2 * MOST_LONG_DIGITS + each, each))

    assert caught.value.code == "invalid_json"


@pytest.mark.parametrize(
    "data",
    [
        json.dumps({"a": "7" * 1_000_000}).encode(),
        json.dumps({"a": '\\"' + "7" * 1_000_000 + '"', "7" * 1_000_000: 1}).encode(),
        numbers(1_000_000, LONG_NUMBER - 1),
    ],
    ids=["text", "text with quotes, and a name", "numbers that are not long"],
)
def test_digits_in_texts_and_in_short_numbers_are_accepted(data: bytes) -> None:
    check(data)
    assert not has_long_number(data)


@pytest.mark.parametrize("offset", range(30))
def test_one_long_number_is_found_wherever_it_begins(offset: int) -> None:
    for digits in (LONG_NUMBER - 1, LONG_NUMBER, LONG_NUMBER + 1, 5000):
        data = b" " * offset + b'{"a":"1",\n"b":-0.' + b"9" * digits + b"e5}"
        assert has_long_number(data) == (digits >= LONG_NUMBER)


@given(
    st.lists(st.sampled_from([b",", b"x" * 63, b"x" * 64, b"{", b"a", b"y" * 3000]), max_size=300).map(
        b"".join
    )
)
def test_bytes_are_counted_wherever_they_stand(data: bytes) -> None:
    assert (count(data, b","), count(data, b"{")) == (data.count(b","), data.count(b"{"))
