"""Messages of Gemini's embeddings, model list and countTokens.

Documented at https://ai.google.dev/api/embeddings, https://ai.google.dev/api/models and https://ai.google.dev/api/tokens.
"""

import re
from collections.abc import Callable

import msgspec
from msgspec import Struct

from gateway.gemini.wire import Content, GenerateContentRequest, Tool, UsageMetadata

_NAME = re.compile(r"[a-zA-Z]+/[A-Za-z0-9][A-Za-z0-9._~-]{0,511}", re.ASCII)


def is_name(kind: str, text: str) -> bool:
    """Return whether a text names a resource of a kind, such as `files/abc` of `files`.

    Names in Google's answers are put into paths of other calls, which must not lead elsewhere.
    """
    return text.startswith(f"{kind}/") and _NAME.fullmatch(text) is not None


class _Message(Struct, rename="camel", omit_defaults=True, gc=False):
    pass


class EmbedContentRequest(_Message):
    model: str
    """`models/<id>`, as in the path."""
    content: Content
    output_dimensionality: int | None = None
    task_type: str | None = None
    title: str | None = None


class EmbeddedText(_Message):
    """A text in a batch of embeddings, whose path has the model."""

    content: Content
    output_dimensionality: int | None = None
    task_type: str | None = None
    title: str | None = None


class BatchEmbedContentsRequest(_Message):
    requests: list[EmbedContentRequest]


class ContentEmbedding(_Message):
    values: list[float] = []


class BatchEmbedContentsResponse(_Message):
    embeddings: list[ContentEmbedding] = []
    usage_metadata: UsageMetadata | None = None


class EmbedContentResponse(_Message):
    """The answer to one text of a batch."""

    embedding: ContentEmbedding
    usage_metadata: UsageMetadata | None = None


class ModelRecord(_Message):
    """A model of Google's list; any field but the name may be missing."""

    name: str
    display_name: str | None = None
    input_token_limit: int | None = None
    output_token_limit: int | None = None
    supported_generation_methods: list[str] | None = None
    thinking: bool | None = None


class ModelPage(_Message):
    models: list[ModelRecord] = []
    next_page_token: str | None = None


class CountTokensResponse(_Message):
    total_tokens: int = 0


class _Counted(_Message):
    """The parts of a request that have tokens: without its generation config."""

    model: str
    contents: list[Content]
    system_instruction: Content | None = None
    tools: list[Tool] | None = None


class _CountTokensRequest(_Message):
    generate_content_request: _Counted


def encode_count(name: str, request: GenerateContentRequest) -> bytes:
    """Return the countTokens body for a request; `name` is `models/<id>`."""
    counted = _Counted(name, request.contents, request.system_instruction, request.tools)
    return encode(_CountTokensRequest(counted))


encode = msgspec.json.Encoder().encode
decode_count = msgspec.json.Decoder(CountTokensResponse).decode
decode_embedding = msgspec.json.Decoder(EmbedContentResponse).decode
decode_embeddings = msgspec.json.Decoder(BatchEmbedContentsResponse).decode
decode_page = msgspec.json.Decoder(ModelPage).decode


def allowed_models(answer: bytes, allows: Callable[[str], bool]) -> bytes:
    """Return a list of models without those that the client may not use. Anything else is returned as it is."""
    try:
        body = msgspec.json.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return answer
    models = body.get("models") if isinstance(body, dict) else None
    if not isinstance(models, list):
        return answer
    body["models"] = [
        entry
        for entry in models
        if isinstance(entry, dict) and allows(str(entry.get("name", "")).removeprefix("models/"))
    ]
    return msgspec.json.encode(body)
