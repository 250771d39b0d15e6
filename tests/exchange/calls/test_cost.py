"""Upper bounds of a call's cost."""

from typing import Any

import pytest

from gateway.exchange.calls.cost import (
    MOST_INPUT,
    MOST_SEARCHES,
    PICTURE_INPUT,
    PICTURE_OUTPUT,
    CostEstimate,
    ModelOutput,
    call_cost,
    price_factor,
)
from gateway.gemini.call import GeminiCall
from gateway.gemini.usage import TokenCounts
from gateway.gemini.wire import (
    Blob,
    Content,
    FileData,
    FunctionResponse,
    FunctionResponsePart,
    GenerateContentRequest,
    GenerationConfig,
    Part,
    ThinkingConfig,
    Tool,
)

pytestmark = pytest.mark.row("A7")


def call(*parts: Part, **fields: Any) -> GeminiCall:
    return GeminiCall("gemini-2.5-flash", GenerateContentRequest([Content(list(parts), "user")], **fields))


def most(result: GeminiCall) -> TokenCounts:
    return call_cost(result, len(result.encode()), ModelOutput(1000)).most


def test_a07_every_byte_of_text_may_be_a_token() -> None:
    assert CostEstimate(10, 5).most == TokenCounts(prompt=10, completion=5)
    digits = call(Part(text="1234567890" * 50))
    assert most(digits).prompt == len(digits.encode()) > 500


@pytest.mark.parametrize(
    ("config", "output"),
    [
        ({}, 1000),
        ({"max_output_tokens": 7}, 7),
        ({"candidate_count": 8}, 8000),
        ({"max_output_tokens": -(10**9), "candidate_count": 8}, 8000),
        ({"max_output_tokens": 2**64, "candidate_count": 2**64}, 2**31 - 1),
        ({"thinking_config": ThinkingConfig(thinking_budget=2**63)}, 2**31 - 1),
        ({"candidate_count": 8, "max_output_tokens": 7}, 56),
        ({"max_output_tokens": 7, "thinking_config": ThinkingConfig(thinking_budget=100)}, 107),
        ({"max_output_tokens": 7, "thinking_config": ThinkingConfig(thinking_budget=-1)}, 7),
        ({"max_output_tokens": 7, "response_modalities": ["IMAGE"]}, 2520),
    ],
)
def test_a07_all_candidates_thoughts_and_pictures_are_reserved(config: dict[str, Any], output: int) -> None:
    assert most(call(Part(text="hi"), generation_config=GenerationConfig(**config))).output == output


@pytest.mark.parametrize(
    ("modalities", "picture", "text"),
    [
        ([], 2520, 1), (["TEXT"], 1, 1), (["text"], 1, 1), (["AUDIO"], 1, 1), (["TEXT", "IMAGE"], 2520, 2520),
        (["Image"], 2520, 2520), ([2], 9000, 9000), (["2"], 9000, 9000), (["VIDEO"], 9000, 9000),
        (["MODALITY_UNSPECIFIED"], 9000, 9000), ([["IMAGE"]], 9000, 9000), ([None], 9000, 9000),
    ],
)  # fmt: skip
def test_a07_a_model_that_makes_pictures_makes_one_unless_only_text_is_asked(
    modalities: list[object], picture: int, text: int
) -> None:
    assert ModelOutput(9000, PICTURE_OUTPUT).most(1, modalities) == picture
    assert ModelOutput(9000).most(1, modalities) == text
    assert ModelOutput(9000, PICTURE_OUTPUT).most(8000, modalities) in (8000, 9000)


@pytest.mark.parametrize(
    ("config", "output"),
    [
        (None, 2520),
        (GenerationConfig(max_output_tokens=1), 2520),
        (GenerationConfig(max_output_tokens=1, candidate_count=3), 3 * 2520),
        (GenerationConfig(max_output_tokens=1, response_modalities=["TEXT"]), 1),
        (GenerationConfig(max_output_tokens=3000), 3000),
    ],
)
def test_a07_each_candidate_of_a_picture_model_is_a_picture(
    config: GenerationConfig | None, output: int
) -> None:
    result = call(Part(text="a house"), generation_config=config)

    assert call_cost(result, 10, ModelOutput(1000, PICTURE_OUTPUT)).output == output


@pytest.mark.parametrize(
    ("part", "tokens", "heard"),
    [
        (Part(inline_data=Blob("image/png", "A" * 50_000)), PICTURE_INPUT, 0),
        (Part(inline_data=Blob("audio/ogg", "A" * 50_000)), MOST_INPUT, MOST_INPUT),
        (Part(inline_data=Blob("application/pdf", "A" * 50_000)), MOST_INPUT, MOST_INPUT),
        (Part(inline_data=Blob("text/plain", "A" * 50_000)), 50_000, 0),
        (Part(file_data=FileData("files/x", "image/png")), MOST_INPUT, MOST_INPUT),
        (
            Part(
                function_response=FunctionResponse(
                    "f", {}, parts=[FunctionResponsePart(Blob("image/png", "A" * 50_000))]
                )
            ),
            PICTURE_INPUT,
            0,
        ),
    ],
)
def test_a07_an_attachment_counts_by_its_kind_and_not_by_its_bytes(
    part: Part, tokens: int, heard: int
) -> None:
    result = most(call(part))

    assert tokens < result.prompt < tokens + 200
    assert result.prompt_audio == heard


def test_a07_cached_content_and_tools_are_reserved() -> None:
    assert most(call(Part(text="hi"), cached_content="cachedContents/x")).prompt > MOST_INPUT
    searching = most(call(Part(text="hi"), tools=[Tool(google_search={})]))
    assert (searching.searches, searching.prompt > 2**16) == (MOST_SEARCHES, True)
    assert most(call(Part(text="hi"), tools=[Tool(url_context={})])).prompt > MOST_INPUT


@pytest.mark.parametrize(
    ("tier", "factor"),
    [
        (None, 1),
        ("standard", 1),
        ("flex", 1),
        ("SERVICE_TIER_UNSPECIFIED", 1),
        ("Service_Tier_Flex", 1),
        ("priority", 2),
        ("SERVICE_TIER_PRIORITY", 2),
        (3, 2),
        (3.0, 2),
        (1, 2),
        ("3", 2),
        (True, 2),
        (["priority"], 2),
        ({"a": 1}, 2),
        ("standard priority", 2),
    ],
)
def test_a07_a_tier_that_is_not_understood_costs_as_much_as_priority(tier: object, factor: int) -> None:
    assert price_factor(tier) == factor
