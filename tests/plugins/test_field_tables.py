"""Each surface's field policies against the Struct that is decoded, and what becomes of a field that is not read."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from gateway.cli.pages.compatibility import endpoints
from gateway.conversation.field_policy import Policy, review
from gateway.conversation.notes import Notes
from gateway.errors import UnsupportedParameter
from gateway.plugins.chat.fields import CHAT
from gateway.plugins.chat.wire import ChatRequest
from gateway.plugins.completions.fields import COMPLETIONS
from gateway.plugins.completions.wire import CompletionRequest
from gateway.plugins.embeddings.fields import EMBEDDINGS
from gateway.plugins.embeddings.wire import EmbeddingRequest
from gateway.plugins.files.fields import COMPLETE, UPLOAD
from gateway.plugins.files.wire import Completion, UploadFields
from gateway.plugins.images.fields import EDITS, GENERATIONS, VARIATIONS
from gateway.plugins.images.wire import ImageRequest
from gateway.plugins.messages.fields import MESSAGES
from gateway.plugins.messages.wire import MessagesRequest
from gateway.plugins.moderations.fields import MODERATIONS
from gateway.plugins.moderations.wire import ModerationRequest
from gateway.plugins.responses.fields import RESPONSES
from gateway.plugins.responses.wire import ResponseRequest
from gateway.plugins.speech.fields import SPEECH
from gateway.plugins.speech.wire import SpeechRequest
from gateway.plugins.transcription.fields import TRANSCRIPTIONS
from gateway.plugins.transcription.wire import TranscriptionRequest

Table = Mapping[str, Policy]
REQUESTS: dict[str, tuple[Table, type[msgspec.Struct], set[str]]] = {
    "POST /v1/audio/speech": (SPEECH, SpeechRequest, set()),
    "POST /v1/audio/transcriptions": (
        TRANSCRIPTIONS,
        TranscriptionRequest,
        {"include", "chunking_strategy", "known_speaker_names", "known_speaker_references"},
    ),
    "POST /v1/chat/completions": (CHAT, ChatRequest, set()),
    "POST /v1/completions": (COMPLETIONS, CompletionRequest, set()),
    "POST /v1/embeddings": (EMBEDDINGS, EmbeddingRequest, set()),
    "POST /v1/images/edits": (EDITS, ImageRequest, set()),
    "POST /v1/images/generations": (GENERATIONS, ImageRequest, {"image", "images", "mask", "markup"}),
    "POST /v1/images/variations": (
        VARIATIONS,
        ImageRequest,
        {"images", "mask", "markup", "stream", "partial_images"},
    ),
    "POST /v1/messages": (MESSAGES, MessagesRequest, set()),
    "POST /v1/moderations": (MODERATIONS, ModerationRequest, {"model"}),
    "POST /v1/uploads": (UPLOAD, UploadFields, set()),
    "POST /v1/uploads/{upload_id}/complete": (COMPLETE, Completion, set()),
    "POST /v1/responses": (RESPONSES, ResponseRequest, {"conversation", "prompt"}),
}
"""Endpoint to its table, its Struct, and the fields that are read only to be refused or left alone."""


def noted(table: Table, *, strict: bool = False, **fields: Any) -> list[str]:
    """Return the fields of a body that are noted."""
    notes = Notes(strict=strict)
    review({name: Raw(json.dumps(value).encode()) for name, value in fields.items()}, table, notes)
    return notes.distinct()


def test_each_endpoint_with_a_body_is_listed() -> None:
    described = {endpoint: table for endpoint, table in endpoints().items() if endpoint in REQUESTS}

    assert described == {endpoint: table for endpoint, (table, _, _) in REQUESTS.items()}


@pytest.mark.parametrize("endpoint", REQUESTS)
def test_exactly_the_fields_that_are_read_are_honoured(endpoint: str) -> None:
    table, struct, refused = REQUESTS[endpoint]
    honoured = {name for name, policy in table.items() if policy.treatment not in ("ignored", "dropped")}

    assert honoured | refused == set(struct.__struct_fields__)
    assert honoured & refused == set()


@pytest.mark.parametrize("endpoint", REQUESTS)
def test_each_entry_says_how(endpoint: str) -> None:
    assert [name for name, policy in REQUESTS[endpoint][0].items() if not policy.how] == []


@pytest.mark.parametrize(
    ("table", "field", "value"),
    [
        (CHAT, "logit_bias", {"1": 2}),
        (COMPLETIONS, "logit_bias", {"1": 2}),
        (COMPLETIONS, "logprobs", 2),
        (MESSAGES, "mcp_servers", [{}]),
        (RESPONSES, "conversation", "conv_1"),
        (RESPONSES, "prompt", {"id": "pmpt_1"}),
    ],
)
def test_a_field_that_would_change_the_answer_is_a_note_or_a_refusal(
    table: Table, field: str, value: Any
) -> None:
    assert noted(table, **{field: value}) == [field]
    with pytest.raises(UnsupportedParameter) as caught:
        noted(table, strict=True, **{field: value})
    assert caught.value.param == field


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("table", "fields", "notes"),
    [
        (CHAT, {"user": "u", "metadata": {"a": "b"}, "verbosity": "low"}, ["user", "metadata", "verbosity"]),
        (COMPLETIONS, {"user": "u", "logprobs": None}, ["user"]),
        (EMBEDDINGS, {"user": "u", "odd": 1}, ["user", "odd"]),
        (MESSAGES, {"metadata": {"user_id": "u"}, "service_tier": "priority"}, ["metadata", "service_tier"]),
        (MESSAGES, {"service_tier": "auto"}, []),
        (MESSAGES, {"service_tier": "standard_only", "container": None}, []),
        (MODERATIONS, {"model": "omni-moderation-latest"}, ["model"]),
        (RESPONSES, {"user": "u", "truncation": "auto", "x_vendor": 1}, ["user", "truncation", "x_vendor"]),
        (RESPONSES, {"user": "", "truncation": "disabled", "max_tool_calls": None}, []),
    ],
)
def test_a_harmless_field_is_a_note_in_both_modes(
    table: Table, fields: dict[str, Any], notes: list[str], strict: bool
) -> None:
    assert noted(table, strict=strict, **fields) == notes
