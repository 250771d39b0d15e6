"""JSON Schema as Gemini takes it: unknown keywords are removed, and what they meant is kept where possible.

`parametersJsonSchema` and `responseJsonSchema` take a part of JSON Schema
(https://ai.google.dev/gemini-api/docs/structured-output) and refuse everything else with `Unknown name "...": Cannot
find field.` Names below `properties` and values of `enum`, `const` and `default` are data and never taken for keywords.
The client's object is never changed.
"""

from collections.abc import Mapping
from typing import Any

from gateway.errors import BadRequest
from gateway.gemini.schemas.schema_keywords import (
    OUTER,
    add_bounds,
    add_enum,
    add_format,
    add_type,
    constraints_in_words,
    one_of_types,
    or_null,
)
from gateway.gemini.schemas.schema_places import LONGEST_PLACE, at_index, below, join
from gateway.gemini.schemas.schema_references import InlineBudget, References, SchemaTooLarge, Target

Schema = dict[str, Any]

_DEEPEST = 100
_MOST_SCHEMAS = 10_000
"""Schemas in the result; inlined references can multiply without end."""
_KEPT = frozenset(
    (
        "$id", "$anchor", "title", "description", "default", "minItems", "maxItems", "minimum", "maximum",
        "minLength", "maxLength", "pattern", "uniqueItems", "multipleOf", "minProperties", "maxProperties",
        "propertyOrdering",
    )
)  # fmt: skip
"""Keywords that are copied as they are."""
_UNSAID = frozenset(
    (
        "not", "if", "then", "else", "patternProperties", "propertyNames", "dependentRequired", "dependentSchemas",
        "dependencies", "contains", "additionalItems", "unevaluatedProperties", "unevaluatedItems", "$dynamicRef",
        "$recursiveRef",
    )
)  # fmt: skip
"""Keywords that permit fewer values and that Gemini does not know."""
_SHAPE = _UNSAID | frozenset(
    (
        "properties", "required", "items", "prefixItems", "additionalProperties", "anyOf", "oneOf", "allOf", "enum",
        "const", "format", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems", "minimum", "maximum",
        "minLength", "maxLength", "pattern", "uniqueItems", "multipleOf", "minProperties", "maxProperties",
    )
)  # fmt: skip
"""Keywords that say which values there may be."""
_TRIVIAL: tuple[object, ...] = (None, True, False, {}, [], {"type": "string"})
"""Values of keywords that say nothing, or what additionalProperties says."""
_ANY_NAME = ("", ".*", ".+", "^.*$", "^.+$", "^(.*)$")
_MOST_LOST = 20
UNSAID = "Gemini's JSON Schema cannot say this."
"""The reason for a path in `lost`."""


