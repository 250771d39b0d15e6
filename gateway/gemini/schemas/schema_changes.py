"""Changes of a request's schemas that avoid a refusal, from the smallest to the largest.

A constraint is told in words, then the older schema is used (`request_changes.classic_schemas`), then the whole schema
is told in words. Each takes the request and Gemini's refusal, and returns a new request, or None when it has nothing to
change. Both dialects of schemas are understood.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import structs

from gateway.errors import GatewayError
from gateway.gemini.request_changes import Request, with_schemas
from gateway.gemini.rewrites import json_instruction
from gateway.gemini.wire import Content, FunctionDeclaration, GenerationConfig

Schema = dict[str, Any]
Change = Callable[[Schema], None]
"""Changes one node of a schema, a copy of the request's."""

_BOUNDS = (
    "minItems", "maxItems", "minLength", "maxLength", "minimum", "maximum", "minProperties", "maxProperties", "pattern",
    "format", "multipleOf", "uniqueItems",
)  # fmt: skip
"""Array length limits and complex value matchers, by the words of Google's message."""
_LONG_ENUMS = 1000
"""Characters of a request's enums from which on they are told in words. Google refused about 3,800 in 240 values, and
took 1,700 (https://github.com/googleapis/python-genai/issues/2133)."""
_DEEPEST = 200
"""Levels that are changed; a schema of a client's own Gemini fields is not cleaned before."""
_NAMED = ("properties", "$defs")
_LISTED = ("anyOf", "oneOf", "prefixItems")
_SINGLE = ("items", "additionalProperties")
_OBJECT_ONLY = ("properties", "required", "propertyOrdering")
_ANY_OBJECT: Schema = {"type": "object"}
_JSON = "application/json"


def bounds_in_words(request: Request, _: GatewayError) -> Request | None:
    """Move bounds, patterns and formats into the descriptions; long enums, too."""
    long_enums = sum(map(_enum_size, _schemas(request))) > _LONG_ENUMS

    def change(node: Schema) -> None:
        for key in _BOUNDS:
            if key in node and not isinstance(node[key], dict) and node[key] != "enum":
                _describe(node, f"Constraint: {key} {node.pop(key)}")
        if long_enums:
            _enum_in_words(node)

    return _rewritten(request, change)


def fitting_types(request: Request, _: GatewayError) -> Request | None:
    """Remove keywords of another type than the schema's, which the older schema refuses, and unknown required names."""
    return _rewritten(request, _fit)


def schemas_in_words(request: Request, error: GatewayError) -> Request | None:
    """Tell every schema in words: in the descriptions of the functions, and in the instruction for the answer."""
    answer = answer_in_words(request, error)
    changed = with_schemas(answer or request, _told, (answer or request).generation_config)
    return changed or answer


def answer_in_words(request: Request, _: GatewayError) -> Request | None:
    """Tell the schema of the answer in the instruction. JSON mode stays."""
    config = request.generation_config
    if config is None or (config.response_json_schema is None and config.response_schema is None):
        return None
    system = request.system_instruction.parts or [] if request.system_instruction is not None else []
    words = json_instruction(config, beside_tools=bool(request.tools))
    mode = config.response_mime_type if config.response_mime_type == _JSON else None
    config = structs.replace(config, response_mime_type=mode, response_json_schema=None, response_schema=None)
    return structs.replace(request, system_instruction=Content([*system, words]), generation_config=config)


def unforced(request: Request, _: GatewayError) -> Request | None:
    """Let the model choose whether it calls. Of the functions only those that it had to choose from stay."""
    config = request.tool_config
    calling = config.function_calling_config if config is not None else None
    if config is None or calling is None or calling.mode != "ANY":
        return None
    allowed = calling.allowed_function_names
    calling = structs.replace(calling, mode="AUTO", allowed_function_names=None)
    changed = structs.replace(request, tool_config=structs.replace(config, function_calling_config=calling))
    if not allowed:
        return changed
    tools = [
        structs.replace(tool, function_declarations=kept)
        if (kept := [f for f in tool.function_declarations or () if f.name in allowed])
        else tool
        for tool in request.tools or ()
    ]
    return structs.replace(changed, tools=tools)


