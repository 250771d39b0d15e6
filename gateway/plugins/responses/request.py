"""Responses, the request: items to the messages of a chat (translation.md H.1).

The two APIs of OpenAI say the same in other words, and history repair, tools and schemas are the same work for
both; so a response is asked for as a chat, with every signature in its place, and only its answer is told apart.
"""

import base64
import binascii
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from gateway.conversation.field_policy import Policy, printable
from gateway.errors import BadRequest, UnsupportedParameter
from gateway.plugins.chat import wire as chat
from gateway.plugins.responses.wire import Item, ItemPart, ResponseRequest, ResponseTool, ResponseToolChoice

_SEAL = "gsig1:"
_SEARCH = ("web_search", "web_search_preview")
_HOSTED = {"code_interpreter": "code_interpreter", **dict.fromkeys(_SEARCH, "web_search")}
_NEUTRAL: tuple[object, ...] = (None, False, [], {}, "")

RESPONSES: dict[str, Policy] = {
    "model": Policy("mapped", "URL path, as in chat"),
    "input": Policy(
        "mapped", "`contents`: messages, calls, outputs, reasoning; hosted tools' items are left out"
    ),
    "instructions": Policy("mapped", "`systemInstruction`"),
    "stream": Policy("mapped", "every event, with `sequence_number`"),
    "stream_options": Policy("mapped", "obfuscation is optional and left out"),
    "max_output_tokens": Policy("clamped", "`maxOutputTokens`"),
    "temperature": Policy("clamped", "as in chat"),
    "top_p": Policy("mapped", "`topP`"),
    "top_logprobs": Policy("mapped", "where the model gives them"),
    "reasoning": Policy("clamped", "`effort` as in chat; a `summary` asks for thought summaries"),
    "text": Policy("mapped", "`format` as in chat; the verbosity has no counterpart"),
    "tools": Policy("mapped", "functions, custom tools, web search, code interpreter; others are a note"),
    "tool_choice": Policy("mapped", "as in chat; hosted tools cannot be forced"),
    "parallel_tool_calls": Policy("emulated", "false keeps the first call of an answer"),
    "include": Policy("mapped", "`reasoning.encrypted_content`, `message.output_text.logprobs`"),
    "previous_response_id": Policy("emulated", "from the gateway's own store"),
    "store": Policy("emulated", "kept in the gateway's store, as long as `state.responses` says"),
    "service_tier": Policy("mapped", "as in chat"),
    "metadata": Policy("emulated", "given back in the response"),
    "google": Policy("mapped", "as in chat"),
    "extra_body": Policy("mapped", "as in chat"),
    "web_search_options": Policy("mapped", "as in chat"),
    "background": Policy(
        "emulated", "made while nobody waits; read it by its id, or its events by `starting_after`"
    ),
    "conversation": Policy("dropped", "send the items, or previous_response_id"),
    "prompt": Policy("dropped", "prompt templates live with OpenAI"),
    "truncation": Policy("ignored", "Gemini truncates nothing", (*_NEUTRAL, "disabled")),
    "max_tool_calls": Policy("ignored", "no counterpart"),
    "context_management": Policy("ignored", "no counterpart"),
    "user": Policy("ignored", "Gemini has no end-user id"),
    "safety_identifier": Policy("ignored", "Gemini has no end-user id"),
    "prompt_cache_key": Policy(
        "mapped", "keeps calls on one project of the pool, where Gemini's implicit cache is"
    ),
    "prompt_cache_retention": Policy("ignored", "Gemini caches implicitly"),
    "prompt_cache_options": Policy("ignored", "Gemini caches implicitly"),
    "client_metadata": Policy("ignored", "nothing is stored"),
}
"""`POST /v1/responses`."""


class Asked(Struct, frozen=True):
    """The chat that means the same; where each of its messages came from; what has no meaning here."""

    body: chat.ChatRequest
    origins: list[str]
    notes: list[str]