def sanitize(
    schema: Mapping[str, Any],
    param: str,
    budget: InlineBudget,
    *,
    ordered: bool = False,
    lost: list[str] | None = None,
) -> Schema:
    """Return a cleaned schema for `parametersJsonSchema` or `responseJsonSchema`.

    It shares values such as `default` with the client's. `param` is the schema's path in the client's request;
    `ordered` adds `propertyOrdering`. The paths of what Gemini's schema cannot say are added to `lost`, up to 20.
    Raises BadRequest whose message has the path of what is wrong, and SchemaTooLarge when the request's schemas inline
    more than `budget`.
    """
    return _Cleaner(schema, param, budget, ordered=ordered, lost=lost).clean()


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
        lost: list[str] | None = None,
    ) -> None:
        self._root = root
        self._param = param
        self._ordered = ordered
        self._in_words = in_words
        self._schemas = 0
        self._references = References(root, param, budget)
        self._lost = lost if lost is not None else []
        self._used: list[Target] = []
        """Definitions that the cleaned schema refers to."""
        self._is_used: set[str] = set()
        self._inside = False
        """A schema that refers to itself is being laid open."""
        self._site: str | None = None
        """The place of the outermost reference that is being laid open."""

    def clean(self) -> Schema:
        """Return the whole schema with the definitions that it uses."""
        cleaned = self._clean(self._root, "", 0)
        definitions: Schema = {}
        for target in self._used:  # grows while definitions are cleaned
            definitions[target.name] = self._clean(target.schema, target.place, 1)
        if definitions:
            cleaned["$defs"] = definitions
        return cleaned

    def _lose(self, at: str) -> None:
        """Note what is lost at a place of the client's schema, or below the reference that is being laid open."""
        if len(self._lost) < _MOST_LOST:
            self._lost.append(join(self._param, self._site if self._site is not None else at))

    def _invalid(self, at: str, fault: str) -> BadRequest:
        return BadRequest(f"Invalid '{join(self._param, at[:LONGEST_PLACE])}': {fault}.", param=self._param)

    def _clean(self, schema: object, at: str, depth: int, *, part: bool = False) -> Schema:
        """Return a cleaned subschema; `at` is its place, such as `properties.a.items`.

        A `part` of allOf may require properties of another part.
        """
        self._schemas += 1
        if self._schemas > _MOST_SCHEMAS:
            raise SchemaTooLarge(self._param, _MOST_SCHEMAS, "schemas")
        if depth > _DEEPEST:
            raise self._invalid(at, f"nested more than {_DEEPEST} levels deep")
        if schema is True:
            return {}
        if not isinstance(schema, Mapping):
            raise self._invalid(at, "expected a schema, which is an object")
        if "$ref" in schema:  # the root is laid open
            return self._reference(schema, at, depth, bare=depth > 0 and not part, part=part)
        out: Schema = {}
        for key, value in schema.items():
            self._keyword(out, key, value, at, depth)
        if "allOf" in schema:
            self._merge_all(out, schema["allOf"], at, depth)
        if isinstance(schema.get("patternProperties"), Mapping):
            self._patterns(out, schema["patternProperties"], at, depth)
        if "required" in out and not part:
            self._prune_required(out, at)
        self._finish(out, schema)
        return out

    def _keyword(self, out: Schema, key: str, value: object, at: str, depth: int) -> None:
        """Add one keyword, unless it is unknown to Gemini."""
        match key:
            case "type":
                add_type(out, value)
            case "properties":
                self._properties(out, value, at, depth)
            case "required":
                if isinstance(value, list):
                    out[key] = [name for name in value if isinstance(name, str)]
            case "items":
                if isinstance(value, list):  # tuples before draft 2020-12
                    self._branches(out, "prefixItems", value, join(at, key), depth)
                elif value is not False:
                    out[key] = self._clean(value, join(at, key), depth + 1)
            case "additionalProperties":
                out[key] = value if isinstance(value, bool) else self._clean(value, join(at, key), depth + 1)
            case "prefixItems" | "anyOf":
                self._branches(out, key, value, join(at, key), depth)
            case "oneOf":  # Gemini reads it as anyOf
                self._branches(out, "anyOf", value, join(at, key), depth)
            case _ if key in _KEPT:
                out[key] = value
            case _ if key in _UNSAID and key != "patternProperties" and value not in _TRIVIAL:
                self._lose(join(at, key))

    def _properties(self, out: Schema, value: object, at: str, depth: int) -> None:
        if value is None:  # null counts as absent
            return
        if value == []:  # PHP's empty object
            self._lose(join(at, "properties"))
            return
        if not isinstance(value, Mapping):
            raise self._invalid(join(at, "properties"), "expected an object")
        out["properties"] = {
            name: self._clean(inner, below(join(at, "properties"), name), depth + 1)
            for name, inner in value.items()
            if inner is not False
        }

    def _branches(self, out: Schema, key: str, value: object, at: str, depth: int) -> None:
        """Add a keyword that holds a list of schemas; `at` is the list's place."""
        if not isinstance(value, list):
            raise self._invalid(at, "expected an array")
        cleaned = [
            (inner, self._clean(inner, at_index(at, i), depth + 1))
            for i, inner in enumerate(value)
            if inner is not False
        ]
        if key == "anyOf" and any(not schema and inner not in ({}, True) for inner, schema in cleaned):
            self._lose(at)  # nothing is left of a branch, so that every value would do
        elif cleaned:
            out[key] = [*out.get(key, ()), *(schema for _, schema in cleaned)]

    def _patterns(self, out: Schema, value: Mapping[str, Any], at: str, depth: int) -> None:
        """Say a pattern of names as additionalProperties, the nearest that there is."""
        place = join(at, "patternProperties")
        pattern, inner = next(iter(value.items()), ("", None))
        if any(value) and not (pattern in _ANY_NAME and len(value) == 1):
            self._lose(place)
        every = pattern in _ANY_NAME or out.get("additionalProperties") is False
        if len(value) == 1 and every and isinstance(inner, Mapping):
            out["additionalProperties"] = self._clean(inner, below(place, pattern), depth + 1)
            out.setdefault("type", "object")

    def _finish(self, out: Schema, schema: Mapping[str, Any]) -> None:
        """Apply the rules that depend on more than one keyword."""
        if "properties" in out and "type" not in out:
            out["type"] = "object"
        add_bounds(out, schema)
        add_enum(out, schema)
        add_format(out, schema)
        if self._in_words:
            constraints_in_words(out)
        if self._ordered and "properties" in out:
            out["propertyOrdering"] = list(out["properties"])
        types = out.get("type")
        if isinstance(types, list):
            one_of_types(out, types)
        if schema.get("nullable") is True or out.pop("nullable", False):
            or_null(out)

    def _prune_required(self, out: Schema, at: str) -> None:
        """Leave out required names without a property: `schema at top-level requires unspecified property`.

        https://github.com/probelabs/probe/issues/569 and https://github.com/Gitlawb/openclaude/issues/82.
        """
        known = out.get("properties", {})
        kept = [name for name in out["required"] if name in known]
        if len(kept) < len(out["required"]):
            self._lose(join(at, "required"))
        out["required"] = kept
        if not kept:
            del out["required"]

    def _reference(self, schema: Mapping[str, Any], at: str, depth: int, *, bare: bool, part: bool) -> Schema:
        """Return a reference that stands alone if it may be `bare`; else its target, with the keywords beside it.

        Gemini allows only keys that begin with `$` beside `$ref`: "schema at top-level can only contain properties
        starting with '$' when $ref is present" (https://github.com/google-gemini/gemini-cli/issues/4758).
        """
        if not isinstance(schema["$ref"], str):
            raise self._invalid(join(at, "$ref"), "expected a string")
        target, beside = self._references.resolve(schema)
        if target is None:
            self._lose(join(at, "$ref"))
            return self._clean(beside, at, depth, part=part)
        if bare and not beside and (target.defined or target.recursive):
            return self._named(target)
        if target.recursive and depth and (self._inside or (bare and not beside.keys() & _SHAPE)):
            return self._wrapped(target, beside, at)
        before = self._inside, self._site
        self._inside = self._inside or (target.recursive and depth > 0)
        self._site = join(at, "$ref") if self._site is None else self._site
        cleaned = self._clean(self._laid_open(target, beside, at), at, depth + 1, part=part)
        self._inside, self._site = before
        return cleaned

    def _named(self, target: Target) -> Schema:
        """Return a reference to a definition that is sent, or to the whole schema."""
        if not target.name:
            return {"$ref": "#"}
        if target.name not in self._is_used:
            self._is_used.add(target.name)
            self._used.append(target)
        return {"$ref": f"#/$defs/{target.name}"}

    def _wrapped(self, target: Target, beside: Mapping[str, Any], at: str) -> Schema:
        """Return a reference as the only alternative, which takes words beside it."""
        out: Schema = {"anyOf": [self._named(target)]}
        out.update({key: beside[key] for key in OUTER if key in beside})
        if beside.get("nullable") is True:
            or_null(out)
        if beside.keys() & _SHAPE:
            self._lose(at)
        return out

    def _laid_open(self, target: Target, beside: Mapping[str, Any], at: str) -> Mapping[str, Any]:
        """Return a target with the keywords beside its reference. Both properties count; else the reference's win."""
        schema = self._references.inline(target.schema)
        merged = {key: value for key, value in schema.items() if key not in ("$defs", "definitions")}
        for key, value in beside.items():
            own = merged.get(key, value)
            if key == "properties" and isinstance(own, Mapping) and isinstance(value, Mapping):
                merged[key] = {**own, **value}
            elif key == "required" and isinstance(own, list) and isinstance(value, list):
                merged[key] = [*own, *(name for name in value if name not in own)]
            else:
                if key in _SHAPE and own != value:
                    self._lose(join(at, key))
                merged[key] = value
        return merged

    def _merge_all(self, out: Schema, value: object, at: str, depth: int) -> None:
        """Merge the schemas of allOf; the first value of a keyword wins, properties and required are united."""
        if not isinstance(value, list):
            raise self._invalid(join(at, "allOf"), "expected an array")
        properties = [out["properties"]] if "properties" in out else []
        required = dict.fromkeys(out.get("required", ()))
        for i, inner in enumerate(value):
            place = at_index(join(at, "allOf"), i)
            cleaned = self._clean(inner, place, depth + 1, part=True)
            for key, added in cleaned.items():
                if key == "properties":
                    properties.append(added)
                elif key == "required":
                    required.update(dict.fromkeys(added))
                elif key in _SHAPE and out.get(key, added) != added:
                    self._lose(join(place, key))
                else:
                    out.setdefault(key, added)
        if properties:
            united: Schema = {}
            for added in reversed(properties):
                united.update(added)
            out["properties"] = united
        if required:
            out["required"] = list(required)
