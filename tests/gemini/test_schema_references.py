"""References inside a JSON Schema."""

from typing import Any

import pytest

from gateway.gemini.schema_references import (
    definition_name,
    definitions_of,
    pointed_schema,
    recursive_definitions,
)

ROOT: dict[str, Any] = {
    "properties": {"a": {"type": "string"}, "a/b": {"type": "integer"}, "~": {"type": "null"}},
    "anyOf": [{"type": "boolean"}],
    "loop": {"$ref": "#/loop"},
    "out": {"items": {"$ref": "#/properties/a"}},
    "fine": {"items": {"$ref": "#/$defs/A"}},
}


def test_definitions_come_from_both_keywords() -> None:
    assert definitions_of({"definitions": {"A": 1, "B": 2}, "$defs": {"A": 3}}) == {"A": 3, "B": 2}
    assert definitions_of({"definitions": [], "$defs": None}) == {}


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("#/$defs/A", "A"),
        ("#/definitions/A", "A"),
        ("#/$defs/a~1b~0c", "a/b~c"),
        ("#/properties/a", None),
        ("#", None),
        ("https://example.com/a", None),
    ],
)
def test_the_name_of_a_definition(ref: str, name: str | None) -> None:
    assert definition_name(ref) == name


@pytest.mark.parametrize(
    ("ref", "target"),
    [
        ("#/properties/a", {"type": "string"}),
        ("#/properties/a~1b", {"type": "integer"}),
        ("#/properties/~0", {"type": "null"}),
        ("#/anyOf/0", {"type": "boolean"}),
        ("#/anyOf/1", None),
        ("#/anyOf/x", None),
        ("#/nothing", None),
        ("#/properties/a/type", None),
        ("#/properties/a/type/deeper", None),
        ("#/loop", None),
        ("#/out", None),
        ("#/fine", {"items": {"$ref": "#/$defs/A"}}),
        ("elsewhere.json", None),
    ],
)
def test_a_pointer_leads_to_a_schema_that_may_be_inlined(ref: str, target: Any) -> None:
    assert pointed_schema(ROOT, ref) == target


def test_recursive_definitions_are_those_that_come_back() -> None:
    def to(*names: str) -> dict[str, Any]:
        return {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in names]}

    definitions = {
        "A": to("B"),
        "B": to("C"),
        "C": to("B"),
        "Self": to("Self"),
        "Leaf": {"type": "string"},
        "Lost": to("Nothing"),
    }

    assert recursive_definitions(definitions) == {"B", "C", "Self"}
