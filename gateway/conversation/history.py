"""A conversation as Gemini takes it: no history a client can send may meet Gemini's ordering refusals.

Roles become `user` and `model`; the answers to an assistant's calls follow it at once, in the order of the calls,
whatever came between; what is missing is made up, what has no call becomes text (translation.md B).
"""

from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

from gateway.conversation import parts
from gateway.conversation.parts import Media
from gateway.conversation.tools import gemini_name
from gateway.errors import BadRequest
from gateway.gemini import thought_signatures as signatures
from gateway.gemini.capabilities import Capabilities
from gateway.gemini.thought_signatures import SignatureKeys, Stored
from gateway.gemini.wire import Content, FunctionCall, FunctionResponse, FunctionResponsePart, Part
from gateway.plugins.chat import wire as openai

_NO_RESULT = Raw(b'{"error":"no result was provided"}')
_CONTINUE = "Continue."
_DEEPEST = 100
"""Levels of nesting that Google's JSON parser takes (translation.md B.7)."""
_RESPONSE_MEDIA = ("image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain")


class Context(Struct, frozen=True):
    """What a conversation's translation depends on."""

    abilities: Capabilities
    keyring: SignatureKeys
    stored: Stored = {}
    """Signatures the store knew."""
    media: Media = {}
    """Remote files that were fetched, by address."""
    names: Mapping[str, str] = {}
    """The client's function names to those that are sent."""
    strict: bool = False


class Conversation(Struct):
    """Instructions, turns, and the notes of what had to be repaired."""

    system: list[Part]
    contents: list[Content]
    notes: list[str]
    resolution: str | None = None
    """mediaResolution for the whole request, for models that know none for a part."""


Place = tuple[int, int]
"""A call: the index of its message, and its position there."""


def conversation(messages: list[openai.Message], context: Context) -> Conversation:
    """Everything in its place. Raises BadRequest with the path of what cannot be."""
    writer = _Writer(context)
    answers, orphans = _pair(messages)
    answered = False
    for i, message in enumerate(messages):
        at = f"messages[{i}]"
        match message.role:
            case "user":
                writer.user(message, at)
            case "assistant":
                answered = True
                writer.assistant(message, i, at, messages, answers)
            case "system" | "developer":
                texts = _text_parts(message, at)
                if answered:
                    writer.add("user", texts)
                else:
                    writer.system += texts
            case "tool" | "function":
                if i in orphans:
                    writer.orphan(message, at)
            case other:
                raise BadRequest(
                    f"unknown role {other[:40]!r}; known: system, developer, user, assistant, tool, function",
                    param=f"{at}.role",
                )
    return writer.done()


def _pair(messages: list[openai.Message]) -> tuple[dict[Place, int], set[int]]:
    """Each call's result message, the last one winning, and the results that belong to no call.

    A result belongs to the nearest call before it of its id, or of its name where there is no id.
    """
    by_id: dict[str, Place] = {}
    by_name: dict[str, Place] = {}
    answers: dict[Place, int] = {}
    orphans: set[int] = set()
    for i, message in enumerate(messages):
        if message.role == "assistant":
            for j, call in enumerate(_calls(message)):
                if call.id:
                    by_id[signatures.split_id(call.id)[0]] = (i, j)
                by_name[_called(call)[0]] = (i, j)
        elif message.role in ("tool", "function"):
            call_id = signatures.split_id(message.tool_call_id or "")[0]
            place = by_id.get(call_id) if call_id else by_name.get(message.name or "")
            if place is None:
                orphans.add(i)
            else:
                answers[place] = i
    return answers, orphans


def _calls(message: openai.Message) -> list[openai.CallIn]:
    if message.tool_calls:
        return message.tool_calls
    if message.function_call is not None:
        return [openai.CallIn(function=message.function_call)]
    return []


def _called(call: openai.CallIn) -> tuple[str, str]:
    """Name and arguments, as a JSON text."""
    if call.custom is not None:
        return call.custom.name, signatures.custom_arguments(call.custom.input)
    if call.function is not None:
        return call.function.name, signatures.arguments_text(call.function.arguments)
    return "", ""


