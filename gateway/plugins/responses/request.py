"""Responses, the request: walk OpenAI's items and tell the conversation builder what they say."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec
from msgspec import Raw

from gateway.conversation import parts
from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.foreign import turns as foreign
from gateway.conversation.foreign.originals import NO_FIELDS, Originals, converted, value_of
from gateway.conversation.foreign.tools import read_choice, read_tool
from gateway.conversation.generation import OutputFormat, Sampling
from gateway.conversation.google_options import google_options
from gateway.conversation.invalid import UnknownShape, mismatch, missing, unsupported_value
from gateway.conversation.tools import Choice
from gateway.errors import UnsupportedParameter
from gateway.gemini.thought_signatures import split_id
from gateway.gemini.wire import Part
from gateway.plugins.responses import hosted_tools
from gateway.plugins.responses.client_calls import (
    KNOWN_CALLS,
    KNOWN_OUTPUTS,
    arguments_text,
    known_arguments,
    known_output,
)
from gateway.plugins.responses.client_tools import CLIENT_RUN, KNOWN, ClientTools, is_hosted_search
from gateway.plugins.responses.content import DIALECT, HISTORY, STORED, below, output_parts, parts_of, texts
from gateway.plugins.responses.hosted_history import hosted_parts
from gateway.plugins.responses.hosted_items import PREFIXES
from gateway.plugins.responses.references import References
from gateway.plugins.responses.signatures import unseal
from gateway.plugins.responses.wire import (
    STAND_IN,
    Item,
    Reasoning,
    ResponseRequest,
    ResponseTool,
    ResponseToolChoice,
    TextFormat,
    TextOptions,
    WebSearchOptions,
    is_reference,
)

LOGPROBS = "message.output_text.logprobs"
"""The value of `include` that asks for log-probabilities."""
_ITEMS = ("message", "agent_message", "reasoning", "function_call", "function_call_output", "custom_tool_call",
          "custom_tool_call_output", *KNOWN_CALLS, *KNOWN_OUTPUTS)  # fmt: skip
_ROLES = ("user", "assistant", "system", "developer")
_CHOICES = {
    "auto": "auto", "none": "none", "required": "required", "any": "required", "validated": "validated",
}  # fmt: skip
_NAMED = ("function", "custom", "namespace")
"""Types of tools that a choice names."""
_CHOSEN = (*_NAMED, *KNOWN)
_GROUPED = ("namespace", *KNOWN)
"""Types of tools that only this API has."""
_OPENAI_RUN = frozenset(
    ("web_search_call", "file_search_call", "code_interpreter_call", "computer_call", "computer_call_output",
     "mcp_call", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response", "compaction",
     "compaction_trigger", "configuration_update", "program", "program_output")
)  # fmt: skip
"""Items of what OpenAI does. They are no mistake of the client's, so strict mode only notes them."""
_HOSTED = frozenset(("file_search", "mcp", "image_generation", "computer", "computer_use_preview"))
"""Tools that OpenAI runs and Gemini does not have."""
_INSTEAD = {
    "conversation": "Send the items of the conversation, or 'previous_response_id'.",
    "prompt": "Send the text of the prompt as 'instructions' or 'input'.",
}
"""Alternatives to objects that OpenAI stores."""
_FORMATS = ("text", "json_object", "json_schema")


def conversation(
    body: ResponseRequest,
    history: Sequence[Any],
    fields: Mapping[str, Raw] = NO_FIELDS,
    *,
    strict: bool,
    referenced: Mapping[str, Any] | None = None,
) -> ConversationBuilder:
    """Return what a request says; `history` are the items of the response before it, as they are stored.

    `fields` are the body's, for what has another dialect's shape.
    `referenced` has the items that the request refers to, by id, as they are stored.
    Without it ItemsReferenced is raised if there are any. Raises BadRequest with the path of what cannot be understood.
    """
    for field, value in (("conversation", body.conversation), ("prompt", body.prompt)):
        if value is not None:
            raise UnsupportedParameter(f"Unsupported parameter: '{field}'. {_INSTEAD[field]}", param=field)
    builder = ConversationBuilder("input", strict=strict)
    tools = ClientTools(builder)
    originals = Originals(fields.get("tools"))
    for i, tool in enumerate(body.tools or ()):
        try:
            _tool(builder, tools, tool, f"tools[{i}]")
        except UnknownShape as error:
            if tool.type in _GROUPED:
                raise
            read_tool(builder, originals[i], f"tools[{i}]", foreign.bracketed, error)
    foreign.instructions(builder, fields, DIALECT, "instructions")
    _say(builder, _ItemReader(builder, tools, References(referenced)), body, history, fields)
    _choose_tools(builder, tools, body, fields)
    _sample(builder, body)
    if body.reasoning is not None:
        _think(builder, body.reasoning)
    if body.text is not None:
        _text_options(builder, body.text)
    hosted_tools.note_included(builder, body.include)
    if body.stream_options and body.stream_options.get("include_obfuscation"):
        builder.notes.add("stream_options.include_obfuscation")
    builder.service_tier = body.service_tier
    builder.options(
        google_options(body.google, body.extra_body.google if body.extra_body is not None else None)
    )
    return builder


