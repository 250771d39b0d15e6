"""OpenAI's embeddings request as batches."""

from typing import Any

import msgspec
import pytest

from gateway.errors import BadRequest
from gateway.plugins.embeddings.request import BATCH, texts, to_gemini
from gateway.plugins.embeddings.wire import EmbeddingRequest, decode_request


def request(**fields: Any) -> EmbeddingRequest:
    return decode_request(msgspec.json.encode(fields))


def test_texts_are_batched_in_their_order() -> None:
    body = request(input=[f"text {i}" for i in range(BATCH + 1)], dimensions=8)
    batches = to_gemini(body, texts(body), "m")

    assert [len(batch.requests) for batch in batches] == [BATCH, 1]
    (last,) = batches[1].requests
    assert (last.model, last.output_dimensionality) == ("models/m", 8)
    assert last.content.parts is not None
    assert last.content.parts[0].text == f"text {BATCH}"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"task_type": "CLUSTERING", "title": "t"}, ("CLUSTERING", "t")),
        (
            {"google": {"task_type": "CLASSIFICATION"}, "task_type": "CLUSTERING", "title": "t"},
            ("CLASSIFICATION", "t"),
        ),
        (
            {
                "extra_body": {"google": {"task_type": "FACT_VERIFICATION"}},
                "google": {"task_type": "CLUSTERING"},
            },
            ("FACT_VERIFICATION", None),
        ),
        ({}, (None, None)),
    ],
)
def test_googles_options_are_read_from_three_places(
    fields: dict[str, Any], expected: tuple[Any, Any]
) -> None:
    body = request(input="x", **fields)
    (batch,) = to_gemini(body, texts(body), "m")

    assert (batch.requests[0].task_type, batch.requests[0].title) == expected


def words(ids: list[int]) -> str:
    if -1 in ids:
        raise ValueError("an id is not a token of tiny")
    return "".join("abcd"[i] for i in ids)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0, 1], ["ab"]), ([[0], [1, 2]], ["a", "bc"]), (["x", [3]], ["x", "d"]), ("x", ["x"])],
)
def test_token_ids_become_text(values: Any, expected: list[str]) -> None:
    assert texts(request(input=values), words) == expected


@pytest.mark.parametrize(
    ("values", "param", "message"),
    [
        ([], "input", "empty array"), (["a"] * 2049, "input", "maximum length 2048"), (["a", ""], "input[1]", "empty"),
        ("", "input", "empty"), ([[0], [-1]], "input[1]", "not a token"), ([0, "x"], "input", "Token arrays"),
    ],
)  # fmt: skip
def test_mistakes_name_their_place(values: Any, param: str, message: str) -> None:
    with pytest.raises(BadRequest, match=message) as caught:
        texts(request(input=values), words)

    assert caught.value.param == param
