"""Cleaning JSON Schema: a row for each keyword, and properties that hold for any input."""

import contextlib
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.emulator.models import model_of
from gateway.emulator.schema_rules import schema_refusal
from gateway.errors import BadRequest
from gateway.gemini.schemas.json_schema import sanitize, strictest
from gateway.gemini.schemas.openapi_schema import classic
from gateway.gemini.schemas.schema_references import InlineBudget, SchemaTooLarge
from tests.support.steps import steps

NULL = {"type": "null"}
A = {"type": "object", "properties": {"n": {"type": "integer"}}}
TREE = {"type": "object", "properties": {"left": {"$ref": "#/$defs/Tree"}}}

ROWS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("as it is", {**A, "required": ["n"], "additionalProperties": False},
     {**A, "required": ["n"], "additionalProperties": False}),
    ("$schema and const", {"$schema": "x", "properties": {"k": {"const": "x"}}},
     {"type": "object", "properties": {"k": {"enum": ["x"], "type": "string"}}}),
    ("annotations go", {"type": "string", "$comment": "c", "examples": ["e"], "readOnly": True, "deprecated": True},
     {"type": "string"}),
    ("conditions go", {"type": "object", "if": {}, "then": {}, "not": {}, "patternProperties": {"a": {}}},
     {"type": "object"}),
    ("const null", {"const": None}, NULL),
    ("const number", {"const": 5}, {"enum": [5], "type": "integer"}),
    ("exclusiveMinimum of an integer", {"type": "integer", "exclusiveMinimum": 0}, {"type": "integer", "minimum": 1}),
    ("exclusiveMaximum of a number", {"type": "number", "exclusiveMaximum": 2.5},
     {"type": "number", "maximum": 2.5, "description": "Must be less than 2.5."}),
    ("exclusiveMinimum as a flag of draft 4", {"type": "integer", "minimum": 3, "exclusiveMinimum": True},
     {"type": "integer", "minimum": 3}),
    ("allOf of one", {"allOf": [{"type": "string"}], "description": "d"}, {"type": "string", "description": "d"}),
    ("allOf of many", {"allOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]},
                                 {"properties": {"b": {}}, "required": ["b"]}]},
     {"type": "object", "properties": {"b": {}, "a": {"type": "string"}}, "required": ["a", "b"]}),
    ("allOf with a reference", {"allOf": [{"$ref": "#/$defs/A"}], "description": "d", "$defs": {"A": A}},
     {**A, "description": "d"}),
    ("format that is known", {"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
    ("format that is not", {"type": "string", "format": "email", "description": "An address"},
     {"type": "string", "description": "An address (Format: email)"}),
    ("format of a number", {"type": "integer", "format": "int64"}, {"type": "integer", "format": "int64"}),
    ("format of a number that is not known", {"type": "integer", "format": "uint8"}, {"type": "integer"}),
    ("constraints stay", {"type": "string", "pattern": "^a", "minLength": 1, "default": "a"},
     {"type": "string", "pattern": "^a", "minLength": 1, "default": "a"}),
    ("a reference with a sibling",
     {"type": "object", "properties": {"a": {"$ref": "#/$defs/A", "description": "d"}}, "$defs": {"A": A}},
     {"type": "object", "properties": {"a": {**A, "description": "d"}}}),
    ("a reference alone stays", {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": A, "B": {}}},
     {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": A}}),
    ("definitions", {"type": "object", "properties": {"a": {"$ref": "#/definitions/A"}}, "definitions": {"A": A}},
     {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": A}}),
    ("a tree", {"$ref": "#/$defs/Tree", "$defs": {"Tree": TREE}},
     {**TREE, "$defs": {"Tree": TREE}}),
    ("a tree with a sibling", {"$ref": "#/$defs/Tree", "title": "t", "$defs": {"Tree": TREE}},
     {**TREE, "title": "t", "$defs": {"Tree": TREE}}),
    ("a reference to nothing", {"$ref": "#/$defs/No", "type": "string"}, {"type": "string"}),
    ("a pointer into the schema", {"properties": {"a": {"type": "string"}, "b": {"$ref": "#/properties/a"}}},
     {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}),
    ("a pointer at itself", {"properties": {"b": {"$ref": "#/properties/b"}}}, {"type": "object", "properties": {"b": {}}}),
    ("the root", {"type": "object", "properties": {"a": {"$ref": "#"}}}, {"type": "object", "properties": {"a": {"$ref": "#"}}}),
    ("true and false", {"properties": {"a": True, "b": False}}, {"type": "object", "properties": {"a": {}}}),
    ("enum with an empty text", {"enum": ["", "a"]}, {"enum": ["a"], "type": "string"}),
    ("enum with null", {"enum": ["a", None], "description": "d"},
     {"description": "d", "anyOf": [{"enum": ["a"], "type": "string"}, NULL]}),
    ("enum of nothing but null", {"enum": [None]}, NULL),
    ("types", {"type": ["string", "null"], "minLength": 2, "description": "d"},
     {"description": "d", "anyOf": [{"type": "string", "minLength": 2}, NULL]}),
    ("types with an enum", {"type": ["string", "integer"], "enum": ["a", 1]},
     {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "integer", "enum": [1]}]}),
    ("a list of one type", {"type": ["string"]}, {"type": "string"}),
    ("types in capitals", {"type": "STRING"}, {"type": "string"}),
    ("nullable", {"type": "string", "nullable": True, "title": "t"}, {"title": "t", "anyOf": [{"type": "string"}, NULL]}),
    ("nullable alternatives", {"anyOf": [{"type": "string"}], "nullable": True}, {"anyOf": [{"type": "string"}, NULL]}),
    ("oneOf", {"oneOf": [{"type": "string"}, False, NULL]}, {"anyOf": [{"type": "string"}, NULL]}),
    ("tuples of old", {"type": "array", "items": [{"type": "string"}]}, {"type": "array", "prefixItems": [{"type": "string"}]}),
    ("open objects", {"type": "object", "additionalProperties": {"type": "string", "$comment": "x"}},
     {"type": "object", "additionalProperties": {"type": "string"}}),
    ("names that look like keywords",
     {"properties": {"pattern": {"type": "string"}, "const": {"const": 1}, "$ref": {"type": "string"}, "type": {}}},
     {"type": "object", "properties": {"pattern": {"type": "string"}, "const": {"enum": [1], "type": "integer"},
                                       "$ref": {"type": "string"}, "type": {}}}),
    ("data that looks like a schema", {"type": "object", "default": {"$ref": "#/x", "const": 1}, "enum": [{"const": 1}]},
     {"type": "object", "default": {"$ref": "#/x", "const": 1}, "enum": [{"const": 1}]}),
    ("zod's integers", {"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991},
     {"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991}),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_schema_is_cleaned(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert sanitize(schema, "f", InlineBudget()) == expected


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"properties": 5}, "Invalid 'f.properties': expected an object."),
        (
            {"properties": {"a": {"items": 5}}},
            "Invalid 'f.properties.a.items': expected a schema, which is an object.",
        ),
        ({"anyOf": {}}, "Invalid 'f.anyOf': expected an array."),
        ({"oneOf": {}}, "Invalid 'f.oneOf': expected an array."),
        ({"allOf": 1}, "Invalid 'f.allOf': expected an array."),
        ({"$ref": 5}, "Invalid 'f.$ref': expected a string."),
        ({"anyOf": [5]}, "Invalid 'f.anyOf[0]': expected a schema, which is an object."),
        ({"oneOf": [5]}, "Invalid 'f.oneOf[0]': expected a schema, which is an object."),
        ({"items": [5]}, "Invalid 'f.items[0]': expected a schema, which is an object."),
    ],
)
def test_an_invalid_schema_is_refused_with_its_place(schema: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        sanitize(schema, "f", InlineBudget())

    assert (caught.value.message, caught.value.param) == (message, "f")


def test_references_that_multiply_do_not_explode() -> None:
    definitions = {
        f"D{i}": {"properties": {x: {"$ref": f"#/$defs/D{i + 1}", "title": x} for x in "ab"}}
        for i in range(30)
    }
    with pytest.raises(BadRequest, match="more than 10000 schemas"):
        sanitize({"$ref": "#/$defs/D0", "title": "t", "$defs": definitions}, "f", InlineBudget())


NESTS: dict[str, Any] = {
    "properties": lambda inner: {"properties": {"a": inner}},
    "items": lambda inner: {"items": inner},
    "additionalProperties": lambda inner: {"additionalProperties": inner},
    "anyOf": lambda inner: {"anyOf": [inner]},
    "prefixItems": lambda inner: {"prefixItems": [inner]},
    "allOf": lambda inner: {"allOf": [inner]},
}


@pytest.mark.parametrize("keyword", NESTS)
def test_a_schema_is_at_most_100_levels_deep(keyword: str) -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(100):
        schema = NESTS[keyword](schema)
    sanitize(schema, "f", InlineBudget())

    with pytest.raises(BadRequest, match="levels deep"):
        sanitize(NESTS[keyword](schema), "f", InlineBudget())


def test_property_ordering_is_added_where_it_is_needed() -> None:
    assert sanitize({"properties": {"b": {}, "a": {}}}, "f", InlineBudget(), ordered=True)[
        "propertyOrdering"
    ] == [
        "b",
        "a",
    ]


def test_constraints_in_words() -> None:
    a = {"type": "string", "minLength": 3, "description": "An a."}
    schema = strictest({"type": "object", "properties": {"a": a}}, "f", InlineBudget())

    assert schema["properties"]["a"] == {"type": "string", "description": "An a. (Constraint: minLength 3)"}
    assert strictest(schema, "f", InlineBudget()) == schema


KEYWORDS = ["type", "properties", "items", "anyOf", "allOf", "oneOf", "enum", "const", "$ref", "$defs", "definitions",
            "required", "format", "description", "nullable", "exclusiveMinimum", "minLength", "additionalProperties",
            "default", "prefixItems", "a", "b", "$schema", "not", "patternProperties", "$anchor", "$id"]  # fmt: skip
VALUES = st.sampled_from([None, True, False, 1, 2.5, "", "string", "object", "#/$defs/a", "#/$defs/b", "#", "#a", "a", "email", "#/properties/a/$defs/b",
                          ["string", "null"], "#/properties/a"])  # fmt: skip
SCHEMAS = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3)
                       | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=5), max_leaves=25)  # fmt: skip


@given(st.dictionaries(st.sampled_from(KEYWORDS), SCHEMAS, max_size=6))
def test_any_object_is_cleaned_or_refused_and_never_changed(schema: dict[str, Any]) -> None:
    before = copy.deepcopy(schema)
    try:
        cleaned = sanitize(schema, "f", InlineBudget())
        assert sanitize(cleaned, "f", InlineBudget()) == cleaned
        config = {"generationConfig": {"responseJsonSchema": cleaned}}
        assert schema_refusal(model_of("gemini-3.8-flash"), config) is None
        json.dumps([strictest(cleaned, "f", InlineBudget()), classic(cleaned, "f", InlineBudget())])
    except BadRequest:
        pass
    assert schema == before


BOMBS: dict[str, dict[str, Any]] = {
    "a pointer to many numbers": {
        "x": {"a": [1] * 24_000},
        "properties": {f"p{i}": {"$ref": "#/x"} for i in range(1300)},
    },
    "a definition of many keywords": {
        "$defs": {"X": {f"k{i}": 1 for i in range(8000)}},
        "properties": {f"p{i}": {"$ref": "#/$defs/X", "title": ""} for i in range(1500)},
    },
    "a definition with a long default": {
        "$defs": {"X": {"default": "x" * 60_000}},
        "properties": {f"p{i}": {"$ref": "#/$defs/X", "title": ""} for i in range(1500)},
    },
    "a chain of definitions": {
        "$ref": "#/$defs/D0",
        "$defs": {f"D{i}": {"items": {"$ref": f"#/$defs/D{i + 1}"}} for i in range(3500)},
    },
    "definitions that double": {
        "$ref": "#/$defs/D0",
        "title": "t",
        "$defs": {
            f"D{i}": {"anyOf": [{"$ref": f"#/$defs/D{i + 1}", "title": name} for name in "ab"]}
            for i in range(40)
        },
    },
    "pointers into one another": {
        "x": [{"x": [{"x": [{"x": [1] * 20_000}]}]}],
        "properties": {f"p{i}": {"$ref": "#/x/0" + "/x/0" * (i % 3)} for i in range(2000)},
    },
    "references in allOf": {
        "$defs": {"X": {"properties": {f"k{i}": {} for i in range(5000)}}},
        "allOf": [{"$ref": "#/$defs/X"} for _ in range(2000)],
    },
    "properties in allOf": {"allOf": [{"properties": {f"k{i}": {}}} for i in range(4900)]},
    "names inside names": {"properties": {"x" * 60_000: {"properties": {f"p{i}": {} for i in range(7000)}}}},
    "unknown references": {"properties": {f"p{i}": {"$ref": "#/" + "a/" * 20} for i in range(2000)}},
}  # fmt: skip
"""Schemas of 128 KB or less that inline, copy or walk more than their size shows."""


@pytest.mark.row("A3", "A4", "C27")
@pytest.mark.parametrize("name", BOMBS)
def test_a04_a_schema_takes_no_more_time_than_its_size(name: str) -> None:
    schema = BOMBS[name]
    cleaned: list[dict[str, Any]] = []

    def work() -> None:
        with contextlib.suppress(SchemaTooLarge):
            cleaned.append(sanitize(schema, "f", InlineBudget()))

    assert len(json.dumps(schema)) < 250_000
    assert steps(work) < 2_000_000
    assert len(json.dumps(cleaned)) < 8_000_000


NODE: dict[str, Any] = {
    "type": "object",
    "properties": {"v": {"type": "string"}, "kids": {"type": "array", "items": {"$ref": "#/$defs/Node"}}},
}
ITEM: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
OTHER = {"type": "object", "properties": {"s": {"type": "string"}}}


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


REFERENCES: list[tuple[str, dict[str, Any], Any, list[str]]] = [
    ("a root of a recursive definition", {"$ref": "#/$defs/Node", "$defs": {"Node": NODE}},
     {**NODE, "$defs": {"Node": NODE}}, []),
    ("a root of an old definition", {"$schema": "s", "$ref": "#/definitions/Args", "definitions": {"Args": ITEM}}, ITEM, []),
    ("a root by an alias", {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B", "title": "t"}, "B": ITEM}},
     {**ITEM, "title": "t"}, []),
    ("a root with properties of its own",
     {"$ref": "#/$defs/A", "$defs": {"A": ITEM}, "properties": {"x": {"type": "string"}}, "required": ["x"], "type": "object"},
     {"type": "object", "properties": {**ITEM["properties"], "x": {"type": "string"}}, "required": ["n", "x"]}, []),
    ("a root by allOf", {"allOf": [{"$ref": "#/$defs/Node"}], "title": "t", "$defs": {"Node": NODE}},
     {**NODE, "title": "t", "$defs": {"Node": NODE}}, []),
    ("a root of the root", {"$ref": "#", "type": "object"}, {"type": "object"}, ["f.$ref"]),
    ("a circle of aliases", {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}}, {},
     ["f.$ref"]),
    ("nested definitions with references from the root",
     of(a={**of(i={"$ref": "#/$defs/Item"}), "$defs": {"Item": ITEM}}),
     {**of(a=of(i={"$ref": "#/$defs/Item"})), "$defs": {"Item": ITEM}}, []),
    ("nested definitions of one name",
     of(a={**of(i={"$ref": "#/$defs/X"}), "$defs": {"X": ITEM}}, b={**of(i={"$ref": "#/$defs/X"}), "$defs": {"X": OTHER}}),
     None, []),
    ("nested definitions by their place",
     of(a={"$defs": {"X": ITEM}, "$ref": "#/properties/a/$defs/X"}),
     {**of(a={"$ref": "#/$defs/X"}), "$defs": {"X": ITEM}}, []),
    ("old nested definitions", of(a={**of(i={"$ref": "#/definitions/I"}), "definitions": {"I": ITEM}}),
     {**of(a=of(i={"$ref": "#/$defs/I"})), "$defs": {"I": ITEM}}, []),
    ("the other word for definitions", {**of(a={"$ref": "#/$defs/A"}), "definitions": {"A": ITEM}},
     {**of(a={"$ref": "#/$defs/A"}), "$defs": {"A": ITEM}}, []),
    ("an address that is not there", {**of(a={"$ref": "#/components/schemas/Pet"}), "$defs": {"Pet": ITEM}},
     {**of(a={"$ref": "#/$defs/Pet"}), "$defs": {"Pet": ITEM}}, []),
    ("a place that refers to itself", of(t=of(kids={"type": "array", "items": {"$ref": "#/properties/t"}})),
     {**of(t=of(kids={"type": "array", "items": {"$ref": "#/$defs/schema"}})),
      "$defs": {"schema": of(kids={"type": "array", "items": {"$ref": "#/$defs/schema"}})}}, []),
    ("an anchor", {**of(a={"$ref": "#item"}), "$defs": {"I": {"$anchor": "item", **ITEM}}},
     {**of(a={"$ref": "#/$defs/I"}), "$defs": {"I": {"$anchor": "item", **ITEM}}}, []),
    ("an id", {"$id": "https://e/x", **of(a={"$ref": "https://e/x#/$defs/I"}), "$defs": {"I": ITEM}},
     {"$id": "https://e/x", **of(a={"$ref": "#/$defs/I"}), "$defs": {"I": ITEM}}, []),
    ("a name that is no step", {**of(a={"$ref": "#/$defs/List%60%5BItem%5D"}), "$defs": {"List`[Item]": ITEM}},
     {**of(a={"$ref": "#/$defs/List__Item_"}), "$defs": {"List__Item_": ITEM}}, []),
    ("a name with a slash", {**of(a={"$ref": "#/$defs/a~1b"}), "$defs": {"a/b": ITEM}},
     {**of(a={"$ref": "#/$defs/a_b"}), "$defs": {"a_b": ITEM}}, []),
    ("a dangling reference", of(a={"$ref": "#/$defs/No"}, b={"$ref": "other.json", "type": "string"}),
     of(a={}, b={"type": "string"}), ["f.properties.a.$ref", "f.properties.b.$ref"]),
    ("words beside a recursive reference",
     {**of(n={"$ref": "#/$defs/Node", "description": "d", "default": None}), "$defs": {"Node": NODE}},
     {**of(n={"anyOf": [{"$ref": "#/$defs/Node"}], "description": "d", "default": None}), "$defs": {"Node": NODE}}, []),
    ("null beside a recursive reference", {**of(n={"$ref": "#/$defs/Node", "nullable": True}), "$defs": {"Node": NODE}},
     {**of(n={"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}), "$defs": {"Node": NODE}}, []),
    ("words beside the root", of(n={"$ref": "#", "title": "t"}), of(n={"anyOf": [{"$ref": "#"}], "title": "t"}), []),
    ("a shape beside a recursive reference",
     {**of(n={"$ref": "#/$defs/Node", "properties": {"x": {"type": "string"}}}), "$defs": {"Node": NODE}},
     {**of(n={**NODE, "properties": {**NODE["properties"], "x": {"type": "string"}}}), "$defs": {"Node": NODE}}, []),
    ("a shape beside a reference inside of itself",
     {**of(n={"$ref": "#/$defs/L"}), "$defs": {"L": of(next={"$ref": "#/$defs/L", "required": ["v"]}, v={"type": "string"})}},
     None, ["f.$defs.L.properties.next.$ref"]),
    ("allOf of a recursive reference", {**of(n={"allOf": [{"$ref": "#/$defs/Node"}], "title": "t"}), "$defs": {"Node": NODE}},
     {**of(n={**NODE, "title": "t"}), "$defs": {"Node": NODE}}, []),
    ("branches", {**of(n={"oneOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}]}), "$defs": {"A": ITEM, "B": OTHER}},
     {**of(n={"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}]}), "$defs": {"A": ITEM, "B": OTHER}}, []),
    ("a reference to anything", {**of(n={"$ref": "#/$defs/Any"}), "$defs": {"Any": True}},
     {**of(n={"$ref": "#/$defs/Any"}), "$defs": {"Any": {}}}, []),
]  # fmt: skip
"""A case, a schema, what Gemini gets, and what is lost."""


@pytest.mark.row("T3")
@pytest.mark.parametrize(
    ("schema", "expected", "lost"), [row[1:] for row in REFERENCES], ids=[row[0] for row in REFERENCES]
)
def test_t03_a_reference_keeps_its_shape(schema: dict[str, Any], expected: Any, lost: list[str]) -> None:
    told: list[str] = []

    cleaned = sanitize(schema, "f", InlineBudget(), lost=told)

    assert expected is None or cleaned == expected
    assert told == lost
    assert (
        schema_refusal(model_of("gemini-3.8-flash"), {"generationConfig": {"responseJsonSchema": cleaned}})
        is None
    )


@pytest.mark.row("T3")
def test_t03_two_definitions_of_one_name_are_both_sent() -> None:
    cleaned = sanitize(
        of(
            a={**of(i={"$ref": "#/$defs/X"}), "$defs": {"X": ITEM}},
            b={**of(i={"$ref": "#/$defs/X"}), "$defs": {"X": OTHER}},
        ),
        "f",
        InlineBudget(),
    )

    def target(name: str) -> Any:
        return cleaned["$defs"][
            cleaned["properties"][name]["properties"]["i"]["$ref"].removeprefix("#/$defs/")
        ]

    assert (target("a"), target("b")) == (ITEM, OTHER)


@pytest.mark.row("T3")
@pytest.mark.parametrize(
    ("schema", "cleaned", "lost"),
    [
        ({"not": {"type": "null"}}, {}, ["f.not"]),
        ({"type": "object", "if": {"required": ["a"]}, "then": {"required": ["b"]}}, {"type": "object"}, ["f.if", "f.then"]),
        ({"type": "object", "patternProperties": {"^.*$": ITEM}}, {"type": "object", "additionalProperties": ITEM}, []),
        ({"patternProperties": {"^x-": ITEM}}, {}, ["f.patternProperties"]),
        ({"patternProperties": {"^x-": ITEM}, "additionalProperties": False},
         {"type": "object", "additionalProperties": ITEM}, ["f.patternProperties"]),
        ({"type": "object", "propertyNames": {"type": "string"}, "unevaluatedProperties": False}, {"type": "object"}, []),
        ({"type": "object", "propertyNames": {"pattern": "^a"}}, {"type": "object"}, ["f.propertyNames"]),
        ({"allOf": [{"type": "string", "minLength": 1}, {"minLength": 2}]}, {"type": "string", "minLength": 1},
         ["f.allOf[1].minLength"]),
        ({"$schema": "x", "$comment": "c", "examples": [1], "deprecated": True}, {}, []),
    ],
)  # fmt: skip
def test_t03_a_keyword_that_gemini_does_not_know_is_told(schema: Any, cleaned: Any, lost: list[str]) -> None:
    told: list[str] = []

    assert sanitize(schema, "f", InlineBudget(), lost=told) == cleaned
    assert told == lost


@pytest.mark.row("T10")
@pytest.mark.parametrize(
    ("schema", "cleaned", "lost"),
    [
        ({**of(a={}), "required": ["a", "b"]}, {**of(a={}), "required": ["a"]}, ["f.required"]),
        ({**of(a={}), "required": ["b"]}, of(a={}), ["f.required"]),
        ({"type": "object", "required": ["b"]}, {"type": "object"}, ["f.required"]),
        ({**of(a={}), "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, of(a={}),
         ["f.anyOf[0].required", "f.anyOf[1].required", "f.anyOf"]),
        ({"allOf": [of(a={}), {"required": ["a", "c"]}]}, {**of(a={}), "required": ["a"]}, ["f.required"]),
        (of(o={**of(x={}), "required": ["y"]}), of(o=of(x={})), ["f.properties.o.required"]),
        ({**of(a=False), "required": ["a"]}, {"type": "object", "properties": {}}, ["f.required"]),
    ],
)  # fmt: skip
def test_t10_required_names_only_properties(schema: Any, cleaned: Any, lost: list[str]) -> None:
    told: list[str] = []

    assert sanitize(schema, "f", InlineBudget(), lost=told) == cleaned
    assert told == lost


@pytest.mark.row("T3")
def test_t03_what_is_lost_is_told_up_to_a_bound() -> None:
    told: list[str] = []

    sanitize(of(**{f"p{i}": {"$ref": "#/$defs/No"} for i in range(1000)}), "f", InlineBudget(), lost=told)

    assert len(told) == 20


@pytest.mark.row("G21")
@pytest.mark.parametrize(("properties", "noted"), [(None, []), ([], ["at.properties.a.properties"])])
def test_g21_properties_that_are_no_object_are_left_out(properties: object, noted: list[str]) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "object", "properties": properties}}}
    lost: list[str] = []

    assert sanitize(schema, "at", InlineBudget(), lost=lost)["properties"] == {"a": {"type": "object"}}
    assert lost == noted
