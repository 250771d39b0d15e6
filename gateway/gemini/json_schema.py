"""JSON Schema as Gemini takes it: unknown keywords are removed, and what they meant is kept where possible.

`parametersJsonSchema` and `responseJsonSchema` take a part of JSON Schema
(https://ai.google.dev/gemini-api/docs/structured-output) and refuse everything else with `Unknown name "...": Cannot
find field.` Names below `properties` and values of `enum`, `const` and `default` are data and never taken for keywords.
The client's object is never changed.
"""

from collections.abc import Mapping
from typing import Any

from gateway.errors import BadRequest
from gateway.gemini.schema_references import InlineBudget, References, SchemaTooLarge, definition_name

Schema = dict[str, Any]

_DEEPEST = 100
_LONGEST_PLACE = 100
"""Characters of a place inside a schema that an error repeats."""
_MOST_SCHEMAS = 10_000
"""Schemas in the result; inlined references can multiply without end."""
_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_KEPT = frozenset(
    (
        "$id", "$anchor", "title", "description", "default", "minItems", "maxItems", "minimum", "maximum",
        "minLength", "maxLength", "pattern", "uniqueItems", "multipleOf", "minProperties", "maxProperties",
        "propertyOrdering",
    )
)  # fmt: skip
"""Keywords that are copied as they are."""
_TEXT_FORMATS = frozenset({"date-time", "date", "time", "enum"})
_NUMBER_FORMATS = frozenset({"int32", "int64", "float", "double"})
_CONSTRAINTS = ("pattern", "minLength", "maxLength", "uniqueItems", "multipleOf", "default")
_NUMBER_KEYWORDS = frozenset({"minimum", "maximum", "multipleOf", "format"})
_OF_TYPE: dict[str, frozenset[str]] = {
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "number": _NUMBER_KEYWORDS,
    "integer": _NUMBER_KEYWORDS,
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems"}),
    "object": frozenset(
        (
            "properties", "required", "additionalProperties", "minProperties", "maxProperties", "propertyOrdering",
        )
    ),
    "boolean": frozenset(),
    "null": frozenset(),
}  # fmt: skip
"""Keywords that concern values of one type only."""
_OUTER = ("title", "description", "default")
"""Keywords that stay beside `anyOf` when the rest of a schema moves into its branches."""
_PYTHON_TYPES: Mapping[type, str] = {
    bool: "boolean", str: "string", int: "integer", float: "number", list: "array", dict: "object",
}  # fmt: skip


def sanitize(schema: Mapping[str, Any], param: str, budget: InlineBudget, *, ordered: bool = False) -> Schema:
    """Return a cleaned schema for `parametersJsonSchema` or `responseJsonSchema`.

    It shares values such as `default` with the client's. `param` is the schema's path in the client's request;
    `ordered` adds `propertyOrdering`. Raises BadRequest whose message has the path of what is wrong, and SchemaTooLarge
    when the request's schemas inline more than `budget`.
    """
    return _Cleaner(schema, param, budget, ordered=ordered).clean()


def strictest(schema: Mapping[str, Any], param: str, budget: InlineBudget) -> Schema:
    """Return a cleaned schema whose constraints are moved into the descriptions, for models that refuse them."""
    return _Cleaner(schema, param, budget, in_words=True).clean()


