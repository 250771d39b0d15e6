"""Messages, tools that Google ran in an earlier answer: server tool blocks as parts again.

Each result is put right after its call, as Google gave them. A part that the store has goes back as it came. Of the
others, code goes back as code, a search with its thought signature as a search, and anything else as text.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from gateway.conversation.notes import Notes, typed
from gateway.conversation.parts import AnyPart, server_part
from gateway.gemini.wire import (
    CodeExecutionResult,
    ExecutableCode,
    Part,
    ServerToolCall,
    ServerToolResponse,
)
from gateway.plugins.messages.server_blocks import CODE, KINDS, OWN, PREFIX, SEARCH
from gateway.plugins.messages.wire import Block, Json

USE = "server_tool_use"
RESULT = "_tool_result"
"""The end of the types of all results."""
_OWN_ARGUMENTS = {"query": "queries", "url": "urls"}
"""Fields that the gateway has added to a call's arguments, where Google's own field stands beside them."""
_MOST_TOLD = 20
"""Sources of a search that are told as text."""
_MADE_BY_READER = "toolu_"


class SignedBlock(Struct, frozen=True, gc=False):
    """A server tool block, the thought signature right before it, and its path."""

    block: Block
    signature: str | None
    at: str


def server_parts(blocks: Sequence[SignedBlock], notes: Notes) -> dict[str, list[AnyPart]]:
    """Return the parts of server tool blocks by the path at which they go: a result's is that of its call."""
    parts: dict[str, list[AnyPart]] = {}
    calls: dict[str, SignedBlock] = {}
    counts: dict[str, int] = {}
    for signed in blocks:
        block = signed.block
        if block.type == USE:
            calls[block.id or ""] = signed
            part = _call(block, signed.signature)
            parts[signed.at] = [_kept(part, block.id, 0, signed, notes)]
            continue
        call = calls.get(block.tool_use_id or "")
        counts[block.tool_use_id or ""] = number = counts.get(block.tool_use_id or "", 0) + 1
        part = _result(block, call.block if call is not None else None, signed.signature)
        place = parts.setdefault(call.at if call is not None else signed.at, [])
        place.append(_kept(part, block.tool_use_id, number, signed, notes))
    return parts


def _kept(part: Part, block_id: str | None, number: int, signed: SignedBlock, notes: Notes) -> AnyPart:
    """Return a part that the store may have as it came. One that is told as text is noted."""
    at = typed(signed.at, signed.block.type)
    if google_id := _google_id(block_id):
        return server_part(part, google_id, number, at)
    if part.text is not None:
        notes.add(at)
    return part


def _google_id(block_id: str | None) -> str:
    """Return the id of Google's part, or "" for a block of which Google gave none."""
    if not block_id or not block_id.startswith(PREFIX) or block_id.startswith(OWN):
        return ""
    return block_id.removeprefix(PREFIX)


def _part_id(block_id: str | None) -> str | None:
    google_id = _google_id(block_id)
    return None if google_id.startswith(_MADE_BY_READER) else google_id or None


def _call(block: Block, signature: str | None) -> Part:
    value = block.input or {}
    if block.name == CODE and isinstance(code := value.get("code"), str):
        executable = ExecutableCode(code, "PYTHON", _part_id(block.id))
        return Part(executable_code=executable, thought_signature=signature)
    if block.name in KINDS and signature:
        kind = value.get("tool_type")
        arguments = {
            name: field
            for name, field in value.items()
            if name != "tool_type" and _OWN_ARGUMENTS.get(name) not in value
        }
        call = ServerToolCall(
            kind if isinstance(kind, str) else KINDS[block.name], _json(arguments), _part_id(block.id)
        )
        return Part(tool_call=call, thought_signature=signature)
    return Part(text=f"[{block.name or USE}: {_text(value)}]")


def _result(block: Block, call: Block | None, signature: str | None) -> Part:
    if block.type == f"{CODE}{RESULT}" and isinstance(content := block.content, dict):
        return Part(
            code_execution_result=_code_result(content, block.tool_use_id), thought_signature=signature
        )
    name = call.name if call is not None else None
    if name in KINDS and signature:
        kind = (call.input or {}).get("tool_type") if call is not None else None
        response = _json({"results": [{"title": title, "url": url} for title, url in _sources(block)]})
        result = ServerToolResponse(
            kind if isinstance(kind, str) else KINDS[name], response, _part_id(block.tool_use_id)
        )
        return Part(tool_response=result, thought_signature=signature)
    return Part(text=f"[{block.type}: {_told(block)}]")


def _code_result(content: Json, use_id: str | None) -> CodeExecutionResult:
    """Return the result of code. A failure's output is in `stderr`, or it has an error code."""
    output = [content.get(name) for name in ("stdout", "stderr", "error_code")]
    failed = bool(content.get("return_code")) or content.get("type") != "code_execution_result"
    text = "".join(word for word in output if isinstance(word, str))
    return CodeExecutionResult("OUTCOME_FAILED" if failed else "OUTCOME_OK", text, _part_id(use_id))


def _told(block: Block) -> str:
    """Return the salient fields of a result: titles and addresses of sources, or the content."""
    sources = _sources(block)
    if sources or (block.type == f"{SEARCH}{RESULT}" and isinstance(block.content, list)):
        words = [f"{title} ({url})" for title, url in sources[:_MOST_TOLD]]
        return "; ".join(
            [*words, f"{len(sources) - _MOST_TOLD} more"] if len(sources) > _MOST_TOLD else words
        )
    return block.content if isinstance(block.content, str) else _text(block.content)


def _sources(block: Block) -> list[tuple[str, str]]:
    content = block.content if isinstance(block.content, list) else []
    return [(inner.title or "", inner.url or "") for inner in content if inner.type == "web_search_result"]


def _json(value: object) -> Raw:
    return Raw(msgspec.json.encode(value))


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