def _say(
    builder: ConversationBuilder,
    reader: "_ItemReader",
    body: ResponseRequest,
    history: Sequence[Any],
    fields: Mapping[str, Raw],
) -> None:
    if isinstance(body.instructions, str):
        builder.system(body.instructions, "instructions")
    else:
        reader.read(body.instructions or (), "instructions", fields.get("instructions"))
    if history:
        reader.read(converted(history, Item, STAND_IN), HISTORY, history)
    if isinstance(body.input, str):
        builder.turn("user", body.input, "input")
    else:
        reader.read(body.input or (), "input", fields.get("input"))
    if body.input is None and ("messages" in fields or not builder.items):
        foreign.turns_elsewhere(builder, fields, ("messages", "contents"), DIALECT)
    reader.references.check()
    if not builder.items:
        raise missing("input")


class _ItemReader:
    """Reads items one after another. A reasoning item's signature belongs to the call or message that follows."""

    def __init__(self, builder: ConversationBuilder, tools: ClientTools, references: References) -> None:
        self._builder = builder
        self._tools = tools
        self.references = references
        self._signature: str | None = None
        self._shell_calls: dict[str, str] = {}
        """Ids of `local_shell_call` items to the ids of their calls."""

    def read(self, items: Sequence[Item], at: str, originals: Raw | Sequence[Any] | None = None) -> None:
        """Read a list of items; `at` is its path, `originals` are the items in JSON. Raises BadRequest."""
        others = foreign.ForeignTurns(self._builder, originals, STORED if at == HISTORY else DIALECT)
        for i, item in enumerate(items):
            inside = below(at, f"[{i}]")
            try:
                self._item(item, inside)
            except UnknownShape as error:
                others.instead(i, inside, error, self.references.value(item))

    def _item(self, item: Item, at: str) -> None:
        kind = item.type
        if kind is None:
            kind = "item_reference" if item.id and is_reference(None, item.role, item.content) else "message"
        match kind:
            case "message":
                self._message(item, at)
            case "agent_message":  # from another of the client's agents, as Codex passes its answer on
                self._builder.turn("user", _said(item, at), at)
            case "function_call" | "custom_tool_call":
                self._call(item, at)
            case "function_call_output" | "custom_tool_call_output":
                name = self._tools.key(item.name, item.namespace) if item.name and not item.call_id else ""
                output = output_parts(item.output, below(at, ".output"))
                self._builder.result(item.call_id, output, at, name=name)
            case kind if kind in KNOWN_CALLS:
                self._known_call(item, KNOWN_CALLS[kind], at)
            case kind if kind in KNOWN_OUTPUTS:
                text, failed = known_output(item)
                call_id = item.call_id or self._shell_calls.get(item.id or "", item.id)
                self._builder.result(call_id, text, at, error=failed)
            case "additional_tools":
                self._declare(item.tools, below(at, ".tools"))
            case "tool_search_output":
                names = self._declare(item.tools, below(at, ".tools"))
                key = self._tools.known_key("tool_search")
                self._builder.result(item.call_id, arguments_text({"tools": names}), at, name=key)
            case "reasoning":
                self._signature = unseal(item.encrypted_content or "") or self._signature
            case "image_generation_call":
                self._image(item, at)
            case "item_reference":
                stored = self.references.item(item.id or "", below(at, ".id"))
                if stored is not None:
                    self._item(stored, at)
            case kind if kind in PREFIXES and self._hosted(item, at):
                return
            case kind if kind in _OPENAI_RUN and self._builder.notes.strict:
                self._builder.notes.add_type(at, kind)
            case kind:
                raise unsupported_value(kind, _ITEMS, below(at, ".type"))

    def _message(self, item: Item, at: str) -> None:
        inside = below(at, ".content")
        match item.role:
            case "user":
                self._builder.turn("user", _said(item, at), at)
            case "assistant":
                self._builder.turn("model", self._signed(texts(item, inside)), at)
            case "system" | "developer":
                self._builder.system(texts(item, inside), at)
            case None | "":
                raise missing(below(at, ".role"))
            case role:
                raise unsupported_value(role, _ROLES, below(at, ".role"))

    def _hosted(self, item: Item, at: str) -> bool:
        """Say what a tool did that Google ran. Return False for an item of another's tool."""
        said = hosted_parts(self._builder, item, self._signature, at)
        if said is None:
            return False
        self._signature = None
        self._builder.turn("model", said, at)
        return True

    def _signed(self, texts: list[Part]) -> list[Part]:
        """Return an earlier answer with the signature of its last text."""
        signature = self._take_signature()
        if signature is None or not texts:
            return texts
        return [*texts[:-1], Part(text=texts[-1].text, thought_signature=signature)]

    def _call(self, item: Item, at: str) -> None:
        if not item.name:
            raise missing(below(at, ".name"))
        if item.type == "custom_tool_call":
            arguments = msgspec.json.encode(
                {"input": item.input or ""}
            ).decode()  # the function it is upstream
            arguments_at = below(at, ".input")
        else:
            arguments, arguments_at = arguments_text(item.arguments), below(at, ".arguments")
        signature = self._take_signature() or split_id(item.call_id or "")[1]
        name = self._tools.key(item.name, item.namespace)
        self._builder.call(item.call_id, name, arguments, signature, at, arguments_at)

    def _known_call(self, item: Item, tool: str, at: str) -> None:
        """Say a call of one of the tools that OpenAI's models know."""
        call_id = item.call_id or item.id
        if tool == "local_shell" and item.id and call_id:
            self._shell_calls[item.id] = call_id
        signature = self._take_signature() or split_id(call_id or "")[1]
        self._builder.call(call_id, self._tools.known_key(tool), known_arguments(item), signature, at, at)

    def _declare(self, tools: object, at: str) -> list[str]:
        """Declare the tools of an item, and return their names for Gemini. A tool of another shape is noted."""
        names: list[str] = []
        for i, value in enumerate(tools if isinstance(tools, list) else ()):
            inside = below(at, f"[{i}]")
            before = len(self._builder.tools.functions)
            try:
                names += _tool(self._builder, self._tools, msgspec.convert(value, ResponseTool), inside)
            except msgspec.ValidationError as error:
                self._declare_foreign(value, inside, mismatch(error, inside))
            except UnknownShape as error:
                self._declare_foreign(value, inside, error)
            else:
                continue
            functions = self._builder.tools.functions
            added = [*islice(reversed(functions.values()), len(functions) - before)]
            names += [tool.sent for tool in reversed(added)]
        return names

    def _declare_foreign(self, value: object, at: str, error: UnknownShape) -> None:
        """Declare a tool of another dialect. What is no tool is noted, or refused in strict mode."""
        try:
            read_tool(self._builder, value, at, foreign.bracketed, error)
        except UnknownShape:
            self._builder.notes.drop(at, "Expected a tool, as in 'tools'.")

    def _image(self, item: Item, at: str) -> None:
        """Say an image of an earlier answer, if the client kept its bytes."""
        url = f"data:image/png;base64,{item.result}" if item.result else ""
        image = parts.earlier_image(url, below(at, ".result"))
        self._builder.turn("model", [Part(text=""), *([image] if image is not None else [])], at)

    def _take_signature(self) -> str | None:
        signature, self._signature = self._signature, None
        return signature