class _Cleaner:
    """Cleans one schema of what Gemini does not take; `in_words` moves constraints into descriptions."""

    def __init__(
        self,
        root: Mapping[str, Any],
        param: str,
        budget: InlineBudget,
        *,
        ordered: bool = False,
        in_words: bool = False,
    ) -> None:
        self._root = root
        self._param = param
        self._ordered = ordered
        self._in_words = in_words
        self._schemas = 0
        self._references = References(root, param, budget)
        self._used: list[str] = []
        """Definitions that the cleaned schema refers to."""
        self._is_used: set[str] = set()

    def clean(self) -> Schema:
        """Return the whole schema with the definitions that it uses."""
        cleaned = self._clean(self._root, "", 0)
        definitions: Schema = {}
        for name in self._used:  # grows while definitions are cleaned
            definitions[name] = self._clean(self._references.definitions[name], _below("$defs", name), 1)
        if definitions:
            cleaned["$defs"] = definitions
        return cleaned

    def _invalid(self, at: str, fault: str) -> BadRequest:
        return BadRequest(f"Invalid '{_join(self._param, at[:_LONGEST_PLACE])}': {fault}.", param=self._param)

    def _clean(self, schema: object, at: str, depth: int) -> Schema:
        """Return a cleaned subschema; `at` is its place, such as `properties.a.items`."""
        self._schemas += 1
        if self._schemas > _MOST_SCHEMAS:
            raise SchemaTooLarge(self._param, _MOST_SCHEMAS, "schemas")
        if depth > _DEEPEST:
            raise self._invalid(at, f"nested more than {_DEEPEST} levels deep")
        if schema is True:
            return {}
        if not isinstance(schema, Mapping):
            raise self._invalid(at, "expected a schema, which is an object")
        if "$ref" in schema:
            return self._reference(schema, at, depth)
        out: Schema = {}
        for key, value in schema.items():
            self._keyword(out, key, value, at, depth)
        if "allOf" in schema:
            self._merge_all(out, schema["allOf"], at, depth)
        self._finish(out, schema)
        return out

    def _keyword(self, out: Schema, key: str, value: object, at: str, depth: int) -> None:
        """Add one keyword, unless it is unknown to Gemini."""
        match key:
            case "type":
                _add_type(out, value)
            case "properties":
                self._properties(out, value, at, depth)
            case "required":
                if isinstance(value, list):
                    out[key] = [name for name in value if isinstance(name, str)]
            case "items":
                if isinstance(value, list):  # tuples before draft 2020-12
                    self._branches(out, "prefixItems", value, _join(at, key), depth)
                elif value is not False:
                    out[key] = self._clean(value, _join(at, key), depth + 1)
            case "additionalProperties":
                out[key] = value if isinstance(value, bool) else self._clean(value, _join(at, key), depth + 1)
            case "prefixItems" | "anyOf":
                self._branches(out, key, value, _join(at, key), depth)
            case "oneOf":  # Gemini reads it as anyOf
                self._branches(out, "anyOf", value, _join(at, key), depth)
            case _ if key in _KEPT:
                out[key] = value

    def _properties(self, out: Schema, value: object, at: str, depth: int) -> None:
        if not isinstance(value, Mapping):
            raise self._invalid(_join(at, "properties"), "expected an object")
        out["properties"] = {
            name: self._clean(inner, _below(_join(at, "properties"), name), depth + 1)
            for name, inner in value.items()
            if inner is not False
        }

    def _branches(self, out: Schema, key: str, value: object, at: str, depth: int) -> None:
        """Add a keyword that holds a list of schemas; `at` is the list's place."""
        if not isinstance(value, list):
            raise self._invalid(at, "expected an array")
        cleaned = [
            self._clean(inner, _at_index(at, i), depth + 1)
            for i, inner in enumerate(value)
            if inner is not False
        ]
        if cleaned:
            out[key] = [*out.get(key, ()), *cleaned]

    def _finish(self, out: Schema, schema: Mapping[str, Any]) -> None:
        """Apply the rules that depend on more than one keyword."""
        if "properties" in out and "type" not in out:
            out["type"] = "object"
        _add_bounds(out, schema)
        _add_enum(out, schema)
        _add_format(out, schema)
        if self._in_words:
            _constraints_in_words(out)
        if self._ordered and "properties" in out:
            out["propertyOrdering"] = list(out["properties"])
        types = out.get("type")
        if isinstance(types, list):
            _one_of_types(out, types)
        if schema.get("nullable") is True or out.pop("nullable", False):
            _or_null(out)

    def _reference(self, schema: Mapping[str, Any], at: str, depth: int) -> Schema:
        """Return a reference that stands alone; one with other keywords beside it becomes its target.

        Gemini allows only keys that begin with `$` beside `$ref` (https://ai.google.dev/api/caching#FunctionDeclaration).
        """
        ref = schema["$ref"]
        if not isinstance(ref, str):
            raise self._invalid(_join(at, "$ref"), "expected a string")
        beside = {k: v for k, v in schema.items() if not k.startswith("$") and k != "definitions"}
        name, references = definition_name(ref), self._references
        if name is not None and name in references.definitions:
            if beside and name not in references.recursive:
                target = references.inline(references.definitions[name])
                return self._clean({**target, **beside}, at, depth + 1)
            if name not in self._is_used:
                self._is_used.add(name)
                self._used.append(name)
            return {"$ref": f"#/$defs/{name}"}
        if ref == "#":
            return {"$ref": "#"}
        pointed = references.pointed(ref)
        if pointed is None:
            return self._clean(beside, at, depth)
        return self._clean({**references.inline(pointed), **beside}, at, depth + 1)

    def _merge_all(self, out: Schema, value: object, at: str, depth: int) -> None:
        """Merge the schemas of allOf; the first value of a keyword wins, properties and required are united."""
        if not isinstance(value, list):
            raise self._invalid(_join(at, "allOf"), "expected an array")
        properties = [out["properties"]] if "properties" in out else []
        required = dict.fromkeys(out.get("required", ()))
        for i, inner in enumerate(value):
            place = _at_index(_join(at, "allOf"), i)
            cleaned = self._clean(self._resolved(inner), place, depth + 1)
            for key, added in cleaned.items():
                if key == "properties":
                    properties.append(added)
                elif key == "required":
                    required.update(dict.fromkeys(added))
                else:
                    out.setdefault(key, added)
        if properties:
            united: Schema = {}
            for added in reversed(properties):
                united.update(added)
            out["properties"] = united
        if required:
            out["required"] = list(required)

    def _resolved(self, schema: object) -> object:
        """Return the target of a reference to a definition, unless it is recursive."""
        if not isinstance(schema, Mapping) or not isinstance(schema.get("$ref"), str):
            return schema
        name, references = definition_name(schema["$ref"]), self._references
        if name in references.definitions and name not in references.recursive:
            target = references.inline(references.definitions[name])
            return {**target, **{k: v for k, v in schema.items() if k != "$ref"}}
        return schema


