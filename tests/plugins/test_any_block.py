"""Every block and item type of OpenAI's and Anthropic's SDKs, in every position of a history, on each surface.

A history is never fatal: lenient mode answers no 400, and a block is found upstream or noted.
"""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.translation import TranslationContext, translate
from gateway.errors import BadRequest
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.gemini.wire import Blob, encode_request
from gateway.plugins.chat import request as chat
from gateway.plugins.chat import wire as chat_wire
from gateway.plugins.messages import request as messages
from gateway.plugins.messages import wire as messages_wire
from gateway.plugins.responses import request as responses
from gateway.plugins.responses import wire as responses_wire
from tests.support import goldens
from tests.support.models import TABLE
from tests.support.sdk_types import PNG, WORD, blocks, items

MODEL = "gemini-3-flash-preview"
Json = dict[str, Any]
USER = {"role": "user", "content": "hi"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SIGNED = {
    "chat": (chat_wire.decode_request, chat_wire.PLACEHOLDERS),
    "responses": (responses_wire.decode_request, responses_wire.PLACEHOLDERS),
    "messages": (messages_wire.decode_request, messages_wire.PLACEHOLDERS),
}


def _said(surface: str, body: Json, *, strict: bool) -> ConversationBuilder:
    text = json.dumps(body)
    fields = goldens.fields_of(text)
    places: Any = {} if strict else SIGNED[surface][1]
    if surface == "chat":
        return chat.conversation(
            goldens.decoded(text, chat_wire.decode_request, places), fields, strict=strict
        )
    if surface == "messages":
        decoded = goldens.decoded(text, messages_wire.decode_request, places)
        return messages.conversation(decoded, fields, strict=strict)
    stored = body.pop("stored", ())
    return responses.conversation(
        goldens.decoded(text, responses_wire.decode_request, places), stored, fields, strict=strict
    )


def _sent(surface: str, body: Json, *, strict: bool = False) -> tuple[str, list[str]]:
    """Return Gemini's body and the notes."""
    said = _said(surface, body, strict=strict)
    media = dict.fromkeys(said.remote_media(), Blob("image/png", PNG))
    context = TranslationContext(MODEL, TABLE.of(MODEL), keys=SignatureKeys("k"), media=media)
    translation = translate(said, context)
    return encode_request(translation.request).decode(), translation.notes


def _chat(*turns: Json) -> Json:
    return {"messages": [USER, *turns, USER]}


def _responses(*turns: Json) -> Json:
    return {"input": [USER, *turns, USER]}


def _messages(*turns: Json, **fields: Any) -> Json:
    return {"max_tokens": 9, "messages": [USER, *turns, USER], **fields}


USE = {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]}
FUNCTION_CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}


def _result(content: Any) -> Json:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": content}]}


POSITIONS: dict[str, tuple[str, Callable[[Json], Json]]] = {
    "chat user": ("chat", lambda b: _chat({"role": "user", "content": [b]})),
    "chat assistant": ("chat", lambda b: _chat({"role": "assistant", "content": [b]})),
    "chat assistant with calls": (
        "chat",
        lambda b: _chat({"role": "assistant", "content": [b], "tool_calls": [CALL]}),
    ),
    "chat system": ("chat", lambda b: _chat({"role": "system", "content": [b]})),
    "chat tool": (
        "chat",
        lambda b: _chat(
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c", "content": [b]},
        ),
    ),
    "chat message": ("chat", lambda b: _chat(b)),
    "chat input": ("chat", lambda b: {"input": [b, USER]}),
    "responses user": ("responses", lambda b: _responses({"role": "user", "content": [b]})),
    "responses assistant": ("responses", lambda b: _responses({"role": "assistant", "content": [b]})),
    "responses system": ("responses", lambda b: _responses({"role": "system", "content": [b]})),
    "responses output": (
        "responses",
        lambda b: _responses(FUNCTION_CALL, {"type": "function_call_output", "call_id": "c", "output": [b]}),
    ),
    "responses item": ("responses", lambda b: _responses(b)),
    "responses stored": ("responses", lambda b: {"input": "hi", "stored": [b]}),
    "responses messages": ("responses", lambda b: {"messages": [b, USER]}),
    "messages user": ("messages", lambda b: _messages({"role": "user", "content": [b]})),
    "messages assistant": ("messages", lambda b: _messages({"role": "assistant", "content": [b]})),
    "messages after a thought": (
        "messages",
        lambda b: _messages({"role": "assistant", "content": [{"type": "thinking", "signature": "c2ln"}, b]}),
    ),
    "messages system": ("messages", lambda b: _messages(system=[b])),
    "messages system message": ("messages", lambda b: _messages({"role": "system", "content": [b]})),
    "messages result": ("messages", lambda b: _messages(USE, _result([b]))),
    "messages document": (
        "messages",
        lambda b: _messages(
            {
                "role": "user",
                "content": [{"type": "document", "source": {"type": "content", "content": [b]}}],
            }
        ),
    ),
    "messages message": ("messages", lambda b: _messages(b)),
}
"""Where a block or an item may stand in a history, by surface."""


def test_the_samples_are_the_sdks_own() -> None:
    types = {value.get("type") for value in (*blocks().values(), *items().values())}

    assert len(blocks()) > 60
    assert len(items()) > 60
    assert {"tool_reference", "container_upload", "mcp_tool_use", "search_result", "mcp_list_tools"} <= types


THOUGHTS = ("thinking", "redacted_thinking", "reasoning")
"""Blocks of an answer that are not sent by design: Gemini takes no thoughts."""

_OF_ANSWERS = ("messages a", "chat a", "responses item", "responses stored")


def _is_left_out(name: str, block: Json, position: str) -> bool:
    """Return whether a block says nothing in a position, or is a row of its own."""
    if "ItemReference" in name or set(block) <= {
        "type",
        "role",
        "detail",
    }:  # references are looked up in the store
        return True
    return position.startswith(_OF_ANSWERS) and block.get("type") in THOUGHTS


def _words(value: Any) -> set[str]:
    """Return the texts in a block, without those of `type`."""
    if isinstance(value, dict):
        return {word for key, inner in value.items() if key != "type" for word in _words(inner)}
    if isinstance(value, list):
        return {word for inner in value for word in _words(inner)}
    return {value.rpartition(",")[2]} if isinstance(value, str) else set()


@pytest.mark.row("G5", "G12")
@pytest.mark.parametrize("position", POSITIONS)
def test_g05_no_block_in_any_position_is_fatal_or_lost(position: str) -> None:
    surface, make = POSITIONS[position]
    failed = {}
    for name, block in {**blocks(), **items()}.items():
        if _is_left_out(name, block, position):
            continue
        try:
            sent, notes = _sent(surface, make(block))
        except BadRequest as error:
            failed[name] = f"{error.param}: {error.message}"
        else:
            if not notes and not any(word in sent for word in _words(block)):
                failed[name] = "lost"
    assert failed == {}


@pytest.mark.row("G5")
@pytest.mark.parametrize("position", POSITIONS)
def test_g05_strict_mode_reads_or_refuses(position: str) -> None:
    surface, make = POSITIONS[position]
    for block in (
        {"type": "zork", "depth": WORD},
        {"type": "zork", "content": [{"type": "text", "text": WORD}]},
    ):
        with pytest.raises((BadRequest, msgspec.ValidationError)):
            _sent(surface, make(block), strict=True)
