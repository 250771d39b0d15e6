"""A tool's text becomes an object that Gemini takes, and that says the same."""

import json

import msgspec
import pytest

from gateway.conversation.tool_results import json_kind, response_of


@pytest.mark.parametrize(("depth", "is_json"), [(60, True), (99, True), (100, True), (101, False)])
@pytest.mark.parametrize("leaf", ["1", '"[{"', "[]"])
def test_a_result_is_nested_as_deep_as_googles_parser_takes(depth: int, is_json: bool, leaf: str) -> None:
    """A result that is nested deeper than 100 levels is sent as text."""
    depth -= leaf == "[]"
    text = '{"a":' * depth + leaf + "}" * depth

    response = json.loads(bytes(response_of(text)))

    assert response == (json.loads(text) if is_json else {"output": text})


@pytest.mark.parametrize(
    ("text", "response"),
    [
        ('{"a":1.0}', b'{"a":1.0}'),
        ("[1, 2]", b'{"output":[1, 2]}'),
        ("null", b'{"output":"null"}'),
        ("12345678901234567890123", b'{"output":"12345678901234567890123"}'),
        ("NaN", b'{"output":"NaN"}'),
        ("plain", b'{"output":"plain"}'),
        ("", b'{"output":""}'),
    ],
)
def test_a_result_is_an_object_and_keeps_its_own_spelling(text: str, response: bytes) -> None:
    assert bytes(response_of(text)) == response


@pytest.mark.row("A4")
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"a":[' + "{}," * 500_000 + "{}]}", "text"),
        ("[" + "1," * 250_000 + "1]", "array"),
        ('{"a":"' + "x" * 200_000 + '"}', "object"),
        ('{"a":' + "[" * 101 + "]" * 101 + "}", "text"),
        ('{"a":1e999}', "text"),
    ],
)
def test_a04_a_large_json_text_is_checked_without_its_values(text: str, kind: str) -> None:
    """31 MB of arguments were decoded four times: 5.2 seconds, half of it in single calls."""
    written = response_of(text)

    value = msgspec.json.decode(written)
    if kind == "object":
        assert value == json.loads(text)
    elif kind == "array":
        assert value == {"output": json.loads(text)}
    else:
        assert value == {"output": text}


@pytest.mark.row("T1")
@pytest.mark.parametrize(
    "text",
    [
        '{"$ref": "#/a"}',
        '{"schema": {"items": [{"deep": {"$ref": 1}}]}}',
        '[{"$ref": "x"}, 2]',
        '{"\\u0024ref": "x"}',
        '{"$r\\u0065f" : "x"}',
        '{"a":{"\\u0024\\u0072\\u0065\\u0066"\n: null}}',
    ],
)
def test_t01_a_text_with_a_reference_goes_whole(text: str) -> None:
    assert msgspec.json.decode(response_of(text)) == {"output": text}


@pytest.mark.row("T1")
@pytest.mark.parametrize(
    "text", ['{"ref": "$ref"}', '{"a": ["$ref"]}', '{"$refs": 1, "x$ref": 2, "$REF": 3}']
)
def test_t01_words_that_are_no_reference_stay_an_object(text: str) -> None:
    assert bytes(response_of(text)) == text.encode()


@pytest.mark.row("T13")
@pytest.mark.parametrize(
    "text", ["3.10", "1.10", "9007199254740993", "1e3", "0", "-1", "true", "null", '"a"', " 7 "]
)
def test_t13_a_scalar_is_text(text: str) -> None:
    assert msgspec.json.decode(response_of(text)) == {"output": text}
    assert json_kind(text) == "other"


@pytest.mark.row("T13")
@pytest.mark.parametrize(
    ("number", "kept"),
    [
        ("9007199254740992", True),
        ("9007199254740993", False),
        ("-9007199254740993", False),
        ("9007199254740994", True),
        ("12345678901234567890", False),
        ("18446744073709551616", True),
        ("0.1", True),
        ("1.10", True),
        ("0.30000000000000004", True),
        ("0.300000000000000040", True),
        ("0.12345678901234567890", False),
        ("3.14159265358979323846", False),
        ("1e3", True),
        ("1.5E+3", True),
        ("1e-400", False),
        ("1e308", True),
        ("1e309", False),
        ("0.00000000000000000000", True),
        ("0e5", True),
        ("-0", True),
        ("1234567890123456.0", True),
        ("1700000000000000001", False),
    ],
)
@pytest.mark.parametrize("form", ['{"id": %s}', "[1, %s]", '{"a": [{"b": [%s, "x"]}]}'])
def test_t13_a_number_that_a_double_cannot_keep_keeps_the_text_whole(
    number: str, kept: bool, form: str
) -> None:
    text = form % number

    written = msgspec.json.decode(response_of(text))

    if not kept:
        assert written == {"output": text}
    else:
        assert json.loads(text) == (written["output"] if text.startswith("[") else written)


@pytest.mark.row("T13")
@pytest.mark.parametrize(
    "text",
    [
        '{"sha": "9007199254740993", "float": "1e999"}',
        '{"path": "C:\\\\9007199254740993\\\\"}',
        '{"quoted": "say \\"9007199254740993\\" 9007199254740993"}',
    ],
)
def test_t13_numbers_inside_strings_are_no_numbers(text: str) -> None:
    assert bytes(response_of(text)) == text.encode()


@pytest.mark.row("T13")
def test_t13_many_long_numbers_are_not_compared_one_by_one() -> None:
    vector = json.dumps([0.12345678901234568] * 1001)

    assert msgspec.json.decode(response_of(vector)) == {"output": vector}
