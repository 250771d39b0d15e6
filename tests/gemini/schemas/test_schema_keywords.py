"""Keywords in the form that Gemini takes; tests/gemini/schemas/test_json_schema.py has a row for each."""

from typing import Any

import pytest

from gateway.gemini.schemas.schema_keywords import (
    add_bounds,
    add_enum,
    add_format,
    add_type,
    one_of_types,
    or_null,
)


@pytest.mark.parametrize(
    ("value", "out"),
    [
        ("STRING", {"type": "string"}),
        (["string", "null", "file"], {"type": ["string", "null"]}),
        ("file", {}),
        (5, {}),
    ],
)
def test_types_are_known_and_in_lower_case(value: object, out: dict[str, Any]) -> None:
    result: dict[str, Any] = {}
    add_type(result, value)
    assert result == out


def test_bounds_enums_and_formats_keep_what_they_mean() -> None:
    out: dict[str, Any] = {"type": "number"}
    add_bounds(out, {"exclusiveMinimum": 1.5})
    assert out == {"type": "number", "minimum": 1.5, "description": "Must be greater than 1.5."}
    out = {}
    add_enum(out, {"enum": ["a", "", None]})
    assert out == {"enum": ["a"], "type": "string", "nullable": True}
    add_format(out, {"format": "email"})
    assert out["description"] == "Format: email"


def test_alternatives_take_the_keywords_of_their_types() -> None:
    out: dict[str, Any] = {"type": ["string", "integer"], "minLength": 1, "minimum": 2, "title": "t"}
    one_of_types(out, out["type"])
    assert out == {
        "title": "t",
        "anyOf": [{"type": "string", "minLength": 1}, {"type": "integer", "minimum": 2}],
    }
    or_null(out)
    assert out["anyOf"][-1] == {"type": "null"}