def again(request: Request, _: GatewayError) -> Request | None:
    """Ask the same again: the model failed, not the request."""
    return structs.replace(request)


def _schemas(request: Request) -> list[Schema]:
    config = request.generation_config or GenerationConfig()
    functions = [f for tool in request.tools or () for f in tool.function_declarations or ()]
    answers = [config.response_json_schema, config.response_schema]
    return [
        s for s in [*answers, *(f.parameters_json_schema or f.parameters for f in functions)] if s is not None
    ]


def _rewritten(request: Request, change: Change) -> Request | None:
    """Return the request with every node of every schema changed."""

    def function(declaration: FunctionDeclaration, _: str) -> FunctionDeclaration:
        return structs.replace(
            declaration,
            parameters_json_schema=_changed(declaration.parameters_json_schema, change),
            parameters=_changed(declaration.parameters, change),
        )

    config = request.generation_config
    if config is not None and (config.response_json_schema is not None or config.response_schema is not None):
        config = structs.replace(
            config,
            response_json_schema=_changed(config.response_json_schema, change),
            response_schema=_changed(config.response_schema, change),
        )
    return with_schemas(request, function, config)


def _changed(schema: Schema | None, change: Change, depth: int = 0) -> Schema | None:
    """Return a schema with all its nodes changed, the inner ones first."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return schema
    node = dict(schema)
    for key in _NAMED:
        if isinstance(node.get(key), dict):
            node[key] = {name: _changed(inner, change, depth + 1) for name, inner in node[key].items()}
    for key in _LISTED:
        if isinstance(node.get(key), list):
            node[key] = [_changed(inner, change, depth + 1) for inner in node[key]]
    for key in _SINGLE:
        if isinstance(node.get(key), dict):
            node[key] = _changed(node[key], change, depth + 1)
    change(node)
    return node


def _fit(node: Schema) -> None:
    kind = str(node["type"]).lower() if isinstance(node.get("type"), str) else ""
    if kind and kind != "object":
        for key in _OBJECT_ONLY:
            node.pop(key, None)
    properties = node.get("properties")
    names = properties.keys() if isinstance(properties, Mapping) else ()
    if isinstance(node.get("required"), list):
        node["required"] = [name for name in node["required"] if name in names]
        if not node["required"]:
            del node["required"]
    if isinstance(node.get("enum"), list):
        if kind and kind != "string":
            _enum_in_words(node)
        elif all(isinstance(value, str) for value in node["enum"]):
            node["type"] = node.get("type", "string")


def _enum_in_words(node: Schema) -> None:
    if isinstance(node.get("enum"), list):
        values = ", ".join(
            v if isinstance(v, str) else msgspec.json.encode(v).decode() for v in node.pop("enum")
        )
        if node.get("format") == "enum":
            del node["format"]
        _describe(node, f"One of: {values}")


def _enum_size(schema: Schema) -> int:
    size = 0

    def measure(node: Schema) -> None:
        nonlocal size
        if isinstance(node.get("enum"), list):
            size += sum(len(str(value)) for value in node["enum"])

    _changed(schema, measure)
    return size


def _describe(node: Schema, words: str) -> None:
    before = node.get("description")
    node["description"] = f"{before} ({words})" if isinstance(before, str) and before else words


def _told(declaration: FunctionDeclaration, _: str) -> FunctionDeclaration:
    schema = declaration.parameters_json_schema or declaration.parameters
    if not schema or schema == _ANY_OBJECT:
        return declaration
    words = f"Arguments as JSON Schema: {msgspec.json.encode(schema).decode()}"
    description = f"{declaration.description}\n\n{words}" if declaration.description else words
    return structs.replace(
        declaration, description=description, parameters_json_schema=dict(_ANY_OBJECT), parameters=None
    )
