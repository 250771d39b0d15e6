"""Messages and items of any vendor's dialect, told to the conversation builder."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.foreign.blocks import (
    Block,
    BlockReader,
    ForeignCall,
    ForeignResult,
    Json,
    NativePart,
    Step,
    Thought,
    as_parts,
    kind_of,
)
from gateway.conversation.foreign.originals import Originals, value_of
from gateway.conversation.foreign.telling import tell
from gateway.conversation.invalid import UnknownShape, mismatch, missing, unsupported_value
from gateway.conversation.parts import AnyPart
from gateway.errors import BadRequest
from gateway.gemini.thought_signatures import split_id
from gateway.gemini.wire import Part

NativeCalls = Callable[[ConversationBuilder, Json, str], bool]
"""Records the calls of an answer in the surface's own shape. Returns False for other shapes, recording nothing."""

UnknownBlock = Callable[[int, str, UnknownShape], Sequence[AnyPart]]

_ROLES = {
    "user": "user", "human": "user", "assistant": "model", "model": "model", "ai": "model",
    "system": "system", "developer": "system", "tool": "tool", "function": "tool",
}  # fmt: skip
_UNSAID = ("reasoning", "item_reference", "compaction_trigger")
"""Items without words for a model: only the note tells them."""
_OF_MODEL = ("_call", "_tool_use", "_list_tools", "_approval_request", "compaction", "program")
"""Ends of the types of items that the model, or OpenAI for it, has made."""


def bracketed(at: str, step: str | int) -> str:
    """Return a path below another, as OpenAI writes it: `messages[0].content`."""
    return f"{at}[{step}]" if isinstance(step, int) else f"{at}.{step}"


def dotted(at: str, step: str | int) -> str:
    """Return a path below another, as Anthropic writes it: `messages.0.content`."""
    return f"{at}.{step}"


class Dialect(Struct, frozen=True):
    """A surface's own shapes, which are read as the surface reads them also inside a foreign message."""

    turn: type
    """The type of its messages or items."""
    part: NativePart | None = None
    parts: Sequence[str] = ()
    """The types of its parts."""
    calls: NativeCalls | None = None
    step: Step = bracketed
    own: Sequence[str] = ()
    """The types of its other blocks."""


