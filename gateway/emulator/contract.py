"""What Google does not decode or finds out of range, in Google's words (translation.md 0.2 to 0.6, A.3, B.6).

`shaped` reads a body against the table of messages, in camelCase or snake_case, and refuses what is not in it;
`check` also looks at values and at the order of the turns. What is refused although each field is good is
`refusals`.
"""

import re
from typing import Any

from gateway.emulator.classic import check_schemas
from gateway.emulator.history import check_turns
from gateway.emulator.models import Model, model_of
from gateway.emulator.shapes import DATA, ENUMS, SHAPES
from gateway.emulator.status import Refusal, RefusedError

_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,), "bytes": (str,), "bool": (bool,), "number": (int, float), "integer": (int,),
    "int64": (int, str),
}  # fmt: skip
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_SNAKE = re.compile(r"_([a-z])")
_PROTO = "type.googleapis.com/google.ai.generativelanguage.v1beta"
_RANGES: dict[str, tuple[float, float]] = {
    "topP": (0, 1), "topK": (1, 2**31), "candidateCount": (1, 8), "maxOutputTokens": (1, 2**31), "logprobs": (0, 20),
    "presencePenalty": (-2, 2), "frequencyPenalty": (-2, 2),
}  # fmt: skip
_MIME_TYPES = ("text/plain", "application/json", "application/xml", "application/yaml", "text/x.enum")


def shaped(body: Any, shape: str = "GenerateContentRequest") -> dict[str, Any]:
    """A body with camelCase names throughout. Raises RefusedError for what Google would not decode."""
    if not isinstance(body, dict):
        raise RefusedError("Invalid JSON payload received. Unexpected token.")
    found: dict[str, Any] = _shaped(body, shape, "")
    return found


def check(model: str, body: Any) -> Refusal | None:
    """What Google would say against a generateContent body, or None."""
    able = model_of(model)
    try:
        request = shaped(body)
        _check_config(able, request.get("generationConfig") or {})
        check_schemas(request)
        check_turns(able, request.get("contents") or [])
    except RefusedError as refused:
        return refused.refusal
    return None


def _shaped(value: Any, shape: str, at: str) -> Any:
    """The value with camelCase names; raises for what its shape does not know."""
    if shape.startswith("["):
        if not isinstance(value, list):
            raise RefusedError(f"Invalid value at '{at}', expected a list", at)
        return [_shaped(item, shape[1:-1], f"{at}[{i}]") for i, item in enumerate(value)]
    if shape == "json":
        return value
    if isinstance(value, list):
        raise RefusedError(f"Invalid value at '{at}'. Proto field is not repeating, cannot start list.", at)
    if shape in _KINDS:
        return _scalar(value, shape, at)
    if shape in ENUMS:
        return _enum(value, shape, at)
    if not isinstance(value, dict):
        raise RefusedError(f"Invalid value at '{at}' ({shape}), {value!r}"[:300], at)
    return _message(value, shape, at)


def _message(value: dict[str, Any], shape: str, at: str) -> dict[str, Any]:
    if shape == "object":
        return value
    if shape.startswith("{"):
        return {key: _shaped(item, shape[1:-1], f"{at}[{key}]") for key, item in value.items()}
    found = dict(_field(key, item, shape, at) for key, item in value.items())
    if shape == "Part":
        _check_part([name for name in found if name in DATA], at)
    return found


def _field(key: str, value: Any, shape: str, at: str) -> tuple[str, Any]:
    name = _SNAKE.sub(lambda m: m[1].upper(), key)
    kind = SHAPES[shape].get(name)
    if kind is None:
        where = f" at '{at}'" if at else ""
        raise RefusedError(
            f'Invalid JSON payload received. Unknown name "{key}"{where}: Cannot find field.', at
        )
    return name, _shaped(value, kind, f"{at}.{key}" if at else key)


def _check_part(data: list[str], at: str) -> None:
    if not data:
        raise RefusedError(
            f"* GenerateContentRequest.{at}.data: required oneof field 'data' must have one initialized field"
        )
    if len(data) > 1:
        raise RefusedError(
            f"Invalid value at '{at}' (oneof), oneof field 'data' is already set. Cannot set '{data[1]}'", at
        )


def _scalar(value: Any, kind: str, at: str) -> Any:
    fits = isinstance(value, _KINDS[kind]) and (kind == "bool" or not isinstance(value, bool))
    if not fits:
        raise RefusedError(f"Invalid value at '{at}' (TYPE_{kind.upper()}), {value!r}"[:300], at)
    if kind == "bytes" and (not _BASE64.fullmatch(value) or len(value.rstrip("=")) % 4 == 1):
        raise RefusedError(
            f"Invalid value at '{at}' (TYPE_BYTES), Base64 decoding failed for \"{value[:60]}\"", at
        )
    return value


def _enum(value: Any, name: str, at: str) -> str:
    proto, known = ENUMS[name]
    if not isinstance(value, str) or value not in known:
        raise RefusedError(f"Invalid value at '{at}' ({_PROTO}.{proto}), \"{value}\""[:300], at)
    return value


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
    if config.get("candidateCount", 1) > 1 and not model.candidates:
        raise RefusedError("Multiple candidates is not enabled for this model")
    thinking = config.get("thinkingConfig") or {}
    if "thinkingBudget" in thinking and "thinkingLevel" in thinking:
        raise RefusedError("Cannot set both thinking_budget and thinking_level.")
