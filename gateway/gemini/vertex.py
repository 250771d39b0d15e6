"""The Gemini API's calls in the words of Vertex AI, and its answers in those of the Gemini API.

The differences are those that google-genai knows: its `models.py` has a converter to each of the two (`_to_mldev`,
`_to_vertex`), and refuses what one of them has not. Bodies are changed as JSON, so that requests of every endpoint go
the same way, and only if they contain what differs.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from gateway.gemini.wire import Content, GenerateContentRequest, Tool

_GENERATES = ("generateContent", "streamGenerateContent")
_METHODS = (*_GENERATES, "countTokens", "embedContent", "batchEmbedContents")
"""Methods of the Gemini API that Vertex AI has, too; embeddings of older models are `predict` there."""
_DROPPED = ("store", "enableEnhancedCivicAnswers")
"""Fields of a request and of its generationConfig that Vertex AI does not know."""
_DROPPED_PARTS = ("toolCall", "toolResponse")
"""Parts that tell of Google's own tools (`includeServerSideToolInvocations`)."""
_SNAKE = {
    "enable_enhanced_civic_answers": "enableEnhancedCivicAnswers",
    "tool_call": "toolCall",
    "tool_response": "toolResponse",
    "part_metadata": "partMetadata",
    "will_continue": "willContinue",
    "media_processing": "mediaProcessing",
    "include_server_side_tool_invocations": "includeServerSideToolInvocations",
    "tool_config": "toolConfig",
    "generation_config": "generationConfig",
    "function_response": "functionResponse",
    "function_call": "functionCall",
    "system_instruction": "systemInstruction",
    "generate_content_request": "generateContentRequest",
    "output_dimensionality": "outputDimensionality",
    "task_type": "taskType",
}
"""Names that proto3's JSON accepts as well (https://protobuf.dev/programming-guides/json/)."""
_DIFFERS = re.compile(
    rb'"(?:store|enableEnhancedCivicAnswers|toolCall|toolResponse|includeServerSideToolInvocations)"'
)
"""Names that the gateway writes into requests, and that Vertex AI does not know."""
_WITHOUT_IDS = re.compile(r"gemini-[12]\.")
"""Models for which Vertex AI refuses the ids of function calls and responses: `Unknown name "id" at 'contents[1]…`
(https://github.com/vercel/ai/issues/15664). Newer ones take them (https://github.com/BerriAI/litellm/pull/34603)."""
GEMINI_FILES = "https://generativelanguage.googleapis.com/"
"""Beginning of the address of a file of the Gemini API."""
_PLACE = re.compile(r"(?://aiplatform\.googleapis\.com/)?projects/[^/\s'`]+/locations/[^/\s'`]+/")

_decode = msgspec.json.decode
_encode = msgspec.json.Encoder().encode


class VertexCall(Struct, frozen=True):
    """A call of Vertex AI: the path below `publishers/google/`, with its query, and the body."""

    path: str
    body: bytes


def is_served(path: str) -> bool:
    """Return whether Vertex AI has the method of a path of the Gemini API, below its version."""
    name, _, method = path.partition("?")[0].partition(":")
    return name.startswith("models/") and method in _METHODS


def without_place(message: str) -> str:
    """Return a message of Vertex AI's without project and region in names of models: they are the operator's."""
    return _PLACE.sub("", message)


def needs_gemini(request: GenerateContentRequest) -> bool:
    """Return whether a request has what Vertex AI does not: file stores, and files or caches of the Gemini API."""
    if request.cached_content is not None or any(map(_is_gemini_tool, request.tools or ())):
        return True
    return any(map(_has_gemini_file, request.contents))


def _is_gemini_tool(tool: Tool) -> bool:
    return tool.file_search is not None or tool.mcp_servers is not None


def _has_gemini_file(content: Content) -> bool:
    return any(
        part.file_data is not None and part.file_data.file_uri.startswith(GEMINI_FILES)
        for part in content.parts or ()
    )


def vertex_call(path: str, body: bytes, *, own: bool = True) -> VertexCall:
    """Return a call in Vertex AI's words. `path` is below the version of the Gemini API.

    With `own`, the gateway has written the body; otherwise a client has. Raises ValueError for a body that is no JSON
    object.
    """
    name, _, rest = path.partition(":")
    method, mark, query = rest.partition("?")
    method, body = _changed(name.removeprefix("models/"), method, body, own=own)
    return VertexCall(f"publishers/google/{name}:{method}{mark}{query}", body)


def _changed(model: str, method: str, body: bytes, *, own: bool) -> tuple[str, bytes]:
    has_ids = _WITHOUT_IDS.match(model) is not None and b'"id"' in body
    if method in _GENERATES and own and not has_ids and _DIFFERS.search(body) is None:
        return method, body
    fields = _decode(body)
    if not isinstance(fields, dict):
        raise ValueError("no object")  # noqa: TRY004 - of the client's body
    fields = _renamed(fields)
    if method in _GENERATES:
        request = _request(fields)
    elif method == "countTokens":
        request = _count(fields)
    else:
        return _embedding(model, method, fields, own=own)
    if has_ids:
        _drop_ids(request)
    return method, _encode(request)


def _drop_ids(request: dict[str, Any]) -> None:
    """Take the ids of function calls and responses out of a request. Their order says which belong together."""
    for content in request.get("contents") or ():
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else ():
            for name in ("functionCall", "functionResponse"):
                if isinstance(part, dict) and isinstance(part.get(name), dict):
                    part[name].pop("id", None)


