"""Message types of the Gemini API, and a decoder that accepts nothing else.

Each message is a table of its fields and their types. A type is a scalar, `json` for any JSON, `object` for any JSON
object, the name of an enum or of another message, or one of these as a `[list]` or as the values of a `{map}`. Names
are camelCase in the tables; requests may use snake_case too (https://protobuf.dev/programming-guides/json/). The fields
are those of https://ai.google.dev/api/generate-content, https://ai.google.dev/api/caching,
https://ai.google.dev/api/embeddings, https://ai.google.dev/api/batch-api and https://ai.google.dev/api/live.

A refusal repeats names and values of the request unescaped, and lists every mistake, as Google's do
(https://github.com/google-gemini/gemini-cli/issues/13972, https://github.com/zed-industries/zed/issues/44875,
https://github.com/MinLL/SkyrimNet-GamePlugin/issues/77).
"""

import re
from typing import Any

import msgspec

from gateway.emulator.errors import RefusedError, Violation

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
    "CachedContent": {
        "model": "string", "contents": "[Content]", "systemInstruction": "Content", "tools": "[Tool]",
        "toolConfig": "ToolConfig", "displayName": "string", "ttl": "string", "expireTime": "string",
        "name": "string",
    },
    "EmbedContentRequest": {
        "model": "string", "content": "Content", "taskType": "string", "title": "string",
        "outputDimensionality": "integer",
    },
    "BatchEmbedContentsRequest": {"requests": "[EmbedContentRequest]"},
    "BatchGenerateContentRequest": {"batch": "GenerateContentBatch"},
    "GenerateContentBatch": {
        "model": "string", "displayName": "string", "inputConfig": "InputConfig", "priority": "int64",
        "webhookConfig": "json",
    },
    "InputConfig": {"fileName": "string", "requests": "InlinedRequests"},
    "InlinedRequests": {"requests": "[InlinedRequest]"},
    "InlinedRequest": {"request": "GenerateContentRequest", "metadata": "object"},
    "BatchLine": {"key": "string", "request": "GenerateContentRequest", "metadata": "object"},
    "EmbedContentBatchLine": {"key": "string", "request": "EmbedContentRequest", "metadata": "object"},
    "AsyncBatchEmbedContentRequest": {"batch": "EmbedContentBatch"},
    "EmbedContentBatch": {
        "model": "string", "displayName": "string", "inputConfig": "InputEmbedContentConfig", "priority": "int64",
    },
    "InputEmbedContentConfig": {"fileName": "string", "requests": "InlinedEmbedContentRequests"},
    "InlinedEmbedContentRequests": {"requests": "[InlinedEmbedContentRequest]"},
    "InlinedEmbedContentRequest": {"request": "EmbedContentRequest", "metadata": "object"},
    "AuthToken": {
        "uses": "integer", "expireTime": "string", "newSessionExpireTime": "string", "fieldMask": "string",
        "bidiGenerateContentSetup": "BidiGenerateContentSetup",
    },
    "BidiGenerateContentRequest": {
        "setup": "BidiGenerateContentSetup", "clientContent": "ClientContent", "realtimeInput": "RealtimeInput",
        "toolResponse": "LiveToolResponse", "contextUpdate": "ContextUpdate",
    },
    "BidiGenerateContentSetup": {
        "model": "string", "generationConfig": "LiveConfig", "systemInstruction": "Content", "tools": "[Tool]",
        "sessionResumption": "SessionResumption", "contextWindowCompression": "json",
        "inputAudioTranscription": "json", "outputAudioTranscription": "json", "realtimeInputConfig": "json",
        "proactivity": "json", "explicitVadSignal": "bool", "historyConfig": "json", "avatarConfig": "json",
        "safetySettings": "[SafetySetting]", "labels": "{string}",
    },
    "SessionResumption": {"handle": "string", "transparent": "bool"},
    "ClientContent": {"turns": "[Content]", "turnComplete": "bool"},
    "RealtimeInput": {
        "mediaChunks": "[Blob]", "audio": "Blob", "video": "Blob", "text": "string", "audioStreamEnd": "bool",
        "activityStart": "Nothing", "activityEnd": "Nothing",
    },
    "LiveToolResponse": {"functionResponses": "[FunctionResponse]"},
    "ContextUpdate": {"systemInstruction": "Content", "tools": "json"},
    "Content": {"role": "string", "parts": "[Part]"},
    "Part": {
        "text": "string", "inlineData": "Blob", "fileData": "FileData", "functionCall": "FunctionCall",
        "functionResponse": "FunctionResponse", "executableCode": "ExecutableCode",
        "codeExecutionResult": "CodeExecutionResult", "toolCall": "ToolCall", "toolResponse": "ToolResponse",
        "thought": "bool", "thoughtSignature": "bytes", "videoMetadata": "VideoMetadata",
        "mediaResolution": "PartResolution", "partMetadata": "object", "speechMetadata": "SpeechMetadata",
    },
    "SpeechMetadata": {"style": "string", "speaker": "string"},
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
    "LiveConfig": {
        "temperature": "number", "topP": "number", "topK": "number", "maxOutputTokens": "integer", "seed": "integer",
        "responseModalities": "[Modality]", "mediaResolution": "MediaResolution", "speechConfig": "SpeechConfig",
        "thinkingConfig": "ThinkingConfig", "enableAffectiveDialog": "bool", "translationConfig": "json",
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
                      ("THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH")),
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
_INPUT_CONFIGS = ("InputConfig", "InputEmbedContentConfig")
"""Their requests are inlined or in a file: a oneof that https://ai.google.dev/api/batch-api calls `source`."""
_SCALARS: dict[str, tuple[type, ...]] = {
    "string": (str,), "bytes": (str,), "bool": (bool,), "number": (int, float), "integer": (int,),
    "int64": (int, str),
}  # fmt: skip
_PROTO_TYPES = {"number": "TYPE_FLOAT", "integer": "TYPE_INT32"}
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_SNAKE = re.compile(r"_([a-z])")
_CAMEL = re.compile(r"([A-Z])")
_PROTO = "type.googleapis.com/google.ai.generativelanguage.v1beta"
_STRUCT = "type.googleapis.com/google.protobuf.Struct"


