"""The policy table against OpenAI's own description, against the Struct that is decoded, and against its page."""

import json
from typing import Any

import pytest

from gateway.cli.compatibility_page import ENDPOINTS, page
from gateway.conversation import field_policy as compat
from gateway.plugins.chat.wire import ChatRequest
from tests.support.paths import ROOT

SPEC = ROOT.parent / "shared" / "replay" / "specs" / "openai.json"

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


def fields_of_the_spec() -> list[str]:
    """Those of the description where it lies beside the checkout, else the frozen list."""
    if not SPEC.exists():
        return FROZEN
    schemas = json.loads(SPEC.read_text())["components"]["schemas"]

    def properties(schema: dict[str, Any]) -> set[str]:
        if "$ref" in schema:
            schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
        return set(schema.get("properties", {})).union(*map(properties, schema.get("allOf", [])))

    return sorted(properties(schemas["CreateChatCompletionRequest"]))


def test_each_field_of_openais_description_has_an_entry() -> None:
    assert [name for name in fields_of_the_spec() if name not in compat.CHAT] == []
    assert [name for name in FROZEN if name not in compat.CHAT] == []


def test_exactly_the_fields_that_are_read_are_honoured() -> None:
    honoured = {
        name for name, policy in compat.CHAT.items() if policy.treatment not in ("ignored", "dropped")
    }

    assert honoured == set(ChatRequest.__struct_fields__)


def test_each_entry_says_how() -> None:
    assert [name for name, policy in compat.CHAT.items() if not policy.how] == []
    assert {policy.treatment for policy in compat.CHAT.values()} == set(compat.TREATMENTS)


def test_the_page_says_what_the_table_says() -> None:
    assert (ROOT / "docs" / "compatibility.md").read_text() == page()


def test_a_table_row_has_no_stray_column() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| `")]

    assert [row for row in rows if row.count("|") != 4] == []
    assert len(rows) == sum(map(len, ENDPOINTS.values()))


@pytest.mark.parametrize("name", ["user", "metadata", "store"])
def test_harmless_fields_are_ignored(name: str) -> None:
    assert compat.CHAT[name].treatment == "ignored"