class ForeignTurns:
    """Reads the turns of one list that the surface's own reader does not understand."""

    def __init__(
        self, builder: ConversationBuilder, elements: Raw | Sequence[Any] | None, dialect: Dialect
    ) -> None:
        self._builder = builder
        self._originals = Originals(elements)
        self._dialect = dialect
        self._step = dialect.step
        self._blocks = BlockReader(builder.notes, dialect.step, dialect.part, dialect.parts, dialect.own)

    def instead(self, i: int, at: str, error: UnknownShape, referenced: object = None) -> None:
        """Record the turn at a position, or the stored one that it refers to, in place of what is recorded of it.

        Raises `error` in strict mode, or the turn's own, where no dialect has such a turn.
        """
        if self._builder.notes.strict:
            raise error
        if (
            self._step(at, 0) != at
        ):  # stored items have no paths of their own: nothing is recorded before they fail
            self._builder.forget(at)
        value = self._originals[i] if referenced is None else referenced
        try:
            self.turn(value, at)
        except UnknownShape:
            raise self._mistake(value, at) or error from None

    def reader_of(self, i: int) -> UnknownBlock:
        """Return the reader of single blocks of a turn, for a surface that reads the others itself.

        It takes the block's position, its path and the surface's error, and raises that as `instead` does.
        """
        return lambda j, at, error: self._block(i, j, at, error)

    def _block(self, i: int, j: int, at: str, error: UnknownShape) -> list[AnyPart]:
        if self._builder.notes.strict:
            raise error
        try:
            return self._blocks.parts(self._originals[i]["content"][j], at)
        except UnknownShape:
            raise error from None

    def instruction(self, value: object, at: str, error: UnknownShape) -> None:
        """Record an instruction of any shape. Raises `error` as `instead` does."""
        if self._builder.notes.strict:
            raise error
        self._builder.forget(at)
        try:
            self.system(value, at)
        except UnknownShape:
            raise error from None

    def all(self, at: str) -> None:
        """Record every turn of the list, which is another surface's. Raises BadRequest."""
        for i in range(len(self._originals)):
            self.turn(self._originals[i], self._step(at, i))

    def turn(self, value: object, at: str) -> None:
        """Record one message or item. Raises UnknownShape."""
        if isinstance(value, str):
            self._builder.notes.add(at)
            self._builder.turn("user", value, at)
            return
        if not isinstance(value, Mapping):
            raise unsupported_value("", _ROLES, at)
        role = value.get("role")
        is_message = "content" in value or "parts" in value or value.get("type", "message") == "message"
        if (role is None and kind_of(value) not in (None, "message")) or (not is_message and kind_of(value)):
            self._item(value, at)
            return
        if not isinstance(role, str) or role not in _ROLES:
            raise unsupported_value(str(role), _ROLES, self._step(at, "role"))
        self._message(_ROLES[role], value, at)

    def _message(self, role: str, value: Json, at: str) -> None:
        key = "parts" if "parts" in value and "content" not in value else "content"
        inside = self._step(at, key)
        if role == "tool":
            self._tool(value, at)
            return
        if role == "user" and value.get(key) is None:
            raise missing(inside)
        blocks = self._blocks.content(value.get(key), inside)
        match role:
            case "system":
                self._system(blocks, at)
            case "user":
                self._user(blocks, at)
            case _:
                self._model(blocks, value, at)

    def _tool(self, value: Json, at: str) -> None:
        """Record a message of the role `tool`: one result, or a list of them as the AI SDK writes it."""
        content = value.get("content")
        if (
            isinstance(content, list)
            and content
            and all(
                isinstance(inner, Mapping) and inner.get("type") in ("tool-result", "tool_result")
                for inner in content
            )
        ):
            self._user(self._blocks.content(content, self._step(at, "content")), at)
            return
        self._record(self._blocks.result(value, at))

    def system(self, value: object, at: str) -> None:
        """Record an instruction of any shape. Raises UnknownShape."""
        self._system(self._blocks.content(value, at), at)

    def _system(self, blocks: Sequence[Block], at: str) -> None:
        """Record an instruction; what is no text in it is said by the user, for Gemini's takes text only."""
        said = [part for block in blocks for part in as_parts(block)]
        texts = [part for part in said if isinstance(part, Part) and part.text is not None]
        self._builder.system(texts, at)
        if others := [part for part in said if part not in texts]:
            self._builder.notes.add(at)
            self._builder.turn("user", others, at)

    def _user(self, blocks: Sequence[Block], at: str) -> None:
        """Record the results, then what the user says beside them."""
        for block in blocks:
            if isinstance(block, ForeignResult):
                self._record(block)
        said = [part for block in blocks if not isinstance(block, ForeignResult) for part in as_parts(block)]
        if said or not blocks:
            self._builder.turn("user", said, at)

    def _model(self, blocks: Sequence[Block], value: Json, at: str) -> None:
        """Record texts and pictures of an answer, then its calls, then results that stand in it.

        A thought's signature belongs to the call after it, or else to the answer's last text, as in Messages.
        """
        said: list[AnyPart] = []
        calls: list[ForeignCall] = []
        signature: str | None = None
        for block in blocks:
            match block:
                case Thought():
                    signature = block.signature or signature
                case ForeignCall():
                    calls.append(structs.replace(block, signature=block.signature or signature))
                    signature = None
                case ForeignResult():
                    pass
                case _:
                    said.append(block)
        if not said and isinstance(refusal := value.get("refusal"), str) and refusal:
            said.append(Part(text=refusal))
        if signature and said and isinstance(last := said[-1], Part) and last.text is not None:
            said[-1] = structs.replace(last, thought_signature=signature)
        self._builder.turn("model", said, at)
        for call in calls:
            self._call(call)
        self._calls(value, at)
        for block in blocks:
            if isinstance(block, ForeignResult):
                self._record(block)

    def _calls(self, value: Json, at: str) -> None:
        """Record the calls beside an answer's content. Raises UnknownShape for one without a name."""
        native = self._dialect.calls
        if native is not None and native(self._builder, value, at):
            return
        calls = value.get("tool_calls")
        if not isinstance(calls, list):
            return
        for i, inner in enumerate(calls):
            inside = self._step(self._step(at, "tool_calls"), i)
            call = self._blocks.call(inner, inside) if isinstance(inner, Mapping) else None
            if call is None:
                raise missing(self._step(inside, "function"))
            self._builder.notes.add(inside)
            self._call(call)

    def _item(self, value: Json, at: str) -> None:
        """Record an item that is no message: a call, a result, or the user's own block. Others are told as text."""
        kind = kind_of(value) or ""
        if kind in _UNSAID:
            self._builder.notes.add_type(at, kind)
            return
        if kind.endswith(_OF_MODEL) and kind not in ("function_call", "custom_tool_call"):
            self._builder.notes.add_type(at, kind)
            words = tell(value, kind)
            if words.text != f"[{kind}]":
                self._builder.turn("model", [words], at)
            return
        blocks = self._blocks.read(value, at)
        if all(isinstance(block, ForeignCall | Thought) for block in blocks):
            for block in blocks:
                if isinstance(block, ForeignCall):
                    self._call(block)
        else:
            self._user(blocks, at)

    def _call(self, call: ForeignCall) -> None:
        signature = call.signature or split_id(call.id)[1]
        self._builder.call(call.id, call.name, call.arguments, signature, call.at, call.arguments_at)

    def _record(self, result: ForeignResult) -> None:
        self._builder.result(result.call_id, result.parts, result.at, name=result.name, error=result.error)

    def _mistake(self, value: object, at: str) -> BadRequest | None:
        """Return the error of a turn that does not fit the surface's type, or None for one that fits."""
        try:
            msgspec.convert(value, self._dialect.turn)
        except msgspec.ValidationError as error:
            return mismatch(error, at)
        return None


