"""Blocks of a message: the parts, calls, results and thoughts of any vendor's dialect.

Sources of the shapes: OpenAI's chat and Responses, Anthropic's Messages, Gemini's own parts, Bedrock's Converse, the
Vercel AI SDK's and LangChain's messages, which clients send on any surface.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from gateway.conversation.foreign import media
from gateway.conversation.foreign.telling import tell
from gateway.conversation.invalid import UnknownShape, missing, unsupported_value
from gateway.conversation.notes import Notes
from gateway.conversation.parts import AnyPart
from gateway.gemini.wire import Part

Json = Mapping[str, Any]
Step = Callable[[str, str | int], str]
"""Returns the path of a field or an element below another, in the surface's spelling."""
NativePart = Callable[[Json, str], Sequence[AnyPart]]
"""Reads a part of the surface's own. Raises UnknownShape."""


class ForeignCall(Struct, frozen=True):
    """A call of a function."""

    id: str
    name: str
    arguments: str
    """A JSON text."""
    at: str
    arguments_at: str
    signature: str | None = None


class ForeignResult(Struct, frozen=True):
    """The result of a call."""

    call_id: str
    name: str
    parts: list[AnyPart]
    at: str
    error: bool = False


class Thought(Struct, frozen=True):
    """A thought, which is not sent. Its signature belongs to the call or text after it."""

    signature: str | None = None


Block = AnyPart | ForeignCall | ForeignResult | Thought

_TEXTS = ("text", "input_text", "output_text", "summary_text", "plain_text")
_THOUGHTS = (
    "thinking",
    "redacted_thinking",
    "reasoning",
    "reasoning_text",
    "think",
    "thought",
    "reasoningContent",
)
_CALLS = ("tool_use", "tool-call", "tool_call", "function_call", "custom_tool_call", "toolUse", "functionCall",
          "function", "custom")  # fmt: skip
_RESULTS = ("tool_result", "tool-result", "function_call_output", "custom_tool_call_output", "toolResult",
            "functionResponse", "function_response")  # fmt: skip
_AI_SDK_OUTPUTS = ("text", "json", "content", "error-text", "error-json")
_KEYED = (*media.KEYS, "functionCall", "function_call", "toolUse", "functionResponse", "function_response",
          "toolResult", "reasoningContent", "text")  # fmt: skip
"""Keys that name a block without a `type`, as Gemini and Bedrock write it."""