def to_chat(body: ResponseRequest, history: Sequence[Item]) -> Asked:
    """A Responses body, after the items of the response before it. Raises BadRequest with the field's path."""
    for field, value in (("conversation", body.conversation), ("prompt", body.prompt)):
        if value is not None:
            raise UnsupportedParameter(RESPONSES[field].how, param=field)
    writer = _Messages()
    writer.instructions(body.instructions)
    writer.items(history, "previous_response_id")
    if isinstance(body.input, str):
        writer.add(chat.Message("user", body.input), "input")
    else:
        writer.items(body.input or (), "input")
    if not writer.messages:
        raise BadRequest("`input` is required", param="input", code="missing_required_parameter")
    tools = _Tools(body.tools or [])
    asked = chat.ChatRequest(
        writer.messages,
        body.model,
        body.stream,
        temperature=body.temperature,
        top_p=body.top_p,
        max_completion_tokens=body.max_output_tokens,
        logprobs=True
        if body.top_logprobs or "message.output_text.logprobs" in (body.include or ())
        else None,
        top_logprobs=body.top_logprobs,
        response_format=_format(body),
        tools=tools.found or None,
        tool_choice=tools.choice(body.tool_choice),
        parallel_tool_calls=body.parallel_tool_calls,
        reasoning=_reasoning(body),
        service_tier=body.service_tier,
        prompt_cache_key=body.prompt_cache_key,
        google=body.google,
        extra_body=body.extra_body,
        web_search_options=body.web_search_options,
    )
    return Asked(asked, writer.origins, [*writer.notes, *tools.notes])


def seal(signature: str, call_id: str) -> str:
    """A signature as `encrypted_content`: opaque to the client, and told from OpenAI's own."""
    told = msgspec.json.encode({"sig": signature, "call_id": call_id})
    return _SEAL + base64.b64encode(told).decode()


def unseal(content: str) -> str | None:
    """The signature of an `encrypted_content` that is ours."""
    if not content.startswith(_SEAL):
        return None
    try:
        found = msgspec.json.decode(base64.b64decode(content.removeprefix(_SEAL), validate=True))
    except (binascii.Error, msgspec.DecodeError, ValueError):
        return None
    signature = found.get("sig") if isinstance(found, dict) else None
    return signature if isinstance(signature, str) else None


class _Messages:
    """Items, one after another, as messages; calls in a row are one message."""

    def __init__(self) -> None:
        self.messages: list[chat.Message] = []
        self.origins: list[str] = []
        self.notes: list[str] = []
        self._signature: str | None = None
        self._calling = False

    def add(self, message: chat.Message, at: str) -> None:
        self._calling = False
        self.messages.append(message)
        self.origins.append(at)

    def instructions(self, given: str | list[Item] | None) -> None:
        if isinstance(given, str):
            self.add(chat.Message("system", given), "instructions")
        else:
            self.items(given or (), "instructions")

    def items(self, items: Sequence[Item], at: str) -> None:
        for i, item in enumerate(items):
            self._item(item, f"{at}[{i}]")

    def _item(self, item: Item, at: str) -> None:
        match item.type or "message":
            case "message":
                self._message(item, at)
            case "function_call" | "custom_tool_call":
                self._call(item, at)
            case "function_call_output" | "custom_tool_call_output":
                output = _content(item.output, f"{at}.output")
                self.add(chat.Message("tool", output, tool_call_id=item.call_id), at)
            case "reasoning":
                self._signature = unseal(item.encrypted_content or "") or self._signature
            case "image_generation_call":
                url = chat.ImageURL(f"data:image/png;base64,{item.result or ''}")
                self.add(
                    chat.Message("assistant", "", images=[chat.ImageIn(url)] if item.result else None), at
                )
            case "item_reference":
                raise BadRequest("items are not kept by their id: send the item itself", param=f"{at}.id")
            case other:
                self.notes.append(f"input.{printable(other)}")

    def _message(self, item: Item, at: str) -> None:
        if not item.role:
            raise BadRequest("a message needs a role", param=f"{at}.role", code="missing_required_parameter")
        message = chat.Message(item.role, _content(item.content, f"{at}.content"))
        if item.role == "assistant" and self._signature:
            message.extra_content = _extra(self._signature)
            self._signature = None
        self.add(message, at)

    def _call(self, item: Item, at: str) -> None:
        if not item.name:
            raise BadRequest("a call needs the name of its function", param=f"{at}.name")
        call = chat.CallIn(item.call_id)
        if item.type == "custom_tool_call":
            call.custom = chat.CalledCustom(item.name, item.input or "")
        else:
            call.function = chat.CalledFunction(item.name, item.arguments)
        if self._signature:
            call.extra_content = _extra(self._signature)
            self._signature = None
        if self._calling:
            last = self.messages[-1]
            last.tool_calls = [*(last.tool_calls or ()), call]
        else:
            self.add(chat.Message("assistant", None, tool_calls=[call]), at)
            self._calling = True


