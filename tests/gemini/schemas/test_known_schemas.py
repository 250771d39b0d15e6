"""A schema that is sent again becomes what it became before, and nobody can change what is kept."""

from typing import Any

import pytest

from gateway.errors import BadRequest
from gateway.gemini.schemas import json_schema
from gateway.gemini.schemas.known_schemas import KnownSchemas
from gateway.gemini.schemas.schema_references import InlineBudget, SchemaTooLarge

STEP = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]}
SCHEMAS: list[dict[str, Any]] = [
    {},
    {
        "type": "object",
        "properties": {"b": {"type": "integer", "minimum": 1}, "a": {"enum": ["x", None, 1.0, True]}},
    },
    {"type": "object", "properties": {"x": {"$ref": "#/$defs/S", "description": "d"}}, "$defs": {"S": STEP}},
    {"type": "object", "properties": {"x": {"not": {"type": "string"}}, "y": {"if": {"type": "null"}}}},
    {"type": "object", "properties": {"\u00e4\u20ac": {"default": 10**30, "const": -0.0}}},
]


def outcome(known: KnownSchemas, schema: dict[str, Any], *, ordered: bool) -> tuple[Any, list[str], int]:
    budget, lost = InlineBudget(1000), list[str]()
    return known.sanitize(schema, "tools[0]", budget, ordered=ordered, lost=lost), lost, budget.left


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_known_schema_becomes_what_it_became_before(schema: dict[str, Any], *, ordered: bool) -> None:
    known, budget, lost = KnownSchemas(), InlineBudget(1000), list[str]()
    expected = json_schema.sanitize(schema, "tools[0]", budget, ordered=ordered, lost=lost)

    for _ in range(3):
        cleaned, told, left = outcome(known, schema, ordered=ordered)
        assert repr(cleaned) == repr(expected)  # in the same order, 1 is not 1.0
        assert (told, left) == (lost, budget.left)


def test_some_of_the_schemas_lose_something_and_some_bring_values() -> None:
    outcomes = [outcome(KnownSchemas(), schema, ordered=False) for schema in SCHEMAS]

    assert [bool(lost) for _, lost, _ in outcomes] == [False, False, False, True, False]
    assert [left < 1000 for *_, left in outcomes] == [False, False, True, False, False]


def test_a_caller_may_change_what_it_gets() -> None:
    known = KnownSchemas()
    for _ in range(3):
        cleaned, lost, _ = outcome(known, SCHEMAS[3], ordered=False)
        assert "description" not in cleaned["properties"]["x"]
        cleaned["properties"]["x"]["description"] = "changed"
        lost.append("changed")


def test_paths_order_and_numbers_are_parts_of_the_key() -> None:
    known, schema = KnownSchemas(), {"properties": {"b": {"not": {}}, "a": {"const": 1}}}
    lost: list[list[str]] = [[], [], [], []]
    first = known.sanitize(schema, "p", InlineBudget(), lost=lost[0])
    known.sanitize(schema, "q", InlineBudget(), lost=lost[1])
    ordered = known.sanitize(schema, "p", InlineBudget(), ordered=True, lost=lost[2])
    other = {"properties": {"b": {"not": {}}, "a": {"const": 1.0}}}

    assert "propertyOrdering" in ordered
    assert "propertyOrdering" not in first
    assert (
        repr(known.sanitize(other, "p", InlineBudget(), lost=lost[3])["properties"]["a"]["enum"]) == "[1.0]"
    )
    assert lost[0] == lost[2] == lost[3]
    assert [path.replace("q", "p", 1) for path in lost[1]] == lost[0]


def test_a_budget_is_charged_each_time() -> None:
    known, budget, lost = KnownSchemas(), InlineBudget(40), list[str]()
    known.sanitize(SCHEMAS[2], "p", budget, lost=lost)
    spent = 40 - budget.left

    assert spent > 0
    known.sanitize(SCHEMAS[2], "p", budget, lost=lost)
    assert budget.left == 40 - 2 * spent
    with pytest.raises(SchemaTooLarge, match="more than 3 values"):
        known.sanitize(SCHEMAS[2], "p", InlineBudget(3), lost=lost)


def test_an_error_is_raised_each_time() -> None:
    known = KnownSchemas()
    for _ in range(2):
        with pytest.raises(BadRequest, match="expected a schema"):
            known.sanitize({"items": 5}, "p", InlineBudget(), lost=[])
    assert known.size == 0


def test_the_oldest_are_forgotten_and_large_ones_not_kept() -> None:
    known = KnownSchemas(10_000)
    for i in range(200):
        known.sanitize({"description": f"{i} {'x' * 400}"}, "p", InlineBudget(), lost=[])
        assert known.size <= 10_000
    assert known.size > 8_000

    known.sanitize({"description": "x" * 40_000}, "p", InlineBudget(), lost=[])
    assert 8_000 < known.size <= 10_000