class BlockReader:
    """Reads blocks of any dialect. Each that is not the surface's own is noted."""

    def __init__(
        self,
        notes: Notes,
        step: Step,
        native: NativePart | None = None,
        known: Sequence[str] = (),
        own: Sequence[str] = (),
    ) -> None:
        self._notes = notes
        self._step = step
        self._native = native
        self._known = known
        """Types of the surface's own parts: one that cannot be read is the client's mistake."""
        self._own = own
        """Types of the surface's other blocks, which are no news."""

    def content(self, value: object, at: str) -> list[Block]:
        """Return the blocks of a message's content. Raises UnknownShape for another kind of value."""
        if value is None:
            return []
        if isinstance(value, list):
            return [block for i, inner in enumerate(value) for block in self.read(inner, self._step(at, i))]
        return self.read(value, at)

    def parts(self, value: object, at: str) -> list[AnyPart]:
        """Return content that cannot hold calls: they are told as text, and thoughts are left out."""
        return [part for block in self.content(value, at) for part in as_parts(block)]

    def read(self, value: object, at: str) -> list[Block]:
        """Return the blocks of one element of a content. Raises UnknownShape for what names no kind."""
        if isinstance(value, str):
            return [Part(text=value)]
        if not isinstance(value, Mapping):
            raise unsupported_value(type(value).__name__, ("object",), at)
        kind = kind_of(value)
        if kind is None:
            raise unsupported_value("", self._known or _TEXTS, self._step(at, "type"))
        error: UnknownShape | None = None
        if self._native is not None and kind in self._known:
            try:
                return list(self._native(value, at))
            except UnknownShape as own:
                error = own
        blocks = self._foreign(value, kind, at)
        if blocks is None:
            if error is not None:
                raise error
            blocks = [tell(value, kind)]
        if kind not in self._own:
            self._notes.add_type(at, kind)
        return blocks

    def _foreign(self, value: Json, kind: str, at: str) -> list[Block] | None:
        """Return a block of a known kind, or None."""
        if kind in _TEXTS or kind == "refusal":
            return _text(value, kind)
        if kind in _THOUGHTS:
            return [Thought(_string(value, "signature", "data"))]
        if kind in _CALLS:
            if (call := self.call(value, at)) is None:
                raise missing(self._step(at, "name"))
            return [call]
        if kind in _RESULTS:
            return [self.result(value, at)]
        if (
            kind == "tool_reference"
        ):  # https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/tool-search-tool
            return [Part(text=f"The tool '{_string(value, 'tool_name') or ''}' is available.")]
        if kind == "search_result":
            return self._search_result(value, at)
        if kind == "document" and (document := self._document(value, at)) is not None:
            return document
        part = media.part(value, kind, at, self._step)
        return [part] if part is not None else None

    def call(self, value: Json, at: str) -> ForeignCall | None:
        """Return a call, or None for one without a name."""
        inner, inside = value, at
        for key in ("function", "custom", "functionCall", "function_call", "toolUse"):
            if isinstance(value.get(key), Mapping):
                inner, inside = value[key], self._step(at, key)
                break
        name = _string(inner, "name", "toolName", "tool_name")
        if not name:
            return None
        key = next((key for key in ("arguments", "args", "input", "parameters") if key in inner), "arguments")
        arguments = inner.get(key)
        if isinstance(arguments, str) and (
            value.get("type") in ("custom", "custom_tool_call") or key == "input"
        ):
            arguments = {"input": arguments}  # the function of one text that a custom tool is
        text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments or {}).decode()
        call_id = _string(value, "call_id", "toolCallId", "tool_call_id", "id") or _string(
            inner, "id", "toolUseId"
        )
        return ForeignCall(
            call_id or "", name, text, at, self._step(inside, key), _signature(value) or _signature(inner)
        )

    def result(self, value: Json, at: str) -> ForeignResult:
        """Return a result, whatever its content."""
        for key in ("functionResponse", "function_response", "toolResult"):
            if isinstance(value.get(key), Mapping):
                value, at = value[key], self._step(at, key)
        call_id = (
            _string(value, "tool_use_id", "tool_call_id", "toolCallId", "call_id", "toolUseId", "id") or ""
        )
        key = next((key for key in ("content", "output", "result", "response") if key in value), "content")
        error = (
            any(value.get(flag) is True for flag in ("is_error", "isError")) or value.get("status") == "error"
        )
        content = self._result_content(value.get(key), self._step(at, key))
        return ForeignResult(call_id, _string(value, "name", "toolName") or "", content, at, error)

    def _result_content(self, value: object, at: str) -> list[AnyPart]:
        """Return a result's content; a JSON value that is no content is its JSON text."""
        if isinstance(value, Mapping) and value.get("type") in _AI_SDK_OUTPUTS and "value" in value:
            value = value["value"]
        if value is None or isinstance(value, str):
            return [Part(text=value or "")]
        is_content = (
            all(isinstance(inner, Mapping) and kind_of(inner) is not None for inner in value)
            if isinstance(value, list)
            else isinstance(value, Mapping) and isinstance(value.get("type"), str)
        )
        return self.parts(value, at) if is_content else [Part(text=msgspec.json.encode(value).decode())]

    def _search_result(self, value: Json, at: str) -> list[Block]:
        """Return a search result of the client's as text: title, source, content."""
        head = "\n".join(filter(None, (_string(value, "title"), _string(value, "source"))))
        return [Part(text=head), *self.parts(value.get("content"), self._step(at, "content"))]

    def _document(self, value: Json, at: str) -> list[Block] | None:
        """Return an Anthropic document of text or of blocks, after its title; None for a file."""
        source = value.get("source")
        if not isinstance(source, Mapping) or source.get("type") not in ("text", "content"):
            return None
        key = "data" if source["type"] == "text" else "content"
        inside = self._step(self._step(at, "source"), key)
        head = "\n".join(filter(None, (_string(value, "title"), _string(value, "context"))))
        parts = self.parts(source.get(key), inside)
        return [Part(text=f"{head}\n"), *parts] if head else list(parts)


def as_parts(block: Block) -> Sequence[AnyPart]:
    """Return a block as parts, where no call can stand: calls and results become text."""
    match block:
        case Thought():
            return ()
        case ForeignCall():
            return (Part(text=f"[tool_use] {block.name}({block.arguments})"),)
        case ForeignResult():
            return (Part(text=f"[tool_result] {block.call_id or block.name}"), *block.parts)
        case _:
            return (block,)


def kind_of(value: Json) -> str | None:
    """Return a block's type, or the key that names it; None for an object that names no kind."""
    kind = value.get("type")
    if isinstance(kind, str) and kind:
        return kind
    if isinstance(value.get("role"), str):
        return "message"
    return next((key for key in _KEYED if value.get(key) is not None), None)


def _text(value: Json, kind: str) -> list[Block] | None:
    text = value.get("refusal" if kind == "refusal" else "text")
    if isinstance(text, Mapping):
        text = text.get("value")  # the Assistants API
    return [Part(text=text)] if isinstance(text, str) else None


def _signature(value: Json) -> str | None:
    """Return a call's thought signature from one of the places where clients keep it."""
    for path in (
        ("extra_content", "google"),
        ("extra_content", "vertex"),
        ("provider_specific_fields",),
        ("providerOptions", "google"),
        (),
    ):
        place: object = value
        for key in path:
            place = place.get(key) if isinstance(place, Mapping) else None
        if isinstance(place, Mapping) and (
            signature := _string(place, "thought_signature", "thoughtSignature")
        ):
            return signature
    return None


def _string(value: Json, *keys: str) -> str | None:
    """Return the first text that is not empty under some keys."""
    return next((text for key in keys if isinstance(text := value.get(key), str) and text), None)
