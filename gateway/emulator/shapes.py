"""Each message of the Gemini API as a table of its fields and their kinds (translation.md 0.2 to 0.6, A.3, F.3).

A kind is a scalar, `json` for free-form data, `object` for a free-form object, the name of an enum or of another
message here, or one of these in a `[list]` or as the values of a `{map}`. Names are camelCase here.
"""

SHAPES: dict[str, dict[str, str]] = {
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
"""Each enum's name in Google's protocol, and its values. Types may be written small, as recorded."""

DATA = (
    "text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult",
    "toolCall", "toolResponse",
)  # fmt: skip
"""A part holds exactly one of these; the rest of its fields describe it."""
