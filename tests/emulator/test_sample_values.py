"""The smallest values of schemas."""

from typing import Any

import pytest

from gateway.emulator.sample_values import sample_value

NODE: dict[str, Any] = {
    "type": "object", "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                                     "all": {"type": "array", "items": {"$ref": "#/$defs/Node"}}},
    "required": ["value", "next", "all"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"const": 5}, 5), ({"type": ["null", "boolean"]}, True), ({"type": ["null"]}, None), ({"type": "odd"}, "x"),
        ({"allOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, {"properties": {"b": {"const": 2}}, "required": ["b"]}]},
         {"a": 1, "b": 2}),
        ({"oneOf": [{"enum": [3, 4]}]}, 3), ({"type": "string", "minLength": 3}, "xxx"), ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "integer", "maximum": 5}, 5), ({"type": "integer", "exclusiveMinimum": 7, "multipleOf": 5}, 10),
        ({"type": "number", "exclusiveMaximum": 2}, 1), ({"properties": {"age": {"type": "number"}, "name": {"type": "boolean"}}},
         {"age": 36, "name": True}),
        ({"type": "array", "prefixItems": [{"const": 1}, {"const": 2}]}, [1, 2]), ({"type": "array", "minItems": 0}, []),
        ({"$ref": "#/definitions/a~1b", "definitions": {"a/b": {"type": "boolean"}}}, True), ({"$ref": "#/$defs/none/x"}, "x"),
        ({"$ref": "#"}, "x"), ({"$ref": "#/$defs/A/enum/0", "$defs": {"A": {"enum": ["b"]}}}, "x"),
        ({"$ref": "#/$defs/Node", "$defs": {"Node": NODE}}, {"value": 7, "next": None, "all": [
            {"value": 7, "next": None, "all": []}]}),
        ({"type": "object", "properties": {"me": {"$ref": "#"}, "n": {"const": 1}}}, {"me": {"me": {}, "n": 1}, "n": 1}),
    ],
)  # fmt: skip
def test_instances_of_schemas(schema: Any, expected: Any) -> None:
    assert sample_value(schema) == expected


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "OBJECT", "properties": {"name": {"type": "STRING"}, "age": {"type": "INTEGER"}}}, {"name": "Ada", "age": 36}),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"enum": ["b"]}}}, "b"),
        ({"anyOf": [{"type": "array", "items": {"type": "number"}, "minItems": 2}]}, [7.5, 7.5]),
        ({"type": "integer", "minimum": 50}, 50), ({"type": "boolean"}, True), ({"type": "null"}, None), (True, "x"),
        ({"type": "object", "properties": {"a": {}, "b": {}}, "required": ["b", "c"]}, {"b": "x"}),
    ],
)  # fmt: skip
def test_the_smallest_instance(schema: Any, expected: Any) -> None:
    assert sample_value(schema) == expected


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"enum": ["model", "user"]}, "user"), ({"enum": ["continue", "done"]}, "done"), ({"enum": ["reject", "accept"]}, "accept"),
        ({"enum": ["b", "a"]}, "b"), ({"enum": [{"a": 1}, ["b"]]}, {"a": 1}),
        ({"properties": {"shouldBlock": {"type": "boolean"}, "is_unsafe": {"type": "boolean"}, "verified": {"type": "boolean"}}},
         {"shouldBlock": False, "is_unsafe": False, "verified": True}),
    ],
)  # fmt: skip
def test_a_judge_ends_an_agents_work_and_objects_to_nothing(schema: Any, expected: Any) -> None:
    assert sample_value(schema) == expected
