"""Places of a schema: what a reference names."""

from typing import Any

import pytest

from gateway.gemini.schemas.schema_places import SchemaPlaces, definition_name, definitions_of
from tests.support.steps import steps

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
        ("#/anyOf/" + "9" * 5000, None),
        ("#/anyOf/\u00b2", None),
        ("#/nothing", None),
        ("#/properties/a/type", None),
        ("#/properties/a/type/deeper", None),
        ("#/loop", {"$ref": "#/loop"}),
        ("#/out", {"items": {"$ref": "#/properties/a"}}),
        ("#/fine", {"items": {"$ref": "#/$defs/A"}}),
        ("elsewhere.json", None),
    ],
)
def test_a_pointer_leads_to_a_schema(ref: str, target: Any) -> None:
    assert SchemaPlaces(ROOT).find(ref, ()) == target


@pytest.mark.row("T3")
def test_t03_the_nearest_definitions_count_after_the_exact_place() -> None:
    near, far, outer = {"title": "near"}, {"title": "far"}, {"title": "outer"}
    places = SchemaPlaces({"$defs": {"Y": outer}})
    scope = ({"X": far, "Y": far}, {"X": near})

    assert places.find("#/$defs/X", scope) is near
    assert places.find("#/$defs/Y", scope) is outer
    assert places.find("#/$defs/Z", scope) is None


@pytest.mark.row("T3")
def test_t03_names_are_ones_own_and_fit_a_pointer() -> None:
    first, second = {"type": "string"}, {"type": "number"}
    root: dict[str, Any] = {"$defs": {"a b": first, "a/b": second}, "x": {}}
    places = SchemaPlaces(root)

    assert places.name(first) == ("a_b", True)
    assert places.name(second) == ("a_b_2", True)
    assert places.name(first) == ("a_b", True)
    assert places.name(root["x"]) == ("schema", False)
    assert places.name(root) == ("", False)


@pytest.mark.row("T3", "A4")
def test_t03_a_schema_is_walked_once() -> None:
    def schema(count: int) -> dict[str, Any]:
        return {
            "properties": {
                f"p{i}": {"$defs": {"X": {}}, "items": {"$ref": "#/$defs/X"}} for i in range(count)
            }
        }

    assert steps(lambda: SchemaPlaces(schema(2000))) < 4.5 * steps(lambda: SchemaPlaces(schema(500)))
