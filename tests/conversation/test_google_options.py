"""Gemini's own options in a body of another dialect: where they may stand, and which place wins."""

from typing import Any

import pytest

from gateway.conversation.google_options import (
    NOTHING,
    GoogleOptions,
    Options,
    google_options,
    message,
    snake,
)
from gateway.errors import BadRequest
from gateway.gemini.wire import GenerationConfig, SafetySetting, ThinkingConfig, Tool


def test_a_body_without_options_shares_the_empty_ones() -> None:
    assert google_options(None, top_k=None) is NOTHING


def test_extra_body_wins_over_google_and_that_over_top_level_keys() -> None:
    options = google_options({"top_k": 2, "store": True}, {"topK": 3}, top_k=1, labels={"a": "b"})

    assert options.options == Options(top_k=3, store=True, labels={"a": "b"})
    assert [options.at(name) for name in ("top_k", "store", "labels", "tools")] == [
        "extra_body.google.topK",
        "google.store",
        "labels",
        "google.tools",
    ]


def test_unknown_options_are_listed_by_their_paths() -> None:
    options = google_options({"oddity": 1, "top_k": 2}, {"otherOddity": 1})

    assert options.unknown == ("google.oddity", "extra_body.google.otherOddity")
    assert options.options == Options(top_k=2)


@pytest.mark.parametrize(
    ("google", "path"),
    [
        ({"topK": "many"}, "google.topK"),
        ({"labels": {"a": 1}}, "google.labels[...]"),
        ({"safetySettings": [{"category": "c", "threshold": 5}]}, "google.safetySettings[0].threshold"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_at_its_place(google: dict[str, Any], path: str) -> None:
    with pytest.raises(BadRequest, match="expected") as caught:
        google_options(google)

    assert (caught.value.param, caught.value.code) == (path, "invalid_type")


def test_thinking_has_its_level_in_capitals() -> None:
    options = google_options({"thinkingConfig": {"thinking_level": "low", "includeThoughts": True}})

    assert options.thinking() == ThinkingConfig(include_thoughts=True, thinking_level="LOW")
    assert google_options({"thinking_config": {"thinkingBudget": 0}}).thinking() == ThinkingConfig(
        thinking_budget=0
    )
    assert NOTHING.thinking() is None


def test_a_budget_and_a_level_together_are_refused() -> None:
    options = google_options(None, {"thinking_config": {"thinking_level": "low", "thinking_budget": 0}})

    with pytest.raises(BadRequest, match="not both") as caught:
        options.thinking()

    assert caught.value.param == "extra_body.google.thinking_config"


@pytest.mark.parametrize("name", ["cachedContents/a-b_1", "a-b_1"])
def test_cached_content_has_its_full_name(name: str) -> None:
    assert google_options({"cached_content": name}).cached_content() == "cachedContents/a-b_1"
    assert NOTHING.cached_content() is None


@pytest.mark.parametrize("name", ["", "files/a", "a/b", "cachedContents/", "x" * 129, "a\n"])
def test_any_other_name_of_cached_content_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match="cachedContents/<id>") as caught:
        google_options({"cachedContent": name}).cached_content()

    assert caught.value.param == "google.cachedContent"


def test_options_become_fields_of_the_generation_config() -> None:
    options = google_options(
        {
            "media_resolution": "media_resolution_low",
            "image_config": {"image_size": "1K", "aspect_ratio": "1:1"},
            "aspect_ratio": "16:9",
            "speech_config": {"voice_config": {"deep_key": 1}},
            "response_modalities": ["image"],
        }
    )

    assert options.generation_fields() == {
        "media_resolution": "MEDIA_RESOLUTION_LOW",
        "image_config": {"imageSize": "1K", "aspectRatio": "16:9"},
        "speech_config": {"voiceConfig": {"deep_key": 1}},
        "response_modalities": ["IMAGE"],
    }
    assert NOTHING.generation_fields() == {}


def test_the_size_of_an_image_may_stand_alone() -> None:
    assert google_options(None, image_size="2K").generation_fields() == {"image_config": {"imageSize": "2K"}}


@pytest.mark.parametrize("level", ["LOW", "medium", "High", "MEDIA_RESOLUTION_ULTRA_HIGH"])
def test_known_resolutions_pass(level: str) -> None:
    (value,) = google_options({"media_resolution": level}).generation_fields().values()

    assert value == "MEDIA_RESOLUTION_" + level.upper().removeprefix("MEDIA_RESOLUTION_")


def test_an_unknown_resolution_is_refused() -> None:
    with pytest.raises(BadRequest, match="Supported values are: 'low', 'medium'") as caught:
        google_options({"mediaResolution": "tiny"}).generation_fields()

    assert caught.value.param == "google.mediaResolution"


def test_a_native_generation_config_gives_only_the_fields_it_has() -> None:
    options = google_options({"generationConfig": {"top_k": 0, "responseMimeType": "text/plain"}})

    assert options.native_generation_fields() == {"top_k": 0, "response_mime_type": "text/plain"}
    assert google_options({"generation_config": {}}).native_generation_fields() == {}


def test_native_tools_and_their_config() -> None:
    options = google_options(
        {"tools": [{"google_search": {}}, {"urlContext": {}}], "tool_config": {"retrieval_config": {"a": 1}}}
    )

    assert options.tools() == [Tool(google_search={}), Tool(url_context={})]
    assert options.tool_config() == {"retrieval_config": {"a": 1}}
    assert (NOTHING.tools(), NOTHING.tool_config()) == ([], {})


def test_an_unknown_field_of_a_native_message_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadRequest) as caught:
        google_options({"tools": [{"google_search": {}}, {"googleSerach": {}}]}).tools()

    assert (caught.value.param, caught.value.code) == ("google.tools[1].googleSerach", "unknown_parameter")
    assert "googleSearch" in caught.value.message


def test_a_wrong_type_inside_a_native_message_is_refused_at_its_place() -> None:
    with pytest.raises(BadRequest) as caught:
        message({"stop_sequences": ["a", 1]}, GenerationConfig, "google.generation_config")

    assert (caught.value.param, caught.value.code) == (
        "google.generation_config.stop_sequences[1]",
        "invalid_type",
    )


def test_safety_settings_are_geminis() -> None:
    options = google_options({"safety_settings": [{"category": "c", "threshold": "t"}]})

    assert options.options.safety_settings == [SafetySetting("c", "t")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("topK", "top_k"), ("cachedContent", "cached_content"), ("top_k", "top_k"), ("TopK", "Top_k")],
)
def test_snake_case(name: str, expected: str) -> None:
    assert snake(name) == expected


def test_an_option_that_was_not_given_has_a_path_all_the_same() -> None:
    assert GoogleOptions().at("generation_config") == "google.generation_config"


@pytest.mark.parametrize(
    "key", ["max_output_tokens", "maxOutputTokens", "candidate_count", "seed", "logprobs"]
)
@pytest.mark.parametrize("value", [2**31, 2**64 - 1, -(2**31) - 1])
def test_a_number_that_is_no_int32_is_refused_by_the_clients_name_of_its_field(key: str, value: int) -> None:
    options = google_options({"generation_config": {key: value}})
    with pytest.raises(BadRequest) as caught:
        options.native_generation_fields()

    assert caught.value.param == f"google.generation_config.{key}"
    assert f"'google.generation_config.{key}': integer " in caught.value.message