def _extra(signature: str) -> chat.ExtraIn:
    return chat.ExtraIn(chat.GoogleExtra(signature))


def _content(given: object, at: str) -> str | list[chat.ContentPart]:
    """A content or an output: a text, parts, or an object that a client put there."""
    if given is None:
        return ""
    if isinstance(given, str):
        return given
    if isinstance(given, dict):
        return msgspec.json.encode(given).decode()
    return [_part(part, f"{at}[{i}]") for i, part in enumerate(given)] if isinstance(given, list) else ""


def _part(part: ItemPart, at: str) -> chat.ContentPart:
    match part.type:
        case "input_image":
            if part.image_url is None:
                return chat.ContentPart("file", file=chat.FileInput(file_id=part.file_id))
            return chat.ContentPart("image_url", image_url=chat.ImageURL(part.image_url, part.detail))
        case "input_file":
            file = chat.FileInput(part.file_data or part.file_url, part.file_id, part.filename)
            return chat.ContentPart("file", file=file)
        case "input_audio":
            return chat.ContentPart("input_audio", input_audio=part.input_audio)
        case "refusal":
            return chat.ContentPart("refusal", refusal=part.refusal)
        case "input_text" | "output_text" | "text" | "summary_text":
            return chat.ContentPart("text", text=part.text)
        case other:
            raise BadRequest(f"unknown content type {other[:40]!r}", param=f"{at}.type")


def _format(body: ResponseRequest) -> chat.ResponseFormat | None:
    wanted = body.text.format if body.text is not None else None
    if wanted is None or wanted.type == "text":
        return None
    described = chat.JsonSchemaFormat(wanted.name, wanted.description, wanted.schema, wanted.strict)
    return chat.ResponseFormat(wanted.type, described if wanted.type == "json_schema" else None)


def _reasoning(body: ResponseRequest) -> chat.OpenRouterReasoning | None:
    """The effort; thoughts are shown when a summary is asked for."""
    wanted = body.reasoning
    if wanted is None:
        return None
    summary = wanted.summary or wanted.generate_summary
    if wanted.effort is None and summary is None:
        return None
    return chat.OpenRouterReasoning(wanted.effort, exclude=summary is None, enabled=True)


class _Tools:
    """Flat tools as chat's; the types that cannot be run are notes (wire.md, surprise 4)."""

    def __init__(self, given: list[ResponseTool]) -> None:
        self.found: list[chat.Tool] = []
        self.notes: list[str] = []
        for i, tool in enumerate(given):
            self._add(tool, f"tools[{i}]")

    def _add(self, tool: ResponseTool, at: str) -> None:
        if tool.type in ("function", "custom"):
            if not tool.name:
                raise BadRequest("a tool needs a name", param=f"{at}.name", code="missing_required_parameter")
            self._named(tool, tool.name)
        elif tool.type == "namespace":
            for i, inner in enumerate(tool.tools or ()):
                self._add(inner, f"{at}.tools[{i}]")
        elif tool.type in _HOSTED or tool.type.startswith("web_search"):
            self.found.append(chat.Tool(_HOSTED.get(tool.type, "web_search")))
        else:
            self.notes.append(f"tools.{printable(tool.type)}")

    def _named(self, tool: ResponseTool, name: str) -> None:
        if tool.type == "custom":
            self.found.append(
                chat.Tool("custom", custom=chat.CustomDefinition(name, tool.description, tool.format))
            )
            return
        function = chat.FunctionDefinition(name, tool.description, tool.parameters, tool.strict)
        self.found.append(chat.Tool("function", function))

    def choice(self, wanted: str | ResponseToolChoice | None) -> str | chat.ToolChoice | None:
        """Nothing to choose among is nothing chosen."""
        if not self.found:
            return None if wanted != "required" else "required"
        if wanted is None or isinstance(wanted, str):
            return wanted
        if wanted.type == "allowed_tools":
            allowed = [chat.NamedTool(tool.type, tool.name) for tool in wanted.tools or ()]
            return chat.ToolChoice(
                "allowed_tools", allowed_tools=chat.AllowedTools(allowed, wanted.mode or "auto")
            )
        if wanted.type in ("function", "custom"):
            return chat.ToolChoice(wanted.type, wanted.name)
        self.notes.append("tool_choice")
        return None
