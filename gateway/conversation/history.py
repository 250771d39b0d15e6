"""History: the turns of a conversation as Gemini takes them.

Gemini refuses a history whose turns are out of order ("Please ensure that function call turn comes immediately after a
user turn or after a function response turn", "... number of function response parts is equal to the number of
function call parts"). So the results of a step's calls follow it at once, in the order of the calls, whatever came
between. A missing result is written as an error, and a result without a call becomes text.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw, Struct, structs

from gateway.conversation.notes import Notes
from gateway.conversation.pairing import Call, Item, Result, Turn, distinct_ids, pair
from gateway.conversation.parts import AnyPart, Attachment, Media, with_resolution
from gateway.conversation.replay import NO_SERVER_TOOLS, Replay, ServerTools
from gateway.conversation.tool_results import json_kind, response_of
from gateway.conversation.tools import gemini_name
from gateway.errors import BadRequest
from gateway.gemini import thought_signatures
from gateway.gemini.capabilities import Capabilities
from gateway.gemini.thought_signatures import MOST_LOOKED_UP, SignatureKeys, StoredSignatures
from gateway.gemini.wire import (
    Content,
    FunctionCall,
    FunctionResponse,
    FunctionResponsePart,
    Part,
    decode_part,
)

_NO_RESULT = Raw(b'{"error":"no result was provided"}')
_CONTINUE = "Continue."
_NOTHING = Part()
"""A part that only the store may have."""
_RESPONSE_MEDIA = ("image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain")
"""Types that a functionResponse may hold (https://ai.google.dev/gemini-api/docs/function-calling#multimodal)."""
_RESOLUTIONS = (
    "MEDIA_RESOLUTION_LOW",
    "MEDIA_RESOLUTION_MEDIUM",
    "MEDIA_RESOLUTION_HIGH",
    "MEDIA_RESOLUTION_ULTRA_HIGH",
)


class HistoryContext(Struct, frozen=True):
    """Everything besides the turns that a written history depends on."""

    capabilities: Capabilities
    keys: SignatureKeys
    stored: StoredSignatures = {}
    media: Media = {}
    names: Mapping[str, str] = {}
    """The client's function names to those that are sent."""
    has_calls: bool = True
    """The history has calls or results."""
    has_attachments: bool = True
    server_tools: ServerTools = NO_SERVER_TOOLS
    """The kinds of parts of Google's own tools that are put back."""


class History(Struct):
    """Instructions and turns for Gemini."""

    system: list[Part]
    contents: list[Content]
    paths: list[str]
    """The client's path of each content; empty for one that the gateway added."""
    resolution: str | None = None
    """mediaResolution of the whole request, for models that take none for a part."""


def write(items: Sequence[Item], context: HistoryContext, notes: Notes) -> History:
    """Return a history that Gemini takes. Raises BadRequest with the path of what it cannot be repaired."""
    writer = _Writer(context, notes)
    results, orphans = pair(items) if context.has_calls else ({}, set())
    answered = False
    for i, item in enumerate(items):
        if isinstance(item, Result):
            if i in orphans:
                writer.orphan(item)
        elif item.role == "model":
            answered = True
            writer.model(item, [results.get((i, j)) for j in range(len(item.calls))])
        elif item.role == "user" or answered:  # an instruction after an answer is said where it stands
            writer.add("user", writer.resolved(item.parts), item.at)
        else:
            writer.system += writer.resolved(item.parts)
    return writer.finish()


class _Writer:
    """Writes turns one after another and joins neighbours of one role."""

    def __init__(self, context: HistoryContext, notes: Notes) -> None:
        self._context = context
        self._notes = notes
        self.system: list[Part] = []
        self._contents: list[Content] = []
        self._paths: list[str] = []
        self._resolutions: list[str] = []
        self._looked_up = 0
        self._plain = not context.has_attachments
        tools = context.server_tools
        self._replay = (
            Replay(context.keys, context.stored, tools, notes) if tools != NO_SERVER_TOOLS else None
        )

    def add(self, role: str, parts: list[Part], at: str) -> None:
        """Add a turn, or extend the last one. Text never joins function responses: Gemini refuses the mixture."""
        if not parts:
            return
        last = self._contents[-1] if self._contents else None
        if last is not None and last.role == role and last.parts and last.parts[-1].function_response is None:
            last.parts.extend(parts)  # a list that this writer has made
        else:
            self._contents.append(Content(parts, role))
            self._paths.append(at)

    def model(self, turn: Turn, results: Sequence[Result | None]) -> None:
        """Add a model's turn, and the results of its calls right after it."""
        parts = self.resolved(turn.parts)
        ids = distinct_ids(turn.calls)
        calls = [self._call(call, sent) for call, sent in zip(turn.calls, ids, strict=True)]
        if calls and self._context.capabilities.signatures and not calls[0].thought_signature:
            calls[0] = structs.replace(calls[0], thought_signature=thought_signatures.DUMMY)
            self._notes.add(f"{turn.calls[0].at}.thought_signature")
        if self._replay is not None:
            last = self._contents[-1] if self._contents else None
            before = last.parts or () if last is not None and last.role == "model" else ()
            self.add("model", self._replay.parts(turn, parts, calls, before), turn.at)
        else:
            if turn.run:
                self._notes.add(turn.run_at)
            self.add("model", parts + calls, turn.at)
        if calls:
            self._results(turn, calls, results)

    def orphan(self, result: Result) -> None:
        """Add a result without a call as text of the user."""
        parts = self.resolved(result.parts)
        texts = "".join(part.text or "" for part in parts)
        if result.error:
            texts = msgspec.json.encode({"error": texts}).decode()
        self._notes.add(result.at)
        name = result.call_id or result.name or "unknown"
        media = [part for part in parts if part.text is None]
        self.add("user", [Part(text=f"Tool result ({name}): {texts}"), *media], result.at)

    def resolved(self, parts: Sequence[AnyPart]) -> list[Part]:
        """Return a new list of the parts with fetched files, stored signatures and resolutions."""
        if self._plain:
            return list(parts)  # type: ignore[arg-type]  # there are no attachments
        resolved = [part if type(part) is Part else self._resolved(part) for part in parts]  # type: ignore[arg-type]
        return [part for part in resolved if part is not None]

    def _resolved(self, attachment: Attachment) -> Part | None:
        part = attachment.resolved(self._context.media)
        level = attachment.resolution
        if level is not None and self._context.capabilities.part_resolution:
            part = with_resolution(part, level)
        elif level is not None:
            self._resolutions.append(level)
        if attachment.kept is not None:
            return self._server_part(part, attachment.kept, attachment.at)
        if attachment.lookup and self._context.stored:
            (key,) = self._context.keys.image(attachment.lookup)
            part = structs.replace(part, thought_signature=self._context.stored.get(key))
        return part

    def _server_part(self, part: Part, kept: tuple[str, int], at: str) -> Part | None:
        """Return a part that one of Google's own tools made as it came, or as the client tells it.

        A model that takes no built-in tools beside functions does not know a search of another model.
        """
        stored = self._context.stored.get(self._context.keys.server_part(*kept))
        if stored is not None:
            part = decode_part(stored)
        if part == _NOTHING:
            return None
        is_tool = part.tool_call is not None or part.tool_response is not None
        left_out = is_tool and not self._context.capabilities.builtins_with_functions
        if left_out or part.text is not None:
            self._notes.add(at)
        return None if left_out else part

    def finish(self) -> History:
        """Return the history; Gemini wants it to begin with the user, and most models to end so."""
        if not self._contents:
            self._append(Content([Part(text="")], "user"), "")
        if self._contents[0].role == "model":
            self._contents.insert(0, Content([Part(text="")], "user"))
            self._paths.insert(0, "")
        if self._contents[-1].role == "model" and not self._context.capabilities.prefill:
            self._append(Content([Part(text=_CONTINUE)], "user"), "")
        resolution = max(self._resolutions, key=_RESOLUTIONS.index, default=None)
        return History(self.system, self._contents, self._paths, resolution)

    def _append(self, content: Content, at: str) -> None:
        self._contents.append(content)
        self._paths.append(at)

    def _call(self, call: Call, sent_id: str) -> Part:
        arguments = self._arguments(call)
        name = self._context.names.get(call.name) or gemini_name(call.name)
        signature = call.signature or self._stored_signature(call)
        return Part(function_call=FunctionCall(name, arguments, sent_id or None), thought_signature=signature)

    def _stored_signature(self, call: Call) -> str | None:
        stored = self._context.stored
        self._looked_up += len(call.arguments)
        if not stored or self._looked_up > MOST_LOOKED_UP:
            return None
        keys = self._context.keys.call(call.id, call.name, call.arguments)
        return next((stored[key] for key in keys if key in stored), None)

    def _arguments(self, call: Call) -> Raw:
        """Return a JSON object as it is; wrap anything else, so that the agent can go on. Strict mode refuses it."""
        text = call.arguments
        if not text.strip():
            return Raw(b"{}")
        if json_kind(text) == "object":
            return Raw(text.encode())
        if self._notes.strict:
            path = call.arguments_at
            raise BadRequest(f"Invalid '{path}': expected a JSON object.", param=path)
        self._notes.add(call.arguments_at)
        return Raw(msgspec.json.encode({"_raw": text}))

    def _results(self, turn: Turn, calls: Sequence[Part], results: Sequence[Result | None]) -> None:
        """Add one content with a response for each call; media that a response cannot hold follow in another."""
        responses: list[Part] = []
        beside: list[Part] = []
        for call, part, result in zip(turn.calls, calls, results, strict=True):
            sent = part.function_call or FunctionCall()
            if result is None:
                self._notes.add(call.at)
                response = FunctionResponse(sent.name, _NO_RESULT, sent.id)
            else:
                response = self._response(result, sent.name, sent.id, beside)
            responses.append(Part(function_response=response))
        first = (results[0] or next(filter(None, results), turn)).at
        self._append(Content(responses, "user"), first)
        self.add("user", beside, first)

    def _response(
        self, result: Result, name: str, call_id: str | None, beside: list[Part]
    ) -> FunctionResponse:
        """Return one function's response, with its media where the model takes them there."""
        texts: list[str] = []
        inside: list[FunctionResponsePart] = []
        outside: list[Part] = []
        for part in self.resolved(result.parts):
            if part.text is not None:
                texts.append(part.text)
            elif self._fits(part):
                inside.append(FunctionResponsePart(part.inline_data, part.file_data))
            else:
                outside.append(part)
        text = "".join(texts)
        if outside:
            beside += [Part(text=f"Attachment of tool result {name}:"), *outside]
        if not text and (inside or outside):
            text = "See the attached file(s)."
        response = Raw(msgspec.json.encode({"error": text})) if result.error else response_of(text)
        return FunctionResponse(name, response, call_id, inside or None)

    def _fits(self, part: Part) -> bool:
        if not self._context.capabilities.response_media:
            return False
        media = part.inline_data or part.file_data
        return media is not None and (media.mime_type or "image/png") in _RESPONSE_MEDIA
