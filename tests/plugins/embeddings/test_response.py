"""Gemini's vectors as OpenAI's list."""

import base64
import math
import struct

import pytest

from gateway.gemini.resources import BatchEmbedContentsResponse, ContentEmbedding
from gateway.gemini.wire import UsageMetadata
from gateway.plugins.embeddings.response import embedding_list, packed, unit


def test_base64_of_two_numbers() -> None:
    assert packed([1.0, -2.0]) == "AACAPwAAAMA="


@pytest.mark.parametrize(
    ("values", "expected"),
    [([3.0, 4.0], [0.6, 0.8]), ([0.0, 0.0], [0.0, 0.0]), ([1.0005, 0.0], [1.0005, 0.0]), ([], [])],
)
def test_a_vector_gets_length_one_unless_it_is_zero_or_has_it(
    values: list[float], expected: list[float]
) -> None:
    assert unit(ContentEmbedding(values)) == pytest.approx(expected)


def answer(*vectors: list[float], tokens: int | None = None) -> BatchEmbedContentsResponse:
    usage = UsageMetadata(prompt_token_count=tokens) if tokens is not None else None
    return BatchEmbedContentsResponse([ContentEmbedding(vector) for vector in vectors], usage)


def test_vectors_are_numbered_across_batches_and_tokens_added() -> None:
    answers = [answer([3.0, 4.0], [1.0, 0.0], tokens=5), answer([0.0, 2.0], tokens=2)]
    result = embedding_list(answers, ["a", "b", "c"], "m", None)

    assert [entry.index for entry in result.data] == [0, 1, 2]
    assert [math.hypot(*entry.embedding) for entry in result.data if isinstance(entry.embedding, list)] == [
        1,
        1,
        1,
    ]
    assert (result.usage.prompt_tokens, result.usage.total_tokens) == (7, 7)


def test_tokens_are_estimated_if_one_batch_has_no_count() -> None:
    result = embedding_list([answer([1.0], tokens=5), answer([1.0])], ["abcde", "é"], "m", None)

    assert result.usage.prompt_tokens == 2 + 1


def test_base64_holds_googles_values_when_they_are_to_stay() -> None:
    result = embedding_list([answer([3.0, 4.0])], ["a"], "m", "base64", unit_length=False)
    data = result.data[0].embedding

    assert isinstance(data, str)
    assert struct.unpack("<2f", base64.b64decode(data)) == (3.0, 4.0)