def _said(item: Item, at: str) -> str | list[parts.AnyPart]:
    """Return the content of a message from a user or another agent."""
    content = item.content
    return parts_of(content, below(at, ".content")) if isinstance(content, list) else content or ""


def _choose_tools(
    builder: ConversationBuilder, tools: ClientTools, body: ResponseRequest, fields: Mapping[str, Raw]
) -> None:
    usable = bool(builder.declared)
    if body.web_search_options is not None:
        _search(builder, body.web_search_options)
    if body.parallel_tool_calls is False:
        builder.tools.single = True
    if body.tool_choice is not None and (usable or body.tool_choice == "required"):
        try:
            _choose(builder, tools, body.tool_choice)
        except UnknownShape as error:
            read_choice(builder, value_of(fields.get("tool_choice"), "tool_choice"), "tool_choice", error)


def _tool(
    builder: ConversationBuilder,
    tools: ClientTools,
    tool: ResponseTool,
    at: str,
    namespace: ResponseTool | None = None,
) -> list[str]:
    """Declare a tool, and return the functions that it becomes. A hosted tool that Gemini does not have is noted."""
    match tool.type:
        case "tool_search" if is_hosted_search(tool):  # all tools are declared at once
            builder.notes.add_type(at, tool.type)
        case kind if kind in CLIENT_RUN:
            return [tools.declare(tool, at, below(at, ".parameters"), namespace)]
        case "namespace":  # Codex groups the tools of one MCP server
            names: list[str] = []
            for i, inner in enumerate(tool.tools or ()):
                names += _tool(builder, tools, inner, below(at, f".tools[{i}]"), tool)
            return names
        case "code_interpreter":
            hosted_tools.code_interpreter(builder, tool, at)
        case kind if hosted_tools.is_web_search(kind):
            hosted_tools.web_search(builder, tool, at)
        case kind if kind in _HOSTED or namespace is not None:
            builder.notes.add_type(at, kind)
        case kind:
            raise unsupported_value(
                kind, (*sorted(CLIENT_RUN), "web_search", "code_interpreter"), f"{at}.type"
            )
    return []


