"""Rules of the classic Schema, which is what `parameters` and `responseSchema` hold (translation.md A.3, J 32)."""

from collections.abc import Iterator
from typing import Any

from gateway.emulator.status import RefusedError

_TOGETHER = "{0} and {1} must not be set both"


def check_schemas(request: dict[str, Any]) -> None:
    """All classic schemas of a request. Raises RefusedError with the path of what they lack."""
    config = request.get("generationConfig") or {}
    _exclusive(config, "responseSchema", "responseJsonSchema")
    if "responseSchema" in config:
        _check(config["responseSchema"], "generation_config.response_schema")
        if _kind(config["responseSchema"]) == "OBJECT" and not config["responseSchema"].get("properties"):
            _raise("generation_config.response_schema.properties: should be non-empty for OBJECT type")
    for i, tool in enumerate(request.get("tools") or ()):
        for j, declaration in enumerate(tool.get("functionDeclarations") or ()):
            _exclusive(declaration, "parameters", "parametersJsonSchema")
            if "parameters" in declaration:
                _check(declaration["parameters"], f"tools[{i}].function_declarations[{j}].parameters")


def _check(schema: dict[str, Any], at: str) -> None:
    kind = _kind(schema)
    if not kind and not schema.get("anyOf"):
        _raise(f"{at}: schema must have a type")
    if kind == "ARRAY" and not schema.get("items"):
        _raise(f"{at}.items: missing field.")
    for i, name in enumerate(schema.get("required") or ()):
        if name not in (schema.get("properties") or {}):
            _raise(f"{at}.required[{i}]: property is not defined")
    for within, where in _children(schema, at):
        _check(within, where)


def _children(schema: dict[str, Any], at: str) -> Iterator[tuple[dict[str, Any], str]]:
    for name, within in (schema.get("properties") or {}).items():
        yield within, f"{at}.properties[{name}]"
    for i, within in enumerate(schema.get("anyOf") or ()):
        yield within, f"{at}.any_of[{i}]"
    if schema.get("items"):
        yield schema["items"], f"{at}.items"


def _kind(schema: dict[str, Any]) -> str:
    return str(schema.get("type") or "").upper()


def _exclusive(holder: dict[str, Any], one: str, other: str) -> None:
    if holder.get(one) is not None and holder.get(other) is not None:
        raise RefusedError(_TOGETHER.format(one, other))


def _raise(told: str) -> None:
    raise RefusedError(f"* GenerateContentRequest.{told}")