class _Writer:
    """Writes turns, one after another, and joins neighbours of one role."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.system: list[Part] = []
        self._contents: list[Content] = []
        self._notes: list[str] = []
        self._resolutions: list[str] = []

    def add(self, role: str, found: list[Part]) -> None:
        """A turn, or more of the last one; text never joins the answers of functions (B.2.2)."""
        if not found:
            return
        last = self._contents[-1] if self._contents else None
        if last is not None and last.role == role and last.parts and last.parts[-1].function_response is None:
            last.parts += found
        else:
            self._contents.append(Content(found, role))

    def user(self, message: openai.Message, at: str) -> None:
        content = message.content
        if content is None:
            raise BadRequest("a user message needs content", param=f"{at}.content")
        if isinstance(content, str):
            self.add("user", [Part(text=content)])
            return
        found = [self._part(part, f"{at}.content[{j}]") for j, part in enumerate(content)]
        if found and not any(part.text is not None for part in found):
            found.append(Part(text=""))  # some models want a text beside a picture (B.3)
        self.add("user", found)

    def assistant(
        self,
        message: openai.Message,
        i: int,
        at: str,
        messages: list[openai.Message],
        answers: dict[Place, int],
    ) -> None:
        """An answer; and the results of its calls right after it, in their order (B.2.4, B.2.5)."""
        found = self._said(message, at)
        calls = _calls(message)
        written = [self._call(call, message, j, at) for j, call in enumerate(calls)]
        if written and self._context.abilities.signatures and not written[0].thought_signature:
            written[0].thought_signature = signatures.DUMMY
            self._notes.append("thought_signature")
        self.add("model", [*found, *written])
        if written:
            self._results(i, written, messages, answers)

    def orphan(self, message: openai.Message, at: str) -> None:
        """A result without a call is still worth reading (B.2.7)."""
        texts = "".join(part.text or "" for part in _text_parts(message, at))
        name = message.tool_call_id or message.name or "unknown"
        self._notes.append("messages.tool_call_id")
        self.add("user", [Part(text=f"Tool result ({name}): {texts}")])

    def done(self) -> Conversation:
        contents = self._contents or [Content([Part(text="")], "user")]
        if contents[0].role == "model":
            contents.insert(0, Content([Part(text="")], "user"))
        if contents[-1].role == "model" and not self._context.abilities.prefill:
            contents.append(Content([Part(text=_CONTINUE)], "user"))
        resolution = max(self._resolutions, key=_RESOLUTIONS.index, default=None)
        return Conversation(self.system, contents, self._notes, resolution)

    def _part(self, part: openai.ContentPart, at: str) -> Part:
        found = parts.user_part(part, at, self._context.media)
        level = parts.resolution(part)
        if level is not None and self._context.abilities.part_resolution:
            found.media_resolution = parts.media_resolution(level)
        elif level is not None:
            self._resolutions.append(level)
        return found

    def _said(self, message: openai.Message, at: str) -> list[Part]:
        """Text and images of an answer; its thoughts are not sent back (B.5)."""
        found = _answer_texts(message, at)
        signature = signatures.of_text(message)
        if signature and not found and message.content == "" and not message.tool_calls:
            found = [Part(text="")]
        if signature and found:
            found[-1].thought_signature = signature
        for j, image in enumerate(message.images or ()):
            if image.image_url is not None and image.image_url.url[:5].lower() == "data:":
                blob = parts.data_url(image.image_url.url, f"{at}.images[{j}].image_url.url")
                key = self._context.keyring.image(image.image_url.url.rpartition(",")[2])[0]
                found.append(Part(inline_data=blob, thought_signature=self._context.stored.get(key)))
        return found

    def _call(self, call: openai.CallIn, message: openai.Message, j: int, at: str) -> Part:
        name, arguments = _called(call)
        where = f"{at}.tool_calls[{j}].function" if message.tool_calls else f"{at}.function_call"
        if not name:
            raise BadRequest("a call needs the name of its function", param=f"{where}.name")
        args = self._arguments(arguments, f"{where}.arguments")
        call_id = signatures.split_id(call.id or "")[0]
        signature = signatures.of_call(call, message, j) or self._kept(call)
        sent = self._context.names.get(name) or gemini_name(name)
        return Part(function_call=FunctionCall(sent, args, call_id or None), thought_signature=signature)

    def _kept(self, call: openai.CallIn) -> str | None:
        stored = self._context.stored
        if not stored:
            return None
        return next(
            (stored[key] for key in signatures.call_keys(call, self._context.keyring) if key in stored), None
        )

    def _arguments(self, text: str, at: str) -> Raw:
        """A JSON object as it is; what is none is wrapped, so that the agent can go on (design.md 1.1, 6)."""
        if not text.strip():
            return Raw(b"{}")
        if isinstance(_decoded(text), dict):
            return signatures.as_raw(text)
        if self._context.strict:
            raise BadRequest("not a JSON object", param=at)
        self._notes.append("tool_calls.function.arguments")
        return Raw(msgspec.json.encode({"_raw": text}))

    def _results(
        self, i: int, calls: list[Part], messages: list[openai.Message], answers: dict[Place, int]
    ) -> None:
        """One content with a response for each call; media a response cannot hold follow in another."""
        responses: list[Part] = []
        beside: list[Part] = []
        for j, part in enumerate(calls):
            call = part.function_call
            assert call is not None  # noqa: S101 - they were written as calls just now
            k = answers.get((i, j))
            if k is None:
                self._notes.append("messages.tool_calls")
                response = FunctionResponse(call.name, _NO_RESULT, call.id)
            else:
                response = self._result(messages[k], f"messages[{k}]", call, beside)
            responses.append(Part(function_response=response))
        self._contents.append(Content(responses, "user"))
        self.add("user", beside)

    def _result(
        self, message: openai.Message, at: str, call: FunctionCall, beside: list[Part]
    ) -> FunctionResponse:
        """One function's response (B.7, B.8); media go into it where the model takes them there."""
        content = message.content
        if content is None or isinstance(content, str):
            return FunctionResponse(call.name, response_of(content or ""), call.id)
        texts: list[str] = []
        inside: list[FunctionResponsePart] = []
        outside: list[Part] = []
        for j, part in enumerate(content):
            text = parts.text_of(part, f"{at}.content[{j}]")
            if text is not None:
                texts.append(text)
                continue
            media = self._part(part, f"{at}.content[{j}]")
            if self._fits(media):
                inside.append(FunctionResponsePart(media.inline_data, media.file_data))
            else:
                outside.append(media)
        text = "".join(texts)
        if outside:
            beside += [Part(text=f"Attachment of tool result {call.name}:"), *outside]
        if not text and (inside or outside):
            text = "See the attached file(s)."
        return FunctionResponse(call.name, response_of(text), call.id, inside or None)

    def _fits(self, media: Part) -> bool:
        if not self._context.abilities.response_media:
            return False
        found = media.inline_data or media.file_data
        return found is not None and (found.mime_type or "image/png") in _RESPONSE_MEDIA