def _add_type(out: Schema, value: object) -> None:
    """Add the known types, in lower case."""
    names = [str(name).lower() for name in (value if isinstance(value, list) else [value])]
    known = list(dict.fromkeys(name for name in names if name in _TYPES))
    if known:
        out["type"] = known[0] if len(known) == 1 else known


def _add_bounds(out: Schema, schema: Mapping[str, Any]) -> None:
    """Replace exclusiveMinimum and exclusiveMaximum, which Gemini does not know, by the inclusive bound."""
    for key, bound, step, word in (
        ("exclusiveMinimum", "minimum", 1, "greater"),
        ("exclusiveMaximum", "maximum", -1, "less"),
    ):
        value = schema.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if out.get("type") == "integer" and isinstance(value, int):
            out.setdefault(bound, value + step)
        else:
            out.setdefault(bound, value)
            _describe(out, f"Must be {word} than {value}.")


def _add_enum(out: Schema, schema: Mapping[str, Any]) -> None:
    """Add enum or const as enum, without empty strings, which Gemini refuses; null becomes a type of its own."""
    if "const" in schema:
        values: list[Any] = [schema["const"]]
    elif isinstance(schema.get("enum"), list):
        values = list(schema["enum"])
    else:
        return
    kept = [value for value in values if value is not None and value != ""]
    if None in values and not kept:
        out["type"] = "null"
        return
    if kept:
        out["enum"] = kept
        types = list(dict.fromkeys(_type_of(value) for value in kept))
        if "type" not in out and len(types) == 1:
            out["type"] = types[0]
    if None in values and "null" not in (out.get("type") or ()):
        out["nullable"] = True


def _type_of(value: object) -> str:
    return _PYTHON_TYPES.get(type(value), "null")


def _add_format(out: Schema, schema: Mapping[str, Any]) -> None:
    """Add a format that Gemini knows; one of a string that it does not know becomes part of the description."""
    value = schema.get("format")
    if not isinstance(value, str):
        return
    numeric = out.get("type", "string") in ("number", "integer")
    if value in (_NUMBER_FORMATS if numeric else _TEXT_FORMATS):
        out["format"] = value
    elif not numeric:
        _describe(out, f"Format: {value}")


def _constraints_in_words(out: Schema) -> None:
    for key in _CONSTRAINTS:
        if key in out:
            _describe(out, f"Constraint: {key} {out.pop(key)}")


def _describe(out: Schema, words: str) -> None:
    """Add words to the description, once."""
    description = out.get("description")
    if not isinstance(description, str) or not description:
        out["description"] = words
    elif words not in description:
        out["description"] = f"{description} ({words})"


def _one_of_types(out: Schema, types: list[str]) -> None:
    """Replace a list of types by anyOf, each branch with the keywords that concern its type."""
    del out["type"]
    inner = {
        key: out.pop(key) for key in list(out) if key not in _OUTER and key not in ("anyOf", "$defs", "$id")
    }
    out["anyOf"] = [*(_branch(name, inner) for name in types), *out.get("anyOf", ())]


def _branch(name: str, keywords: Schema) -> Schema:
    branch: Schema = {"type": name}
    for key, value in keywords.items():
        if key == "enum":
            values = [v for v in value if _type_of(v) in (name, "integer" if name == "number" else name)]
            branch.update({"enum": values} if values else {})
        elif key in _OF_TYPE[name] or not any(key in keys for keys in _OF_TYPE.values()):
            branch[key] = value
    return branch


def _or_null(out: Schema) -> None:
    """Add null as an alternative."""
    alternatives = out.get("anyOf")
    if isinstance(alternatives, list) and len(out.keys() - set(_OUTER)) == 1:
        if {"type": "null"} not in alternatives:
            alternatives.append({"type": "null"})
        return
    inner = {key: out.pop(key) for key in list(out) if key not in _OUTER and key not in ("$defs", "$id")}
    if inner.get("type") != "null":
        out["anyOf"] = [inner, {"type": "null"}] if inner else [{"type": "null"}]
    else:
        out.update(inner)


def _join(at: str, step: str) -> str:
    return f"{at}.{step}" if at and step else at or step


def _below(at: str, name: str) -> str:
    """Return the place of a name. No place is much longer than an error repeats: long names may lie in one another."""
    return at if len(at) > _LONGEST_PLACE else _join(at, name[:_LONGEST_PLACE])


def _at_index(at: str, i: int) -> str:
    return at if len(at) > _LONGEST_PLACE else f"{at}[{i}]"