def decode(body: Any, message_type: str = "GenerateContentRequest") -> dict[str, Any]:
    """Return a body with camelCase names. Raises RefusedError for a body that Google would not decode."""
    if not isinstance(body, dict):
        raise RefusedError("Invalid JSON payload received. Unexpected token.")
    decoder = _Decoder()
    message = decoder.message(body, message_type, "")
    if decoder.violations:
        text = "\n".join(violation.description for violation in decoder.violations)
        raise RefusedError(text, tuple(decoder.violations))
    return message


class _Decoder:
    """Decodes one body and collects every mistake in it. Paths are in snake_case, as in Google's answers."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def message(self, value: dict[str, Any], type_: str, at: str) -> dict[str, Any]:
        """Return a message with camelCase names and without what is refused."""
        result: dict[str, Any] = {}
        for key, item in value.items():
            name = _SNAKE.sub(lambda m: m[1].upper(), key)
            field_type = MESSAGES[type_].get(name)
            if field_type is None:
                self._unknown(key, at, "Cannot find field.")
            elif isinstance(item, list) and not field_type.startswith("[") and field_type != "json":
                self._unknown(key, at, "Proto field is not repeating, cannot start list.")
            else:
                result[name] = self._value(item, field_type, _below(at, name))
        if type_ == "Part":
            self._check_part([name for name in result if name in PART_DATA], value, at)
        elif type_ in _INPUT_CONFIGS and len(result) > 1:
            self._one_of("source", list(result), at)
        return result

    def _value(self, value: Any, type_: str, at: str) -> Any:
        if type_.startswith("["):
            if not isinstance(value, list):
                return self._refuse(f"Invalid value at '{at}', expected a list", at)
            return [self._value(item, type_[1:-1], f"{at}[{i}]") for i, item in enumerate(value)]
        if type_ == "json":
            return value
        if type_ in _SCALARS:
            return self._scalar(value, type_, at)
        if type_ in ENUMS:
            proto, known = ENUMS[type_]
            if not isinstance(value, str) or value not in known:
                return self._invalid(value, f"{_PROTO}.{proto}", at)
            return value
        if not isinstance(value, dict):
            struct = type_ == "object" or type_.startswith("{")
            return self._invalid(value, _STRUCT if struct else f"{_PROTO}.{type_}", at)
        if type_ == "object":
            return value
        if type_.startswith("{"):
            entries = enumerate(value.items())
            return {key: self._value(item, type_[1:-1], f"{at}[{i}].value") for i, (key, item) in entries}
        return self.message(value, type_, at)

    def _scalar(self, value: Any, type_: str, at: str) -> Any:
        proto = _PROTO_TYPES.get(type_, f"TYPE_{type_.upper()}")
        if not isinstance(value, _SCALARS[type_]) or (type_ != "bool" and isinstance(value, bool)):
            return self._invalid(value, proto, at)
        if type_ == "bytes" and not _is_base64(str(value)):
            return self._refuse(
                f"Invalid value at '{at}' ({proto}), Base64 decoding failed for \"{value}\"", at
            )
        return value

    def _check_part(self, data: list[str], value: dict[str, Any], at: str) -> None:
        if not data and not any(_SNAKE.sub(lambda m: m[1].upper(), key) in PART_DATA for key in value):
            self._refuse(
                f"* GenerateContentRequest.{at}.data: required oneof field 'data' must have one initialized field",
                at,
            )
        if len(data) > 1:
            self._one_of("data", data, at)

    def _one_of(self, name: str, fields: list[str], at: str) -> None:
        self._refuse(
            f"Invalid value at '{at}' (oneof), oneof field '{name}' is already set. Cannot set '{fields[1]}'",
            at,
        )

    def _unknown(self, name: str, at: str, why: str) -> None:
        where = f" at '{at}'" if at else ""
        self._refuse(f'Invalid JSON payload received. Unknown name "{name}"{where}: {why}', at)

    def _invalid(self, value: Any, type_: str, at: str) -> None:
        text = f'"{value}"' if isinstance(value, str) else msgspec.json.encode(value).decode()
        self._refuse(f"Invalid value at '{at}' ({type_}), {text}", at)

    def _refuse(self, description: str, at: str) -> None:
        self.violations.append(Violation(at, description))


def _is_base64(text: str) -> bool:
    return _BASE64.fullmatch(text) is not None and len(text.rstrip("=")) % 4 != 1


def _below(at: str, name: str) -> str:
    """Return the path of a field of the message at a path."""
    field = _CAMEL.sub(lambda m: f"_{m[1].lower()}", name)
    return f"{at}.{field}" if at else field