def _search(builder: ConversationBuilder, options: WebSearchOptions) -> None:
    builder.tools.built_in("google_search", {}, "web_search_options")
    if options.search_context_size:
        builder.notes.add("web_search_options.search_context_size")
    place = options.user_location.approximate if options.user_location is not None else None
    if place is not None:
        where = (place.city, place.region, place.country)
        builder.locate("web_search_options.user_location", where, place.timezone)


def _choose(builder: ConversationBuilder, tools: ClientTools, wanted: str | ResponseToolChoice) -> None:
    at = "tool_choice"
    if not isinstance(wanted, str) and wanted.type in _CHOICES:
        wanted = wanted.type or ""
    if isinstance(wanted, str):
        mode = _CHOICES.get(wanted)
        if mode is None:
            raise unsupported_value(wanted, ("none", "auto", "required"), at)
        builder.choose(Choice(mode, at))  # type: ignore[arg-type]  # one of the modes, by the table
    elif wanted.type == "allowed_tools":
        _allow(builder, tools, wanted)
    elif wanted.type not in _CHOSEN:  # a hosted tool, which cannot be forced, or another dialect's choice
        raise unsupported_value(wanted.type or "", _CHOSEN, f"{at}.type")
    elif not wanted.name and wanted.type in _NAMED:
        raise missing(f"{at}.name")
    else:
        names = tools.chosen(wanted.type, wanted.name or "", wanted.namespace)
        builder.choose(Choice("required", at, names))


def _allow(builder: ConversationBuilder, tools: ClientTools, wanted: ResponseToolChoice) -> None:
    mode = wanted.mode or "auto"
    if mode not in ("auto", "required"):
        raise unsupported_value(mode, ("auto", "required"), "tool_choice.mode")
    if not wanted.tools:
        raise missing("tool_choice.tools")
    names: list[str] = []
    for i, tool in enumerate(wanted.tools):
        at = f"tool_choice.tools[{i}]"
        if tool.type is not None and tool.type not in _CHOSEN:
            builder.notes.add_type(at, tool.type)  # a hosted tool may be used whenever it is declared
        elif not tool.name and (tool.type is None or tool.type in _NAMED):
            raise missing(f"{at}.name")
        else:
            names += tools.chosen(tool.type, tool.name or "", tool.namespace)
    allowed = "none" if not names else "allowed" if mode == "auto" else "required"
    builder.choose(Choice(allowed, "tool_choice", tuple(dict.fromkeys(names)) or None))  # type: ignore[arg-type]  # as above


def _sample(builder: ConversationBuilder, body: ResponseRequest) -> None:
    included = LOGPROBS in (body.include or ())
    builder.sample(
        Sampling(
            temperature=body.temperature,
            top_p=body.top_p,
            max_output_tokens=body.max_output_tokens,
            response_logprobs=included or bool(body.top_logprobs),
            logprobs=body.top_logprobs,
        ),
        {"response_logprobs": "include" if included else "top_logprobs"},
    )


def _think(builder: ConversationBuilder, wanted: Reasoning) -> None:
    """Take the effort. Thoughts are shown only when a summary is asked for, as OpenAI does."""
    summary = wanted.summary or wanted.generate_summary
    if wanted.effort is not None:
        builder.think("reasoning.effort", effort=wanted.effort, show=None if summary else False)
    elif summary:
        builder.think("reasoning.summary" if wanted.summary else "reasoning.generate_summary", show=True)


def _text_options(builder: ConversationBuilder, wanted: TextOptions) -> None:
    if wanted.format is not None:
        _format(builder, wanted.format)
    if wanted.verbosity not in (None, "medium"):
        builder.notes.add("text.verbosity")


def _format(builder: ConversationBuilder, wanted: TextFormat) -> None:
    match wanted.type:
        case "text":
            return
        case "json_object":
            builder.format(OutputFormat("text.format"))
        case "json_schema":
            builder.format(
                OutputFormat("text.format", wanted.schema, wanted.description, "text.format.schema")
            )
        case other:
            raise unsupported_value(other, _FORMATS, "text.format.type")
