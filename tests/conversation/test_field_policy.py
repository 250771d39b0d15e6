"""The policy table against OpenAI's own description, against the Struct that is decoded, and against its page."""

import json
from typing import Any

import pytest
from msgspec import Raw

from gateway.cli.pages.compatibility import endpoints, page
from gateway.conversation.field_policy import TREATMENTS, review
from gateway.conversation.notes import Notes
from gateway.errors import UnsupportedParameter
from gateway.plugins.chat.fields import CHAT
from gateway.plugins.chat.wire import ChatRequest
from tests.support.corpus import openai_schemas
from tests.support.paths import ROOT

FROZEN = [
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
]
"""CreateChatCompletionRequest's fields in OpenAI's description of August 2026."""


def properties(schema: dict[str, Any], schemas: dict[str, Any]) -> set[str]:
    """Return the names of a schema's fields, with those of the schemas it joins."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
    joined = [properties(part, schemas) for part in schema.get("allOf", [])]
    return set(schema.get("properties", {})).union(*joined)


def test_each_field_of_openais_description_has_an_entry() -> None:
    assert [name for name in FROZEN if name not in CHAT] == []


def test_the_frozen_fields_are_those_of_openais_description() -> None:
    schemas = openai_schemas()

    assert sorted(properties(schemas["CreateChatCompletionRequest"], schemas)) == FROZEN


def test_exactly_the_fields_that_are_read_are_honoured() -> None:
    honoured = {name for name, policy in CHAT.items() if policy.treatment not in ("ignored", "dropped")}

    assert honoured == set(ChatRequest.__struct_fields__)


def test_each_entry_says_how() -> None:
    assert [name for name, policy in CHAT.items() if not policy.how] == []
    assert {policy.treatment for policy in CHAT.values()} == set(TREATMENTS)


def test_the_page_says_what_the_table_says() -> None:
    assert (ROOT / "docs" / "compatibility.md").read_text() == page()


def test_a_table_row_has_no_stray_column() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| `")]

    assert [row for row in rows if row.count("|") != 4] == []
    assert len(rows) == sum(map(len, endpoints().values()))


@pytest.mark.parametrize("name", ["user", "metadata", "store"])
def test_harmless_fields_are_ignored(name: str) -> None:
    assert CHAT[name].treatment == "ignored"


def raw(**fields: Any) -> dict[str, Raw]:
    return {name: Raw(json.dumps(value).encode()) for name, value in fields.items()}


def noted(sent: dict[str, Raw], *, strict: bool = False) -> list[str]:
    notes = Notes(strict=strict)
    review(sent, CHAT, notes)
    return notes.distinct()


def test_a_value_that_asks_for_nothing_is_never_noted() -> None:
    sent = raw(tools=[], logit_bias={}, response_format={"type": "text"}, modalities=["text"], n=2, store=False,
               service_tier="auto", web_search_options=None, parallel_tool_calls=True, top_logprobs=0)  # fmt: skip

    assert noted(sent, strict=True) == []


@pytest.mark.parametrize("strict", [False, True])
def test_harmless_and_unknown_fields_are_notes_in_both_modes(strict: bool) -> None:
    sent = {**raw(user="u", metadata={"a": "b"}), "weird\r\nname": Raw(b"1"), "": Raw(b"1")}

    assert noted(sent, strict=strict) == ["user", "metadata", "weird??name", "?"]


def test_a_field_that_changes_the_answer_is_a_note_or_a_400() -> None:
    sent = raw(logit_bias={"1": 2})

    assert noted(sent) == ["logit_bias"]
    with pytest.raises(UnsupportedParameter) as caught:
        noted(sent, strict=True)
    assert caught.value.param == "logit_bias"
