"""Bodies of countTokens, and answers of embeddings and models."""

import json

import msgspec
import pytest

from gateway.gemini.resources import (
    BatchEmbedContentsRequest,
    EmbedContentRequest,
    allowed_models,
    decode_count,
    decode_embeddings,
    decode_page,
    encode,
    encode_count,
    is_name,
)
from gateway.gemini.wire import Content, GenerateContentRequest, GenerationConfig, Part, Tool, UsageMetadata


def test_tokens_are_counted_of_a_request_without_its_config() -> None:
    request = GenerateContentRequest(
        [Content([Part("hi")], "user")],
        system_instruction=Content([Part("be kind")]),
        tools=[Tool(google_search={})],
        generation_config=GenerationConfig(temperature=1.0),
        labels={"a": "b"},
    )

    assert json.loads(encode_count("models/m", request)) == {
        "generateContentRequest": {
            "model": "models/m",
            "contents": [{"parts": [{"text": "hi"}], "role": "user"}],
            "systemInstruction": {"parts": [{"text": "be kind"}]},
            "tools": [{"googleSearch": {}}],
        }
    }


def test_an_embedding_request_is_camel_case_without_absent_fields() -> None:
    request = EmbedContentRequest("models/m", Content([Part("a")]), output_dimensionality=5)

    assert json.loads(encode(BatchEmbedContentsRequest([request]))) == {
        "requests": [{"model": "models/m", "content": {"parts": [{"text": "a"}]}, "outputDimensionality": 5}]
    }


def test_answers_are_read_with_anything_missing() -> None:
    assert decode_count(b"{}").total_tokens == 0
    assert decode_count(b'{"totalTokens":7,"new":1}').total_tokens == 7
    assert decode_embeddings(b"{}").embeddings == []
    answer = decode_embeddings(
        b'{"embeddings":[{"values":[1,0.5]},{}],"usageMetadata":{"promptTokenCount":3}}'
    )
    assert [embedding.values for embedding in answer.embeddings] == [[1.0, 0.5], []]
    assert answer.usage_metadata == UsageMetadata(3)
    page = decode_page(b'{"models":[{"name":"models/m","thinking":true}],"nextPageToken":"t"}')
    assert (page.models[0].name, page.models[0].thinking, page.next_page_token) == ("models/m", True, "t")
    assert page.models[0].supported_generation_methods is None


def test_a_model_needs_a_name() -> None:
    with pytest.raises(msgspec.ValidationError, match="name"):
        decode_page(b'{"models":[{}]}')


@pytest.mark.row("S44")
def test_s44_a_list_has_only_the_models_that_are_allowed() -> None:
    page = {"models": [{"name": "models/a", "x": 1}, {"name": "models/b"}, 5], "nextPageToken": "t"}
    result = allowed_models(json.dumps(page).encode(), lambda model: model == "a")

    assert json.loads(result) == {"models": [{"name": "models/a", "x": 1}], "nextPageToken": "t"}
    for other in (b"no JSON", b"[]", b'{"name": "models/a"}', b"\xff"):
        assert allowed_models(other, lambda _: False) == other


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("files/abc-1_2.x~", True), ("files/" + "a" * 512, True), ("files/" + "a" * 513, False), ("files/", False),
        ("files", False), ("files/..", False), ("files/.a", False), ("files/a/b", False), ("files/a?b", False),
        ("files/a%2f", False), ("files/a\n", False), ("files/\u0663", False), ("batches/a", False), ("/files/a", False),
    ],
)  # fmt: skip
def test_a_name_is_two_segments_of_a_path(text: str, expected: bool) -> None:
    assert is_name("files", text) is expected
