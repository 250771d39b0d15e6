"""The bounds that each surface's request declares: the last values that pass, and the first that are refused."""

from typing import Any

import msgspec
import pytest

from gateway.plugins.chat.wire import ChatRequest
from gateway.plugins.completions.wire import CompletionRequest
from gateway.plugins.embeddings.wire import EmbeddingRequest
from gateway.plugins.messages.wire import MessagesRequest
from gateway.plugins.moderations.wire import ModerationRequest
from gateway.plugins.responses.wire import ResponseRequest

INT32 = 2**31 - 1
TURN = {"role": "user", "content": "x"}
LEAST: dict[type[msgspec.Struct], dict[str, Any]] = {
    ChatRequest: {"messages": [TURN]},
    CompletionRequest: {},
    EmbeddingRequest: {"input": "x"},
    MessagesRequest: {"messages": [TURN]},
    ModerationRequest: {"input": "x"},
    ResponseRequest: {},
}
"""The smallest body of each surface."""
BOUNDS: list[tuple[type[msgspec.Struct], str, float | None, float | None]] = [
    (ChatRequest, "temperature", 0, 2),
    (ChatRequest, "top_p", 0, 1),
    (ChatRequest, "top_k", 1, INT32),
    (ChatRequest, "n", 1, None),
    (ChatRequest, "max_tokens", 1, INT32),
    (ChatRequest, "max_completion_tokens", 1, INT32),
    (ChatRequest, "presence_penalty", -2, 2),
    (ChatRequest, "frequency_penalty", -2, 2),
    (ChatRequest, "top_logprobs", 0, 20),
    (CompletionRequest, "max_tokens", 0, INT32),
    (CompletionRequest, "temperature", 0, 2),
    (CompletionRequest, "top_p", 0, 1),
    (CompletionRequest, "n", 1, None),
    (CompletionRequest, "best_of", 1, None),
    (CompletionRequest, "presence_penalty", -2, 2),
    (CompletionRequest, "frequency_penalty", -2, 2),
    (EmbeddingRequest, "dimensions", 1, 65536),
    (MessagesRequest, "max_tokens", 1, INT32),
    (MessagesRequest, "temperature", 0, 2),
    (MessagesRequest, "top_p", 0, 1),
    (MessagesRequest, "top_k", 1, INT32),
    (ResponseRequest, "max_output_tokens", 1, INT32),
    (ResponseRequest, "temperature", 0, 2),
    (ResponseRequest, "top_p", 0, 1),
    (ResponseRequest, "top_logprobs", 0, 20),
]


def decoded(struct: type[msgspec.Struct], **fields: Any) -> Any:
    return msgspec.convert({**LEAST[struct], **fields}, struct)


@pytest.mark.parametrize(
    ("struct", "field", "lowest", "highest"), BOUNDS, ids=[f"{row[0].__name__}.{row[1]}" for row in BOUNDS]
)
def test_a_number_passes_within_its_bounds(
    struct: type[msgspec.Struct], field: str, lowest: float | None, highest: float | None
) -> None:
    step = 1 if "top_p" not in field and "temperature" not in field and "penalty" not in field else 0.01
    for bound, outside in ((lowest, -step), (highest, step)):
        if bound is None:
            assert getattr(decoded(struct, **{field: 10**12}), field) == 10**12
            continue
        assert getattr(decoded(struct, **{field: bound}), field) == bound
        with pytest.raises(msgspec.ValidationError, match=rf"`\$\.{field}`"):
            decoded(struct, **{field: bound + outside})


@pytest.mark.parametrize("struct", LEAST)
def test_a_null_is_an_absent_field(struct: type[msgspec.Struct]) -> None:
    """SDKs send explicit nulls for what their caller left out."""
    optional = [name for name in struct.__struct_fields__ if name not in LEAST[struct]]

    assert decoded(struct, **dict.fromkeys(optional)) == decoded(struct)


@pytest.mark.parametrize("struct", [ChatRequest, MessagesRequest])
def test_a_conversation_has_a_message(struct: type[msgspec.Struct]) -> None:
    with pytest.raises(msgspec.ValidationError, match="length >= 1"):
        decoded(struct, messages=[])


@pytest.mark.parametrize("struct", LEAST)
def test_unknown_fields_are_no_error(struct: type[msgspec.Struct]) -> None:
    assert decoded(struct, oddity=1) == decoded(struct)
