"""The most that a native call costs."""

import json
from typing import Any

import pytest

from gateway.exchange.calls.cost import MOST_INPUT, MOST_SEARCHES, PICTURE_INPUT, ModelOutput
from gateway.gemini.usage import TokenCounts
from gateway.plugins.native.cost import call_cost, candidates, factor

pytestmark = pytest.mark.row("A7")
PICTURE = 1_290


def most(body: Any, method: str = "generateContent", media: int = 0) -> TokenCounts:
    return call_cost(method, body, len(json.dumps(body)), ModelOutput(1000, media)).most


def turn(**part: Any) -> dict[str, Any]:
    return {"contents": [{"parts": [{"text": "hi"}, part]}]}


@pytest.mark.parametrize(
    ("body", "output"),
    [
        ({}, 1000),
        ({"generationConfig": {"maxOutputTokens": 7}}, 7),
        ({"generation_config": {"max_output_tokens": "7"}}, 7),
        ({"generationConfig": {"maxOutputTokens": 7.0, "candidateCount": 8}}, 56),
        ({"generationConfig": {"maxOutputTokens": 7}, "generation_config": {"maxOutputTokens": 9, "candidate_count": 2}}, 18),
        ({"generationConfig": {"maxOutputTokens": 7, "max_output_tokens": 9}}, 9),
        ({"generationConfig": {"maxOutputTokens": 0}}, 1000),
        ({"generationConfig": {"maxOutputTokens": None}}, 1000),
        ({"generationConfig": {"maxOutputTokens": -5}}, 1000),
        ({"generationConfig": {"maxOutputTokens": True}}, 1000),
        ({"generationConfig": {"maxOutputTokens": {"x": 1}}}, 1000),
        ({"generationConfig": {"candidateCount": "many"}}, 8000),
        ({"generationConfig": {"candidateCount": 0}}, 1000),
        ({"generationConfig": [1]}, 1000),
        ({"generationConfig": {"maxOutputTokens": 7, "thinkingConfig": {"thinkingBudget": 5}}}, 12),
        ({"generation_config": {"max_output_tokens": 7, "thinking_config": {"thinking_budget": -1}}}, 7),
        ({"generationConfig": {"maxOutputTokens": 7, "responseModalities": ["TEXT", "Image"]}}, 2520),
    ],
)  # fmt: skip
def test_a07_output_is_all_that_the_request_allows(body: Any, output: int) -> None:
    assert most(body).output == output
    assert most(body, "countTokens").total == 0
    assert most(body, "embedContent").output == 0


@pytest.mark.parametrize(
    ("body", "output"),
    [
        ({}, 2520),
        ({"generationConfig": {"maxOutputTokens": 1}}, 2520),
        ({"generationConfig": {"maxOutputTokens": 1, "candidateCount": 2}}, 5040),
        ({"generationConfig": {"maxOutputTokens": 1, "responseModalities": None}}, 2520),
        ({"generationConfig": {"maxOutputTokens": 1, "responseModalities": []}}, 2520),
        ({"generationConfig": {"maxOutputTokens": 1, "responseModalities": [2]}}, 2520),
        ({"generationConfig": {"maxOutputTokens": 1, "responseModalities": 2}}, 2520),
        ({"generation_config": {"max_output_tokens": 1, "response_modalities": ["TEXT"]}}, 1),
        ({"generationConfig": {"maxOutputTokens": 1, "responseModalities": "TEXT"}}, 1),
        ({"generationConfig": {"maxOutputTokens": 1, "responseModalities": ["TEXT"], "response_modalities": ["IMAGE"]}}, 2520),
        ({"generationConfig": {"maxOutputTokens": 1, "responseModalities": ["TEXT"]}, "generation_config": {}}, 2520),
    ],
)  # fmt: skip
def test_a07_a_picture_model_makes_a_picture_of_each_candidate(body: Any, output: int) -> None:
    assert most(body, media=2520).output == output


