"""Rules on JSON Schemas: references, names in `required`, and schemas that have too many states to be served.

The words are those of recorded errors. References: https://github.com/google-gemini/gemini-cli/issues/4758 and 13326;
`required`: https://github.com/znlsl/Antigravity2Api/issues/22; states: https://github.com/bethington/ghidra-mcp/issues/440,
where generation 2 names the reason and later models do not, and https://github.com/googleapis/python-genai/issues/2170
and 2133 for the budgets of array bounds and of enums under mode ANY.
"""

from collections.abc import Iterator
from typing import Any

from gateway.emulator.models import Model
from gateway.emulator.request import Request, calling_config, functions, generation

_MOST_STATES = 960
"""Sum of `maxItems` over the schemas of a request, each times the states of its items."""
_MOST_ENUM = 2500
"""Characters of all enums of functions that mode ANY forces."""
_TOO_MANY_STATES = (
    "The specified schema produces a constraint that has too many states for serving. Typical causes of this error are "
    "schemas with lots of text (for example, very long property or enum names), schemas with long array length limits "
    "(especially when nested), or schemas using complex value matchers (for example, integers or numbers with "
    "minimum/maximum bounds or strings with complex formats like date-time)"
)
_OPAQUE = "Request contains an invalid argument."
_NAMED = ("properties", "$defs")
_LISTED = ("anyOf", "oneOf", "prefixItems")
_SINGLE = ("items", "additionalProperties")

Schema = dict[str, Any]


def schema_refusal(model: Model, request: Request) -> str | None:
    """Return Google's message against the JSON Schemas of a request, or None."""
    schemas = [*_declared(request), *_answered(request)]
    for at, schema in schemas:
        for path, node in _nodes(schema, ""):
            if message := _node_refusal(schema, node, path, at):
                return message
    states = sum(_states(schema) for _, schema in schemas)
    forced = calling_config(request).get("mode") == "ANY"
    if states <= _MOST_STATES and not (
        forced and sum(_enum_size(schema) for _, schema in _declared(request)) > _MOST_ENUM
    ):
        return None
    return _TOO_MANY_STATES if model.tells_states else _OPAQUE


def _declared(request: Request) -> list[tuple[str, Schema]]:
    """Return the schemas of functions with their places."""
    schemas = [declaration.get("parametersJsonSchema") for declaration in functions(request)]
    places = [
        f"tools[{i}].function_declarations[{j}].parameters_json_schema"
        for i, tool in enumerate(request.get("tools") or ())
        for j in range(len(tool.get("functionDeclarations") or ()))
    ]
    return [(at, s) for at, s in zip(places, schemas, strict=True) if isinstance(s, dict)]


def _answered(request: Request) -> list[tuple[str, Schema]]:
    schema = generation(request).get("responseJsonSchema")
    return [("generation_config.response_json_schema", schema)] if isinstance(schema, dict) else []


def _node_refusal(root: Schema, node: Schema, path: str, at: str) -> str | None:
    where = path or "top-level"
    if "$ref" in node:
        if any(not key.startswith("$") for key in node):
            return f"schema at {where} can only contain properties starting with '$' when $ref is present"
        return None if _resolves(root, node["$ref"]) else f"reference to undefined schema at {where}"
    properties, required = node.get("properties"), node.get("required")
    if isinstance(properties, dict) and isinstance(required, list):
        for i, name in enumerate(required):
            if name not in properties:
                return f"* GenerateContentRequest.{at}.required[{i}]: property is not defined"
    return None


def _resolves(root: Schema, ref: Any) -> bool:
    name = str(ref).removeprefix("#/$defs/").replace("~1", "/").replace("~0", "~")
    return ref == "#" or (str(ref).startswith("#/$defs/") and name in (root.get("$defs") or {}))


def _nodes(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Yield each subschema with its path, such as `properties.a.anyOf.1`."""
    waiting = [(path, schema)]
    while waiting:
        path, node = waiting.pop()
        yield path, node
        waiting += [(_below(path, step), child) for step, child in _children(node)]


def _children(node: Schema) -> Iterator[tuple[str, Schema]]:
    for key in _NAMED:
        if isinstance(node.get(key), dict):
            yield from ((f"{key}.{name}", s) for name, s in node[key].items() if isinstance(s, dict))
    for key in _LISTED:
        if isinstance(node.get(key), list):
            yield from ((f"{key}.{i}", s) for i, s in enumerate(node[key]) if isinstance(s, dict))
    for key in _SINGLE:
        if isinstance(node.get(key), dict):
            yield key, node[key]


def _below(path: str, step: str) -> str:
    return f"{path}.{step}" if path else step


def _states(node: Schema) -> int:
    """Return the states that bounds of arrays make; a string inside has as many as its longest length."""
    within = sum(_states(child) for _, child in _children(node))
    if not isinstance(node.get("maxItems"), int):
        return within
    items = node.get("items")
    longest = items.get("maxLength", 1) if isinstance(items, dict) else 1
    return int(node["maxItems"]) * max(1, within, longest)


def _enum_size(schema: Schema) -> int:
    return sum(len(str(value)) for _, node in _nodes(schema, "") for value in node.get("enum") or ())
