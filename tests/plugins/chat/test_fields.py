"""The policy of each field of chat completions, against OpenAI's own description."""

from typing import Any

from gateway.conversation.field_policy import TREATMENTS
from gateway.plugins.chat.fields import CHAT
from tests.support.corpus import openai_schemas

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


def test_chat_uses_each_treatment() -> None:
    assert {policy.treatment for policy in CHAT.values()} == set(TREATMENTS)
