"""OpenAI's embeddings request as batches for Gemini."""

from collections.abc import Callable, Sequence

from gateway.conversation.invalid import empty_array, too_long, unsupported_value
from gateway.errors import BadRequest
from gateway.gemini.resources import BatchEmbedContentsRequest, EmbedContentRequest, EmbeddedText, encode
from gateway.gemini.wire import Content, Part
from gateway.plugins.embeddings.wire import MOST_TITLE, TASK_TYPES, EmbeddingExtras, EmbeddingRequest

BATCH = 100
"""Requests in one `batchEmbedContents` call; Gemini answers 400 "at most 100 requests can be in one batch" to more."""
MAX_INPUTS = 2048
"""OpenAI's limit for the `input` array (https://platform.openai.com/docs/api-reference/embeddings/create)."""

ENCODINGS = ("float", "base64")

Detokenizer = Callable[[list[int]], str]
"""Decodes token ids of another vendor to text. Raises ValueError for an id that is not in the vocabulary."""


def texts(body: EmbeddingRequest, detokenize: Detokenizer | None = None) -> list[str]:
    """Return the texts of a request.

    Raises BadRequest for an empty list, more than 2,048 inputs, an empty text, and token ids that cannot be decoded.
    """
    inputs: Sequence[str | int | list[int]] = [body.input] if isinstance(body.input, str) else body.input
    ids = [item for item in inputs if isinstance(item, int)]
    if ids and len(ids) == len(inputs):
        inputs = [ids]
    if not inputs:
        raise empty_array("input")
    if len(inputs) > MAX_INPUTS:
        raise too_long("input", MAX_INPUTS, len(inputs))
    result: list[str] = []
    for i, item in enumerate(inputs):
        param = "input" if len(inputs) == 1 else f"input[{i}]"
        text = item if isinstance(item, str) else _detokenized(item, detokenize, param)
        if not text:
            raise BadRequest(f"Invalid '{param}': input cannot be an empty string.", param=param)
        result.append(text)
    return result


def _detokenized(ids: int | list[int], detokenize: Detokenizer | None, param: str) -> str:
    if detokenize is None or isinstance(ids, int):
        raise BadRequest(
            "Token arrays are not supported, because Gemini has another vocabulary: send texts "
            "(LangChain: OpenAIEmbeddings(check_embedding_ctx_length=False)).",
            param="input",
            code="invalid_type",
        )
    try:
        return detokenize(ids)
    except ValueError as error:
        raise BadRequest(str(error), param=param) from None


def to_gemini(
    body: EmbeddingRequest, inputs: Sequence[str], model: str, most: int = BATCH
) -> list[BatchEmbedContentsRequest]:
    """Return batches of at most `most` texts each, in the order of the texts.

    Raises BadRequest for an unknown encoding of the answer, which is better said before Google bills, and for an
    unknown task or a long title, which are sent once for each text.
    """
    task, title = _options(body)
    name = f"models/{model}"
    requests = [
        EmbedContentRequest(name, Content([Part(text=text)]), body.dimensions, task, title) for text in inputs
    ]
    return [BatchEmbedContentsRequest(requests[i : i + most]) for i in range(0, len(requests), most)]


def to_batch(body: EmbeddingRequest, inputs: Sequence[str]) -> list[bytes]:
    """Return the requests of a batch, one for each text. Raises BadRequest as `to_gemini` does."""
    task, title = _options(body)
    return [encode(EmbeddedText(Content([Part(text=text)]), body.dimensions, task, title)) for text in inputs]


def _options(body: EmbeddingRequest) -> tuple[str | None, str | None]:
    """Return `taskType` and `title`. Raises BadRequest with the client's path."""
    if body.encoding_format not in (None, *ENCODINGS):
        raise unsupported_value(body.encoding_format, ENCODINGS, "encoding_format")
    at, extras = "", EmbeddingExtras()
    if body.extra_body is not None and body.extra_body.google is not None:
        at, extras = "extra_body.google.", body.extra_body.google
    elif body.google is not None:
        at, extras = "google.", body.google
    task, title = extras.task_type or body.task_type, extras.title or body.title
    if task and task not in TASK_TYPES:
        raise unsupported_value(task, TASK_TYPES, f"{at if extras.task_type else ''}task_type")
    if title and len(title) > MOST_TITLE:
        param = f"{at if extras.title else ''}title"
        raise BadRequest(
            f"Invalid '{param}': string too long. Expected a string with maximum length {MOST_TITLE}, "
            f"but got a string with length {len(title)} instead.",
            param=param,
            code="string_above_max_length",
        )
    return task, title


def expected_size(batch: BatchEmbedContentsRequest) -> int:
    """Return the bytes of an encoded batch, roughly: its texts, and what is repeated for each of them."""
    first = batch.requests[0]
    repeated = EmbedContentRequest(
        first.model, Content([Part(text="")]), first.output_dimensionality, first.task_type, first.title
    )
    texts = [part.text or "" for request in batch.requests for part in request.content.parts or ()]
    return len(batch.requests) * (len(encode(repeated)) + 1) + sum(map(len, texts))