def _renamed(fields: dict[str, Any]) -> dict[str, Any]:
    return {_SNAKE.get(name, name): value for name, value in fields.items()}


def _request(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a request without what Vertex AI does not know. Each content gets a role, which it requires.

    It answers others with `Please use a valid role: user, model.` (recorded traffic).
    """
    changed = {name: value for name, value in fields.items() if name not in _DROPPED}
    if isinstance(contents := changed.get("contents"), list):
        changed["contents"] = [content for content in map(_content, contents) if content is not None]
    elif isinstance(contents, dict):
        changed["contents"] = _content(contents)
    if isinstance(config := changed.get("generationConfig"), dict):
        changed["generationConfig"] = {k: v for k, v in _renamed(config).items() if k not in _DROPPED}
    if isinstance(config := changed.get("toolConfig"), dict):
        config = _renamed(config)
        config.pop("includeServerSideToolInvocations", None)
        changed["toolConfig"] = config
    return changed


def _content(content: Any) -> Any:
    """Return a content, or None if nothing is left of it."""
    if not isinstance(content, dict):
        return content
    parts = content.get("parts")
    changed = {"role": "user", **content}
    if isinstance(parts, list) and parts:
        changed["parts"] = [part for part in map(_part, parts) if part is not None]
        return changed if changed["parts"] else None
    return changed


def _part(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    part = _renamed(part)
    if any(name in part for name in _DROPPED_PARTS):
        return None
    part.pop("partMetadata", None)
    if isinstance(result := part.get("functionResponse"), dict):
        result = _renamed(result)
        result.pop("willContinue", None)
        if isinstance(parts := result.get("parts"), list):
            result["parts"] = [_without_processing(inner) for inner in parts]
        part["functionResponse"] = result
    return part


def _without_processing(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    return {name: value for name, value in _renamed(part).items() if name != "mediaProcessing"}


def _count(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a countTokens request, whose fields stand beside `contents` (`_CountTokensConfig_to_vertex`).

    The Gemini API has them in `generateContentRequest`.
    """
    request = fields.get("generateContentRequest")
    request = _request(_renamed(request) if isinstance(request, dict) else fields)
    counted = ("contents", "systemInstruction", "tools", "generationConfig")
    return {name: request[name] for name in counted if name in request}


def _embedding(model: str, method: str, fields: dict[str, Any], *, own: bool) -> tuple[str, bytes]:
    """Return an embedding request: `predict` for older models (google-genai, `t_is_vertex_embed_content_model`)."""
    requests = fields.get("requests") if method == "batchEmbedContents" else [fields]
    requests = [_renamed(request) for request in requests or () if isinstance(request, dict)]
    if own and not is_gemini_embedding(model):
        return "predict", _encode(_prediction(requests))
    bodies = [_embed_content(request) for request in requests]
    if method == "embedContent" or (own and len(bodies) == 1):
        return "embedContent", _encode(bodies[0])
    return method, _encode({"requests": bodies})


def is_gemini_embedding(model: str) -> bool:
    """Return whether a model has Vertex AI's method embedContent; the others have `predict`."""
    return "gemini" in model or "maas" in model


def _embed_content(request: dict[str, Any]) -> dict[str, Any]:
    names = ("taskType", "title", "outputDimensionality", "autoTruncate")
    config = {name: request[name] for name in names if name in request}
    content = _content(request.get("content"))
    return {"content": content, **({"embedContentConfig": config} if config else {})}


def _prediction(requests: list[dict[str, Any]]) -> dict[str, Any]:
    instances = [dict(_instance(request)) for request in requests]
    sizes = [request["outputDimensionality"] for request in requests if "outputDimensionality" in request]
    return {"instances": instances, **({"parameters": {"outputDimensionality": sizes[0]}} if sizes else {})}


def _instance(request: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    content = request.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    yield "content", "".join(str(part.get("text", "")) for part in parts or () if isinstance(part, dict))
    if "taskType" in request:
        yield "task_type", request["taskType"]
    if "title" in request:
        yield "title", request["title"]


class _Statistics(Struct):
    token_count: float = 0


class _Values(Struct, omit_defaults=True):
    values: list[float] = []
    statistics: _Statistics | None = None


class _Prediction(Struct):
    embeddings: _Values


class _Embeddings(Struct, rename="camel"):
    """The answers of `predict` and of embedContent."""

    predictions: list[_Prediction] | None = None
    embedding: _Values | None = None
    usage_metadata: msgspec.Raw = msgspec.Raw(b"null")


_decode_embeddings = msgspec.json.Decoder(_Embeddings).decode


def gemini_answer(path: str, answer: bytes) -> bytes:
    """Return the answer to a call of the gateway's own in the Gemini API's words. `path` is that API's.

    Raises msgspec.DecodeError for an answer that is none.
    """
    if not path.endswith(":batchEmbedContents"):
        return answer
    read = _decode_embeddings(answer)
    if read.embedding is None and read.predictions is None:
        return answer
    usage: Any = read.usage_metadata
    vectors = [read.embedding] if read.embedding is not None else []
    if read.predictions is not None:
        vectors = [prediction.embeddings for prediction in read.predictions]
        tokens = sum(vector.statistics.token_count for vector in vectors if vector.statistics is not None)
        usage = {"promptTokenCount": int(tokens)}
    return _encode({"embeddings": [{"values": vector.values} for vector in vectors], "usageMetadata": usage})
