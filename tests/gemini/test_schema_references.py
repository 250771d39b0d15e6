"""References inside a JSON Schema."""

from typing import Any

import pytest

from gateway.gemini.schema_references import (
    InlineBudget,
    References,
    SchemaTooLarge,
    definition_name,
    definitions_of,
    recursive_definitions,
)
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
        ("#/loop", None),
        ("#/out", None),
        ("#/fine", {"items": {"$ref": "#/$defs/A"}}),
        ("elsewhere.json", None),
    ],
)
def test_a_pointer_leads_to_a_schema_that_may_be_inlined(ref: str, target: Any) -> None:
    assert References(ROOT, "f", InlineBudget()).pointed(ref) == target


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


def chain(length: int, **beside: Any) -> dict[str, Any]:
    """Definitions of which each names the next."""
    return {f"D{i}": {"items": {"$ref": f"#/$defs/D{i + 1}"}, **beside} for i in range(length)}


@pytest.mark.row("A4")
def test_a04_the_time_for_circles_is_linear() -> None:
    """A chain was walked from each of its names: twice the names took four times as long."""
    short = steps(lambda: recursive_definitions(chain(500)))
    long = steps(lambda: recursive_definitions(chain(2000)))

    assert long < 4.5 * short


@pytest.mark.row("A4")
def test_a04_a_long_circle_is_seen() -> None:
    names = chain(5000) | {"D5000": {"items": {"$ref": "#/$defs/D0"}}, "Out": {"$ref": "#/$defs/D7"}}

    assert recursive_definitions(names) == {f"D{i}" for i in range(5001)}


@pytest.mark.row("A4")
def test_a04_a_target_is_walked_once() -> None:
    root = {"x": {"a": list(range(5000))}}
    references = References(root, "f", InlineBudget(1_000_000))
    references.inline(references.pointed("#/x"))

    assert steps(lambda: [references.inline(references.pointed("#/x")) for _ in range(100)]) < 5000


@pytest.mark.row("A3", "A4")
def test_a03_what_is_inlined_is_charged() -> None:
    root = {"x": {"a": [1] * 96}, "y": {"text": "x" * 640}, "$defs": {"Z": {"k" * 640: 1}}}
    budget = InlineBudget(317)
    references = References(root, "tools[3].parameters", budget)
    for _ in range(3):
        references.inline(root["x"])
    references.inline(root["y"])
    with pytest.raises(
        SchemaTooLarge, match=r"^Invalid 'tools\[3\].parameters': more than 317 values once"
    ) as caught:
        references.inline(references.definitions["Z"])

    assert caught.value.param == "tools[3].parameters"
    assert caught.value.at("f").message.startswith("Invalid 'f': more than 317 values")