@pytest.mark.parametrize("value", [2, "2", [2], {"a": 1}, ["TEXT", 2], "IMAGE"])
def test_a07_modalities_that_are_not_understood_may_be_a_picture(value: Any) -> None:
    assert most({"generationConfig": {"maxOutputTokens": 1, "responseModalities": value}}).output == 2520


@pytest.mark.parametrize(
    ("body", "times"),
    [
        ({}, 1), ({"serviceTier": None}, 1), ({"serviceTier": "standard"}, 1), ({"serviceTier": "SERVICE_TIER_FLEX"}, 1),
        ({"serviceTier": 3}, 2), ({"service_tier": 3}, 2), ({"serviceTier": ["priority"]}, 2), ({"serviceTier": {"a": 1}}, 2),
        ({"serviceTier": "standard", "service_tier": 3}, 2), ({"service_tier": "priority"}, 2),
    ],
)  # fmt: skip
def test_a07_a_tier_that_is_not_understood_has_the_price_of_the_dearest(body: Any, times: int) -> None:
    assert factor(body) == times


@pytest.mark.parametrize(
    ("body", "tokens", "heard"),
    [
        (turn(inlineData={"mimeType": "image/png", "data": "A" * 50_000}), PICTURE_INPUT, 0),
        (turn(inline_data={"mime_type": "image/png", "data": "A" * 50_000}), PICTURE_INPUT, 0),
        (
            turn(inlineData={"mimeType": "image/png", "mime_type": "audio/ogg", "data": "A"}),
            MOST_INPUT,
            MOST_INPUT,
        ),
        (turn(inlineData={"data": "A" * 50_000}), MOST_INPUT, MOST_INPUT),
        (turn(inlineData={"mimeType": "text/plain", "data": "A" * 50_000}), 50_000, 0),
        (turn(fileData={"fileUri": "files/x"}), MOST_INPUT, MOST_INPUT),
        (turn(file_data={"file_uri": "files/x"}), MOST_INPUT, MOST_INPUT),
        ({"cached_content": "cachedContents/x"}, MOST_INPUT, MOST_INPUT),
        ({"tools": [{"urlContext": {}}]}, MOST_INPUT, 0),
        ({"tools": {"url_context": {}}}, MOST_INPUT, 0),
        ({"tools": [{"functionDeclarations": []}]}, 0, 0),
    ],
)
def test_a07_input_counts_attachments_by_kind(body: Any, tokens: int, heard: int) -> None:
    result = most(body)

    assert tokens <= result.prompt < tokens + 200
    assert result.prompt_audio == heard


@pytest.mark.parametrize("name", ["googleSearch", "google_search", "googleSearchRetrieval", "google_maps"])
def test_a07_searches_are_reserved(name: str) -> None:
    assert most({"tools": [{name: {}}]}).searches == MOST_SEARCHES


@pytest.mark.parametrize(
    ("body", "pictures"),
    [
        ({"instances": [{"prompt": "x"}]}, 4),
        ({"instances": [{"prompt": "x"}], "parameters": {"sampleCount": 2}}, 2),
        ({"instances": [{}, {}], "parameters": {"sample_count": "3", "sampleCount": 1}}, 6),
        ({"instances": [], "parameters": {"sampleCount": "all"}}, 1000),
        ({}, 4),
    ],
)
def test_a07_pictures_are_counted_as_tokens(body: Any, pictures: int) -> None:
    assert most(body, "predict").output == pictures * PICTURE


def test_a07_texts_to_embed_are_counted() -> None:
    body = {"requests": [{"content": {"parts": [{"text": "1234567890" * 10}]}}] * 5}

    assert most(body, "batchEmbedContents").prompt >= 500


def test_candidates_are_one_unless_more_are_asked_for() -> None:
    assert candidates({}) == 1
    assert candidates({"generationConfig": {"candidateCount": 3}}) == 3
