"""Gemini's field names lead back to the fields of the client's request."""

from typing import Any

import pytest

from tests.support.chat import translation

USER = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "f"}}
REQUEST: dict[str, Any] = {
    "messages": [{"role": "system", "content": "Be brief."}, USER, {"role": "assistant", "content": "ok"}, USER],
    "tools": [TOOL],
    "tool_choice": "auto",
    "max_tokens": 5,
    "stop": "x",
    "reasoning_effort": "low",
    "response_format": {"type": "json_object"},
    "google": {"topK": 3, "cachedContent": "abc"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("google_path", "expected"),
    [
        ("contents", "messages"),
        ("contents[1].parts[0].text", "messages[2]"),
        ("contents[99].parts", "messages"),
        ("system_instruction.parts[0]", "messages[0]"),
        ("systemInstruction", "messages[0]"),
        ("tools[0].function_declarations[0].name", "tools"),
        ("tool_config.function_calling_config.mode", "tool_choice"),
        ("generation_config.max_output_tokens", "max_tokens"),
        ("generationConfig.stopSequences[0]", "stop"),
        ("generation_config.thinking_config.thinking_level", "reasoning_effort"),
        ("generation_config.response_mime_type", "response_format"),
        ("generation_config.top_k", "google.topK"),
        ("cached_content", "google.cachedContent"),
        ("generation_config.seed", None),
        ("safety_settings[0].category", None),
        (None, None),
    ],
)
def test_a_path_of_google_is_the_clients(google_path: str | None, expected: str | None) -> None:
    assert translation(REQUEST, "gemini-3-flash-preview").origins.path(google_path) == expected


def test_only_fields_that_the_client_sent_have_an_origin() -> None:
    origins = translation(REQUEST, "gemini-3-flash-preview").origins

    assert origins.of(["presence_penalty", "thinking_config", "safety_settings", "tools", "tools"]) == [
        "reasoning_effort",
        "tools",
    ]