def turns_elsewhere(
    builder: ConversationBuilder, fields: Mapping[str, Raw], names: Sequence[str], dialect: Dialect
) -> None:
    """Record the turns that stand in another surface's field, with a note. Raises BadRequest for no turns at all."""
    name = next((name for name in names if value_of(fields.get(name), name)), None)
    if name is None or builder.notes.strict:
        raise missing(builder.root)
    builder.notes.add(name)
    value = value_of(fields[name], name)
    if isinstance(value, str):
        builder.turn("user", value, name)
    else:
        ForeignTurns(builder, value if isinstance(value, list) else [value], dialect).all(name)


_INSTRUCTIONS = ("system", "instructions", "system_instruction", "systemInstruction")
"""Fields of all surfaces that hold an instruction beside the turns."""


def instructions(
    builder: ConversationBuilder, fields: Mapping[str, Raw], dialect: Dialect, own: str = ""
) -> None:
    """Record instructions that stand in another surface's field, with a note. Strict mode refuses it.

    `own` is the surface's own field, which it reads itself.
    """
    for name in _INSTRUCTIONS:
        if name == own or name not in fields:
            continue
        value = value_of(fields[name], name)
        if not value:
            continue
        builder.notes.drop(name, f"Put the instruction into '{own or builder.root}'.")
        if isinstance(value, str):
            builder.system(value, name)
        else:
            key = "parts" if isinstance(value, Mapping) and "parts" in value else ""
            reader = ForeignTurns(builder, None, dialect)
            reader.system(value[key] if key else value, dialect.step(name, key) if key else name)


_LIMITS = ("max_output_tokens", "max_completion_tokens", "max_tokens")
"""Fields of all surfaces that limit the answer's tokens."""


def token_limit(builder: ConversationBuilder, fields: Mapping[str, Raw]) -> int | None:
    """Return the limit that stands in another surface's field, which is noted as unknown. None in strict mode."""
    if builder.notes.strict:
        return None
    values = (value_of(fields[name], name) for name in _LIMITS if name in fields)
    return next((value for value in values if type(value) is int and 0 < value < 2**31), None)
