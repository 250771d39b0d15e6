"""Rules on the values of a generateContent body, in Google's words.

They cover numbers out of range, the older Schema of `parameters` and `responseSchema`
(https://ai.google.dev/api/caching#Schema), and the order of turns. `model_rules` has the rules on combinations of valid
fields. The words are those of recorded errors; where there is no record, as for ranges, they are the emulator's.
"""

import re
from collections.abc import Iterator
from typing import Any

from gateway.emulator.errors import Refusal, RefusedError
from gateway.emulator.history import check_turns
from gateway.emulator.messages import decode
from gateway.emulator.models import Model, model_of

_RANGES: dict[str, tuple[float, float]] = {
    "topP": (0, 1), "topK": (1, 2**31), "candidateCount": (1, 8), "maxOutputTokens": (1, 2**31), "logprobs": (0, 20),
    "presencePenalty": (-2, 2), "frequencyPenalty": (-2, 2),
}  # fmt: skip
_OF_ONE_TYPE = {"properties": "OBJECT", "required": "OBJECT", "enum": "STRING"}
"""Keywords that other types may not have (https://github.com/anomalyco/opencode/issues/11889 and 28397)."""
_MIME_TYPES = ("text/plain", "application/json", "application/xml", "application/yaml", "text/x.enum")


def validate(model: str, body: Any) -> Refusal | None:
    """Return Google's refusal of a generateContent body, or None."""
    capabilities = model_of(model)
    try:
        request = decode(body)
        _check_config(capabilities, request.get("generationConfig") or {})
        _check_schemas(request)
        check_turns(capabilities, request.get("contents") or [])
    except RefusedError as refused:
        return refused.refusal
    return None


def _check_config(model: Model, config: dict[str, Any]) -> None:
    if len(config.get("stopSequences") or ()) > 5:
        raise RefusedError("* GenerateContentRequest.generation_config.stop_sequences: at most 5 are allowed")
    for name, (least, most) in {"temperature": (0, model.temperature), **_RANGES}.items():
        if name in config and not least <= config[name] <= most:
            at = re.sub(r"([A-Z])", lambda m: f"_{m[1].lower()}", name)
            raise RefusedError(
                f"* GenerateContentRequest.generation_config.{at}: must be in the range [{least}, {most}]"
            )
    if config.get("responseMimeType", "text/plain") not in _MIME_TYPES:
        allowed = ", ".join(f"`{mime}`" for mime in _MIME_TYPES)
        raise RefusedError(
            f"* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are {allowed}."
        )
    if config.keys() & {"presencePenalty", "frequencyPenalty"} and not model.penalties:
        raise RefusedError(f"Penalty is not enabled for models/{model.name}")
    if config.get("candidateCount", 1) > 1 and not model.several_candidates:
        raise RefusedError("Multiple candidates is not enabled for this model")
    thinking = config.get("thinkingConfig") or {}
    if "thinkingBudget" in thinking and "thinkingLevel" in thinking:
        raise RefusedError("Cannot set both thinking_budget and thinking_level.")


def _check_schemas(request: dict[str, Any]) -> None:
    """Check all older schemas of a request. Raises RefusedError with the path of the mistake."""
    config = request.get("generationConfig") or {}
    _exclusive(config, "responseSchema", "responseJsonSchema")
    if "responseSchema" in config:
        _check_schema(config["responseSchema"], "generation_config.response_schema")
        if _kind(config["responseSchema"]) == "OBJECT" and not config["responseSchema"].get("properties"):
            _raise("generation_config.response_schema.properties: should be non-empty for OBJECT type")
    for i, tool in enumerate(request.get("tools") or ()):
        for j, declaration in enumerate(tool.get("functionDeclarations") or ()):
            _exclusive(declaration, "parameters", "parametersJsonSchema")
            if "parameters" in declaration:
                _check_schema(declaration["parameters"], f"tools[{i}].function_declarations[{j}].parameters")


def _check_schema(schema: dict[str, Any], at: str) -> None:
    kind = _kind(schema)
    if not kind and not schema.get("anyOf"):
        _raise(f"{at}: schema must have a type")
    if kind == "ARRAY" and not schema.get("items"):
        _raise(f"{at}.items: missing field.")
    for keyword, wanted in _OF_ONE_TYPE.items():
        if kind and kind != wanted and schema.get(keyword):
            _raise(f"{at}.{keyword}: only allowed for {wanted} type")
    for i, name in enumerate(schema.get("required") or ()):
        if name not in (schema.get("properties") or {}):
            _raise(f"{at}.required[{i}]: property is not defined")
    for within, where in _children(schema, at):
        _check_schema(within, where)


def _children(schema: dict[str, Any], at: str) -> Iterator[tuple[dict[str, Any], str]]:
    for name, within in (schema.get("properties") or {}).items():
        yield within, f"{at}.properties[{name}]"
    for i, within in enumerate(schema.get("anyOf") or ()):
        yield within, f"{at}.any_of[{i}]"
    if schema.get("items"):
        yield schema["items"], f"{at}.items"


def _kind(schema: dict[str, Any]) -> str:
    return str(schema.get("type") or "").upper()


def _exclusive(holder: dict[str, Any], first: str, second: str) -> None:
    if holder.get(first) is not None and holder.get(second) is not None:
        raise RefusedError(f"{first} and {second} must not be set both")


def _raise(problem: str) -> None:
    raise RefusedError(f"* GenerateContentRequest.{problem}")
