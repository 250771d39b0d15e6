"""Message types of the Gemini API, and a decoder that accepts nothing else.

Each message is a table of its fields and their types. A type is a scalar, `json` for any JSON, `object` for any JSON
object, the name of an enum or of another message, or one of these as a `[list]` or as the values of a `{map}`. Names
are camelCase in the tables; requests may use snake_case too (https://protobuf.dev/programming-guides/json/). The fields
are those of https://ai.google.dev/api/generate-content and https://ai.google.dev/api/embeddings.
"""

import re
from typing import Any

from gateway.emulator.errors import RefusedError

MESSAGES: dict[str, dict[str, str]] = {
    "GenerateContentRequest": {
        "model": "string", "contents": "[Content]", "systemInstruction": "Content", "tools": "[Tool]",
        "toolConfig": "ToolConfig", "safetySettings": "[SafetySetting]", "generationConfig": "GenerationConfig",
        "cachedContent": "string", "serviceTier": "string", "labels": "{string}", "store": "bool",
        "continuationToken": "string",
    },
    "CountTokensRequest": {
        "model": "string", "contents": "[Content]", "generateContentRequest": "GenerateContentRequest",
    },
    "EmbedContentRequest": {
        "model": "string", "content": "Content", "taskType": "string", "title": "string",
        "outputDimensionality": "integer",
    },
    "BatchEmbedContentsRequest": {"requests": "[EmbedContentRequest]"},
    "Content": {"role": "string", "parts": "[Part]"},
    "Part": {
        "text": "string", "inlineData": "Blob", "fileData": "FileData", "functionCall": "FunctionCall",
        "functionResponse": "FunctionResponse", "executableCode": "ExecutableCode",
        "codeExecutionResult": "CodeExecutionResult", "toolCall": "ToolCall", "toolResponse": "ToolResponse",
        "thought": "bool", "thoughtSignature": "bytes", "videoMetadata": "VideoMetadata",
        "mediaResolution": "PartResolution", "partMetadata": "object",
    },
    "Blob": {"mimeType": "string", "data": "bytes"},
    "FileData": {"fileUri": "string", "mimeType": "string"},
    "FunctionCall": {"id": "string", "name": "string", "args": "object"},
    "FunctionResponse": {
        "id": "string", "name": "string", "response": "object", "parts": "[ResponsePart]",
        "scheduling": "string", "willContinue": "bool",
    },
    "ResponsePart": {"inlineData": "Blob", "fileData": "FileData"},
    "ExecutableCode": {"id": "string", "language": "string", "code": "string"},
    "CodeExecutionResult": {"id": "string", "outcome": "string", "output": "string"},
    "ToolCall": {"id": "string", "toolType": "string", "args": "object"},
    "ToolResponse": {"id": "string", "toolType": "string", "response": "object"},
    "VideoMetadata": {"fps": "number", "startOffset": "string", "endOffset": "string"},
    "PartResolution": {"level": "MediaResolution"},
    "Tool": {
        "functionDeclarations": "[FunctionDeclaration]", "googleSearch": "GoogleSearch",
        "googleSearchRetrieval": "json", "codeExecution": "Nothing", "urlContext": "Nothing",
        "googleMaps": "GoogleMaps", "fileSearch": "FileSearch", "computerUse": "json", "mcpServers": "json",
    },
    "Nothing": {},
    "GoogleSearch": {"timeRangeFilter": "TimeRange", "searchTypes": "SearchTypes"},
    "TimeRange": {"startTime": "string", "endTime": "string"},
    "SearchTypes": {"webSearch": "Nothing", "imageSearch": "Nothing"},
    "GoogleMaps": {"enableWidget": "bool"},
    "FileSearch": {"fileSearchStoreNames": "[string]", "topK": "integer", "metadataFilter": "string"},
    "FunctionDeclaration": {
        "name": "string", "description": "string", "parameters": "Schema", "parametersJsonSchema": "json",
        "response": "Schema", "responseJsonSchema": "json", "behavior": "string",
    },
    "Schema": {
        "type": "Type", "format": "string", "title": "string", "description": "string", "nullable": "bool",
        "enum": "[string]", "items": "Schema", "properties": "{Schema}", "required": "[string]",
        "anyOf": "[Schema]", "propertyOrdering": "[string]", "default": "json", "example": "json",
        "minItems": "int64", "maxItems": "int64", "minLength": "int64", "maxLength": "int64", "pattern": "string",
        "minProperties": "int64", "maxProperties": "int64", "minimum": "number", "maximum": "number",
    },
    "ToolConfig": {
        "functionCallingConfig": "FunctionCallingConfig", "retrievalConfig": "RetrievalConfig",
        "includeServerSideToolInvocations": "bool",
    },
    "FunctionCallingConfig": {"mode": "Mode", "allowedFunctionNames": "[string]"},
    "RetrievalConfig": {"latLng": "LatLng", "languageCode": "string"},
    "LatLng": {"latitude": "number", "longitude": "number"},
    "SafetySetting": {"category": "HarmCategory", "threshold": "HarmBlockThreshold"},
    "GenerationConfig": {
        "temperature": "number", "topP": "number", "topK": "number", "candidateCount": "integer",
        "maxOutputTokens": "integer", "stopSequences": "[string]", "responseLogprobs": "bool",
        "logprobs": "integer", "presencePenalty": "number", "frequencyPenalty": "number", "seed": "integer",
        "responseMimeType": "string", "responseSchema": "Schema", "responseJsonSchema": "json",
        "responseModalities": "[Modality]", "mediaResolution": "MediaResolution", "speechConfig": "SpeechConfig",
        "thinkingConfig": "ThinkingConfig", "imageConfig": "ImageConfig", "responseFormat": "ResponseFormat",
        "enableEnhancedCivicAnswers": "bool", "audioTranscriptionConfig": "json",
    },
    "ThinkingConfig": {
        "includeThoughts": "bool", "thinkingBudget": "integer", "thinkingLevel": "ThinkingLevel",
    },
    "ImageConfig": {"aspectRatio": "string", "imageSize": "string"},
    "SpeechConfig": {"voiceConfig": "json", "multiSpeakerVoiceConfig": "json", "languageCode": "string"},
    "ResponseFormat": {"text": "TextFormat", "audio": "json", "image": "json"},
    "TextFormat": {"mimeType": "string", "schema": "json"},
}  # fmt: skip

ENUMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Mode": ("FunctionCallingConfig.Mode", ("MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED")),
    "ThinkingLevel": ("ThinkingConfig.ThinkingLevel",
                      ("THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH")),
    "Modality": ("GenerationConfig.Modality", ("MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "AUDIO", "VIDEO")),
    "MediaResolution": ("GenerationConfig.MediaResolution", (
        "MEDIA_RESOLUTION_UNSPECIFIED", "MEDIA_RESOLUTION_LOW", "MEDIA_RESOLUTION_MEDIUM", "MEDIA_RESOLUTION_HIGH",
        "MEDIA_RESOLUTION_ULTRA_HIGH")),
    "HarmCategory": ("HarmCategory", (
        "HARM_CATEGORY_UNSPECIFIED", "HARM_CATEGORY_HARASSMENT", "HARM_CATEGORY_HATE_SPEECH",
        "HARM_CATEGORY_SEXUALLY_EXPLICIT", "HARM_CATEGORY_DANGEROUS_CONTENT", "HARM_CATEGORY_CIVIC_INTEGRITY")),
    "HarmBlockThreshold": ("SafetySetting.HarmBlockThreshold", (
        "HARM_BLOCK_THRESHOLD_UNSPECIFIED", "BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_ONLY_HIGH",
        "BLOCK_NONE", "OFF")),
    "Type": ("Type", (
        "TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL",
        "string", "number", "integer", "boolean", "array", "object", "null")),
}  # fmt: skip
"""Each enum's proto name and values. Google also takes types in lower case (recorded traffic)."""

PART_DATA = (
    "text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult",
    "toolCall", "toolResponse",
)  # fmt: skip
"""A part holds exactly one of these; its other fields describe it."""
_SCALARS: dict[str, tuple[type, ...]] = {
    "string": (str,), "bytes": (str,), "bool": (bool,), "number": (int, float), "integer": (int,),
    "int64": (int, str),
}  # fmt: skip
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_SNAKE = re.compile(r"_([a-z])")
_PROTO = "type.googleapis.com/google.ai.generativelanguage.v1beta"


def decode(body: Any, message_type: str = "GenerateContentRequest") -> dict[str, Any]:
    """Return a body with camelCase names. Raises RefusedError for a body that Google would not decode."""
    if not isinstance(body, dict):
        raise RefusedError("Invalid JSON payload received. Unexpected token.")
    message: dict[str, Any] = _decode(body, message_type, "")
    return message


def _decode(value: Any, type_: str, at: str) -> Any:
    """Return a value with camelCase names; `at` is its path. Raises RefusedError for a value not of the type."""
    if type_.startswith("["):
        if not isinstance(value, list):
            raise RefusedError(f"Invalid value at '{at}', expected a list", at)
        return [_decode(item, type_[1:-1], f"{at}[{i}]") for i, item in enumerate(value)]
    if type_ == "json":
        return value
    if isinstance(value, list):
        raise RefusedError(f"Invalid value at '{at}'. Proto field is not repeating, cannot start list.", at)
    if type_ in _SCALARS:
        return _scalar(value, type_, at)
    if type_ in ENUMS:
        return _enum(value, type_, at)
    if not isinstance(value, dict):
        raise RefusedError(f"Invalid value at '{at}' ({type_}), {value!r}"[:300], at)
    return _message(value, type_, at)


def _message(value: dict[str, Any], type_: str, at: str) -> dict[str, Any]:
    if type_ == "object":
        return value
    if type_.startswith("{"):
        return {key: _decode(item, type_[1:-1], f"{at}[{key}]") for key, item in value.items()}
    fields = dict(_field(key, item, type_, at) for key, item in value.items())
    if type_ == "Part":
        _check_part([name for name in fields if name in PART_DATA], at)
    return fields


def _field(key: str, value: Any, type_: str, at: str) -> tuple[str, Any]:
    name = _SNAKE.sub(lambda m: m[1].upper(), key)
    field_type = MESSAGES[type_].get(name)
    if field_type is None:
        where = f" at '{at}'" if at else ""
        raise RefusedError(
            f'Invalid JSON payload received. Unknown name "{key}"{where}: Cannot find field.', at
        )
    return name, _decode(value, field_type, f"{at}.{key}" if at else key)


def _check_part(data: list[str], at: str) -> None:
    if not data:
        raise RefusedError(
            f"* GenerateContentRequest.{at}.data: required oneof field 'data' must have one initialized field"
        )
    if len(data) > 1:
        raise RefusedError(
            f"Invalid value at '{at}' (oneof), oneof field 'data' is already set. Cannot set '{data[1]}'", at
        )


def _scalar(value: Any, type_: str, at: str) -> Any:
    fits = isinstance(value, _SCALARS[type_]) and (type_ == "bool" or not isinstance(value, bool))
    if not fits:
        raise RefusedError(f"Invalid value at '{at}' (TYPE_{type_.upper()}), {value!r}"[:300], at)
    if type_ == "bytes" and (not _BASE64.fullmatch(value) or len(value.rstrip("=")) % 4 == 1):
        raise RefusedError(
            f"Invalid value at '{at}' (TYPE_BYTES), Base64 decoding failed for \"{value[:60]}\"", at
        )
    return value


def _enum(value: Any, name: str, at: str) -> str:
    proto, known = ENUMS[name]
    if not isinstance(value, str) or value not in known:
        raise RefusedError(f"Invalid value at '{at}' ({_PROTO}.{proto}), \"{value}\""[:300], at)
    return value
