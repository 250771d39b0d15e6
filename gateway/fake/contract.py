"""What Google refuses, in Google's words: unknown fields, wrong kinds, bad turns (translation.md 0.2 to 0.6, J).

`SHAPES` states each message's fields and their kinds: a scalar kind, `json` for free-form data, another
message's name, or one of these in a list. Names are camelCase here; snake_case is accepted too, as by Google.
"""

import re
from typing import Any

from msgspec import Struct

SHAPES: dict[str, dict[str, str]] = {
    "GenerateContentRequest": {
        "model": "string", "contents": "[Content]", "systemInstruction": "Content", "tools": "[Tool]",
        "toolConfig": "ToolConfig", "safetySettings": "[SafetySetting]", "generationConfig": "GenerationConfig",
        "cachedContent": "string", "serviceTier": "string", "labels": "json", "store": "bool",
    },
    "Content": {"role": "string", "parts": "[Part]"},
    "Part": {
        "text": "string", "inlineData": "Blob", "fileData": "FileData", "functionCall": "FunctionCall",
        "functionResponse": "FunctionResponse", "executableCode": "json", "codeExecutionResult": "json",
        "toolCall": "json", "toolResponse": "json", "thought": "bool", "thoughtSignature": "bytes",
        "videoMetadata": "json", "mediaResolution": "json", "partMetadata": "json",
    },
    "Blob": {"mimeType": "string", "data": "bytes"},
    "FileData": {"fileUri": "string", "mimeType": "string"},
    "FunctionCall": {"id": "string", "name": "string", "args": "json"},
    "FunctionResponse": {"id": "string", "name": "string", "response": "json", "parts": "json"},
    "Tool": {
        "functionDeclarations": "[FunctionDeclaration]", "googleSearch": "json", "googleSearchRetrieval": "json",
        "codeExecution": "json", "urlContext": "json", "googleMaps": "json", "fileSearch": "json",
        "computerUse": "json", "mcpServers": "json",
    },
    "FunctionDeclaration": {
        "name": "string", "description": "string", "parameters": "json", "parametersJsonSchema": "json",
        "response": "json", "responseJsonSchema": "json", "behavior": "string",
    },
    "ToolConfig": {
        "functionCallingConfig": "FunctionCallingConfig", "retrievalConfig": "json",
        "includeServerSideToolInvocations": "bool",
    },
    "FunctionCallingConfig": {"mode": "string", "allowedFunctionNames": "[string]"},
    "SafetySetting": {"category": "string", "threshold": "string"},
    "GenerationConfig": {
        "temperature": "number", "topP": "number", "topK": "number", "candidateCount": "integer",
        "maxOutputTokens": "integer", "stopSequences": "[string]", "responseLogprobs": "bool",
        "logprobs": "integer", "presencePenalty": "number", "frequencyPenalty": "number", "seed": "integer",
        "responseMimeType": "string", "responseSchema": "json", "responseJsonSchema": "json",
        "responseModalities": "[string]", "mediaResolution": "string", "speechConfig": "json",
        "thinkingConfig": "ThinkingConfig", "imageConfig": "json", "responseFormat": "json",
    },
    "ThinkingConfig": {"includeThoughts": "bool", "thinkingBudget": "integer", "thinkingLevel": "string"},
}  # fmt: skip

_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,), "bytes": (str,), "bool": (bool,), "number": (int, float), "integer": (int,),
}  # fmt: skip
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_SNAKE = re.compile(r"_([a-z])")
_NO_PENALTIES = re.compile(r"gemini-(2\.5-flash|[3-9])|gemini-.*-latest")
_ONE_CANDIDATE = re.compile(r"gemini-(3\.1-pro|3\.[7-9]|[4-9])")
_NO_PREFILL = re.compile(r"gemini-(3\.[6-9]|[4-9])|gemini-.*-latest")


_VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_NO_THINKING = re.compile(r"gemini-(1|2\.0)|gemma-[123]|.*(tts|2\.5-flash-image)")


def version(model: str) -> tuple[int, int]:
    """(2, 5) for gemini-2.5-flash; anything else is as new as can be, but for the old Gemma."""
    found = _VERSION.match(model)
    if found:
        return int(found[1]), int(found[2] or 0)
    return (2, 0) if model.startswith("gemma-") else (99, 0)


def thinks(model: str) -> bool:
    return _NO_THINKING.match(model) is None


def generation(request: dict[str, Any]) -> dict[str, Any]:
    """generationConfig, as it was shaped."""
    found: dict[str, Any] = request.get("generationConfig") or {}
    return found