_RESOLUTIONS = (
    "MEDIA_RESOLUTION_LOW",
    "MEDIA_RESOLUTION_MEDIUM",
    "MEDIA_RESOLUTION_HIGH",
    "MEDIA_RESOLUTION_ULTRA_HIGH",
)


def response_of(text: str) -> Raw:
    """A tool's text as the object Gemini wants: an object as it is, anything else under `output` (B.7)."""
    value = _decoded(text)
    if isinstance(value, dict):
        return signatures.as_raw(text)
    if value is _NOT_JSON:
        return Raw(b'{"output":' + msgspec.json.encode(text) + b"}")
    return Raw(b'{"output":' + text.encode() + b"}")


_NOT_JSON = object()


def _decoded(text: str) -> object:
    """The value of a JSON text, or _NOT_JSON; also for what Google's parser would not take."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return _NOT_JSON
    brackets = text.count("[") + text.count("{")
    return _NOT_JSON if brackets > _DEEPEST and _too_deep(value) else value


def _too_deep(value: object) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def _text_parts(message: openai.Message, at: str) -> list[Part]:
    """Of a message that holds text only, and nothing of an empty one."""
    content = message.content
    if content is None or isinstance(content, str):
        return [Part(text=content)] if content else []
    found = []
    for j, part in enumerate(content):
        text = parts.text_of(part, f"{at}.content[{j}]")
        if text is None:
            raise BadRequest(f"a {message.role} message holds text only", param=f"{at}.content[{j}].type")
        found.append(Part(text=text))
    return [part for part in found if part.text]


def _answer_texts(message: openai.Message, at: str) -> list[Part]:
    content = message.content
    if content is None or (content == "" and message.tool_calls):
        return [Part(text=message.refusal)] if message.refusal else []
    if isinstance(content, str):
        return [Part(text=content)]
    found = []
    for j, part in enumerate(content):
        text = parts.text_of(part, f"{at}.content[{j}]")
        if text is None and part.type not in _THOUGHTS:
            raise BadRequest(
                f"unknown content part type {part.type[:40]!r} in an assistant message",
                param=f"{at}.content[{j}].type",
            )
        if text is not None:
            found.append(Part(text=text))
    return found


_THOUGHTS = ("thinking", "redacted_thinking", "reasoning")