def last_turn(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of the last content."""
    return (request.get("contents") or [{}])[-1].get("parts") or []


class Refusal(Struct, frozen=True):
    """Google's error status: HTTP code, name, message, and the field it blames."""

    code: int
    status: str
    message: str
    field: str | None = None
    reason: str | None = None

    def body(self) -> dict[str, Any]:
        """google.rpc.Status as Google prints it."""
        error: dict[str, Any] = {"code": self.code, "message": self.message, "status": self.status}
        if self.field is not None:
            violation = {"field": self.field, "description": self.message}
            error["details"] = [
                {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}
            ]
        if self.reason is not None:
            info = {"reason": self.reason, "domain": "googleapis.com"}
            error["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", **info}]
        return {"error": error}


class RefusedError(Exception):
    """Carries the refusal."""

    def __init__(self, message: str, field: str | None = None) -> None:
        self.refusal = Refusal(400, "INVALID_ARGUMENT", message, field)


def shaped(body: Any) -> dict[str, Any]:
    """A body with camelCase names throughout. Raises RefusedError for what Google would not decode."""
    if not isinstance(body, dict):
        raise RefusedError("Invalid JSON payload received. Unexpected token.")
    found: dict[str, Any] = _shaped(body, "GenerateContentRequest", "")
    return found


def check(model: str, body: Any) -> Refusal | None:
    """What Google would say against a generateContent body, or None."""
    try:
        request = shaped(body)
        _check_config(model, request.get("generationConfig") or {})
        _check_turns(model, request.get("contents") or [])
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
    if shape in _KINDS:
        return _scalar(value, shape, at)
    if not isinstance(value, dict):
        raise RefusedError(f"Invalid value at '{at}' ({shape}), {value!r}"[:300], at)
    return {name: v for key, item in value.items() for name, v in [_field(key, item, shape, at)]}


def _field(key: str, value: Any, shape: str, at: str) -> tuple[str, Any]:
    name = _SNAKE.sub(lambda m: m[1].upper(), key)
    kind = SHAPES[shape].get(name)
    if kind is None:
        where = f" at '{at}'" if at else ""
        raise RefusedError(
            f'Invalid JSON payload received. Unknown name "{key}"{where}: Cannot find field.', at
        )
    return name, _shaped(value, kind, f"{at}.{key}" if at else key)


def _scalar(value: Any, kind: str, at: str) -> Any:
    fits = isinstance(value, _KINDS[kind]) and (kind == "bool" or not isinstance(value, bool))
    if not fits:
        raise RefusedError(f"Invalid value at '{at}' (TYPE_{kind.upper()}), {value!r}"[:300], at)
    if kind == "bytes" and (not _BASE64.fullmatch(value) or len(value.rstrip("=")) % 4 == 1):
        raise RefusedError(f"Invalid value at '{at}' (TYPE_BYTES), Base64 decoding failed", at)
    return value


def _check_config(model: str, config: dict[str, Any]) -> None:
    if len(config.get("stopSequences") or ()) > 5:
        raise RefusedError("* GenerateContentRequest.generation_config.stop_sequences: at most 5 are allowed")
    if not 0 <= config.get("temperature", 1) <= 2:
        raise RefusedError(
            "* GenerateContentRequest.generation_config.temperature: must be in the range [0.0, 2.0]"
        )
    if ("presencePenalty" in config or "frequencyPenalty" in config) and _NO_PENALTIES.match(model):
        raise RefusedError("Penalty is not enabled for this model")
    if config.get("candidateCount", 1) > 1 and _ONE_CANDIDATE.match(model):
        raise RefusedError("Multiple candidates is not enabled for this model")
    thinking = config.get("thinkingConfig") or {}
    if "thinkingBudget" in thinking and "thinkingLevel" in thinking:
        raise RefusedError("Cannot set both thinking_budget and thinking_level.")


def _check_turns(model: str, contents: list[dict[str, Any]]) -> None:
    if not contents:
        raise RefusedError("* GenerateContentRequest.contents: contents is not specified")
    for i, content in enumerate(contents):
        if content.get("role", "user") not in ("user", "model"):
            raise RefusedError("Please use a valid role: user, model.")
        if not content.get("parts"):
            raise RefusedError(
                f"* GenerateContentRequest.contents[{i}].parts: contents.parts must not be empty."
            )
    _check_calls(contents)
    if contents[-1].get("role") == "model" and _NO_PREFILL.match(model):
        raise RefusedError("Requests ending with a model turn are not supported.")


def _check_calls(contents: list[dict[str, Any]]) -> None:
    """Calls follow users, results follow calls, as many as there were."""
    due = 0
    for i, content in enumerate(contents):
        calls = sum("functionCall" in part for part in content["parts"])
        results = sum("functionResponse" in part for part in content["parts"])
        if calls and (i == 0 or contents[i - 1].get("role") == "model"):
            raise RefusedError(
                "Please ensure that function call turn comes immediately after a user turn or after a function "
                "response turn."
            )
        if results and not due:
            raise RefusedError(
                "Please ensure that function response turn comes immediately after a function call turn."
            )
        if results != due:
            raise RefusedError(
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn."
            )
        due = calls
