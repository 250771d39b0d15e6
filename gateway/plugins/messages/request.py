"""Messages, the request: walk Anthropic's blocks and record them with the conversation builder.

Every path is in Anthropic's spelling: `messages.0.content.1.source.data`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, structs

from gateway.conversation import media_types, parts
from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.foreign import turns as foreign
from gateway.conversation.foreign.originals import NO_FIELDS, Originals, value_of
from gateway.conversation.foreign.tools import read_choice, read_tool
from gateway.conversation.foreign.turns import ForeignTurns, UnknownBlock
from gateway.conversation.generation import OutputFormat, Sampling
from gateway.conversation.google_options import google_options
from gateway.conversation.invalid import UnknownShape, mismatch, missing, unsupported_value
from gateway.conversation.parts import AnyPart
from gateway.conversation.tools import Choice, ChoiceMode
from gateway.errors import BadRequest
from gateway.gemini.thought_signatures import split_id
from gateway.gemini.wire import Part
from gateway.plugins.messages.server_history import RESULT, USE, SignedBlock, server_parts
from gateway.plugins.messages.wire import (
    Block,
    BlockSource,
    Json,
    Message,
    MessagesRequest,
    OutputConfig,
    Thinking,
    Tool,
    ToolChoice,
)

_ROLES = ("user", "assistant")
_BLOCK_TYPES = ("text", "image", "document", "tool_result")
_ANSWER_TYPES = ("text", "tool_use", "thinking", "redacted_thinking", "server_tool_use")
_OWN = ("tool_use", "tool_result")
_RESULT_BLOCK_TYPES = ("text", "image", "document")
_SOURCE_TYPES = ("base64", "url", "file", "text", "content")
_THOUGHTS = ("thinking", "redacted_thinking")
_HOSTED = {"web_search": "google_search", "code_execution": "code_execution", "web_fetch": "url_context"}
"""Prefixes of Anthropic's dated tool types, and the field of Gemini's `Tool` for each."""
_HOSTED_OPTIONS = ("allowed_domains", "blocked_domains")
"""Options of hosted tools that would change the answer."""
_WITHOUT_EFFECT: Mapping[str, tuple[object, ...]] = {
    "max_uses": (), "max_content_tokens": (), "allowed_callers": (["direct"], []),
    "citations": ({"enabled": False}, {}), "defer_loading": (False,),
    "response_inclusion": ("full",), "url_sources": (), "use_cache": (True,),
}  # fmt: skip
"""Options of tools that Gemini does not have, with the values that ask for nothing. They would not change what is said:
Gemini decides by itself how often it searches, and knows all tools from the beginning."""
_CLIENT_SIDE: Mapping[str, Json] = {
    "bash": {"type": "object", "properties": {"command": {"type": "string"}, "restart": {"type": "boolean"}}},
    "text_editor": {
        "type": "object",
        "properties": {
            "command": {"type": "string", "enum": ["view", "create", "str_replace", "insert"]},
            "path": {"type": "string"}, "file_text": {"type": "string"}, "old_str": {"type": "string"},
            "new_str": {"type": "string"}, "insert_line": {"type": "integer"}, "insert_text": {"type": "string"},
            "view_range": {"type": "array", "items": {"type": "integer"}},
        },
        "required": ["command", "path"],
    },
}  # fmt: skip
"""Tools that the client runs and Anthropic's API gets without a schema: it is part of their models
(https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/text-editor-tool)."""
_ANTHROPICS = ("computer", "memory", "browser", "tool_search", "mcp_toolset", "advisor")
"""Beginnings of the types of Anthropic's own tools that Gemini does not have."""
_CHOICES: Mapping[str, ChoiceMode] = {
    "auto": "auto", "any": "required", "none": "none", "validated": "validated",
}  # fmt: skip
_NAMES: Mapping[str, str] = {"max_output_tokens": "max_tokens", "stop_sequences": "stop_sequences"}


def conversation(
    body: MessagesRequest, fields: Mapping[str, Raw] = NO_FIELDS, *, strict: bool, counting: bool = False
) -> ConversationBuilder:
    """Return what a Messages request says. Raises BadRequest with Anthropic's path of what cannot be understood.

    `fields` are the body's, for what has another dialect's shape. `max_tokens` is required, except for `counting`
    tokens.
    """
    builder = ConversationBuilder("messages", strict=strict)
    limit = body.max_tokens or foreign.token_limit(builder, fields)
    if limit is None and not counting:
        raise missing("max_tokens")
    _say(builder, body, fields)
    originals = Originals(fields.get("tools"))
    for i, tool in enumerate(body.tools or ()):
        try:
            _tool(builder, tool, f"tools.{i}")
        except UnknownShape as error:
            read_tool(builder, originals[i], f"tools.{i}", foreign.dotted, error)
    if body.tool_choice is not None:
        try:
            _choose(builder, body.tool_choice, body.tools or ())
        except UnknownShape as error:
            read_choice(builder, value_of(fields.get("tool_choice"), "tool_choice"), "tool_choice", error)
    builder.sample(
        Sampling(
            temperature=body.temperature,
            top_p=body.top_p,
            top_k=body.top_k,
            max_output_tokens=limit,
            stop_sequences=body.stop_sequences or (),
        ),
        _NAMES,
    )
    _think(builder, body.thinking, body.output_config)
    _format(builder, body)
    builder.options(google_options(body.google, body.extra_body.google if body.extra_body else None))
    return builder


def _say(builder: ConversationBuilder, body: MessagesRequest, fields: Mapping[str, Raw]) -> None:
    """Record the instruction and the messages. What has another dialect's shape is read as `foreign` does."""
    others = ForeignTurns(builder, fields.get("messages"), DIALECT)
    if body.system:
        try:
            builder.system(_instruction(body.system, "system"), "system")
        except UnknownShape as error:
            others.instruction(value_of(fields.get("system"), "system"), "system", error)
    foreign.instructions(builder, fields, DIALECT, "system")
    if body.messages is None:
        foreign.turns_elsewhere(builder, fields, ("input", "contents"), DIALECT)
    for i, message in enumerate(body.messages or ()):
        at = f"messages.{i}"
        try:
            _message(builder, message, at, others.reader_of(i))
        except UnknownShape as error:
            others.instead(i, at, error)
    if body.messages:
        _refuse_containers(body.messages[-1], f"messages.{len(body.messages) - 1}")


def _refuse_containers(message: Message, at: str) -> None:
    """Raise BadRequest for a file that the last message puts into a container.

    Gemini's code execution has no files (https://ai.google.dev/gemini-api/docs/code-execution). In an earlier message
    such a block is told as text: a history is never fatal.
    """
    if message.role != "user" or isinstance(message.content, str):
        return
    for i, block in enumerate(message.content):
        if block.type == "container_upload":
            raise BadRequest(
                "Files cannot be put into a container: Gemini's code execution has none. Send the file as a "
                '`document` or `image` block with `source: {"type": "file", "file_id": …}`.',
                param=f"{at}.content.{i}.type",
                code="unsupported_value",
            )


def _message(builder: ConversationBuilder, message: Message, at: str, unknown: UnknownBlock) -> None:
    match message.role:
        case "user":
            _user(builder, message.content, at)
        case "assistant":
            _assistant(builder, message.content, at, unknown)
        case "system":
            builder.system(_instruction(message.content, f"{at}.content"), at)
        case other:
            raise unsupported_value(other, _ROLES, f"{at}.role")


def _instruction(content: str | Sequence[Block], at: str) -> str | list[Part]:
    """Return the texts of an instruction, which may hold nothing else."""
    if isinstance(content, str):
        return content
    texts = []
    for i, block in enumerate(content):
        for part in _parts(block, f"{at}.{i}", ("text",)):
            if not isinstance(part, Part) or part.text is None:
                raise unsupported_value(block.type, ("text",), f"{at}.{i}.type")
            texts.append(part)
    return texts


def _user(builder: ConversationBuilder, content: str | Sequence[Block], at: str) -> None:
    """Record the results, then what the user says beside them."""
    if isinstance(content, str):
        builder.turn("user", content, at)
        return
    said: list[AnyPart] = []
    for i, block in enumerate(content):
        place = f"{at}.content.{i}"
        if block.type == "tool_result":
            answer = _result(block, f"{place}.content", builder)
            builder.result(block.tool_use_id, answer, place, error=bool(block.is_error))
        else:
            said += _parts(block, place, _BLOCK_TYPES)
            _note_citations(builder, block, place)
    if said:
        builder.turn("user", said, at)


def _result(block: Block, at: str, builder: ConversationBuilder) -> str | list[AnyPart]:
    content = block.content
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        for i, inner in enumerate(content):
            _note_citations(builder, inner, f"{at}.{i}")
        return [
            part
            for i, inner in enumerate(content)
            for part in _parts(inner, f"{at}.{i}", _RESULT_BLOCK_TYPES)
        ]
    return msgspec.json.encode(content).decode() if content else ""


def _assistant(
    builder: ConversationBuilder, content: str | Sequence[Block], at: str, unknown: UnknownBlock
) -> None:
    """Record the texts of an earlier answer, then its calls; Gemini takes no thoughts in a history.

    `unknown` reads a block of another type. A thinking block carries the signature of the call after it, or else of
    the answer's text.
    """
    if isinstance(content, str):
        builder.turn("model", content, at)
        return
    texts: list[AnyPart] = []
    calls: list[tuple[Block, str | None, str]] = []
    signature: str | None = None
    server = _server_parts(content, at, builder)
    for i, block in enumerate(content):
        place = f"{at}.content.{i}"
        if block.type in _THOUGHTS:
            signature = block.signature or block.data or signature
        elif block.type == "tool_use":
            calls.append((block, signature, place))
            signature = None
        elif block.type == "text":
            texts.append(Part(text=block.text or ""))
        elif _is_server_block(block):
            texts += server.get(place, ())
            signature = None
        else:
            texts += unknown(i, place, unsupported_value(block.type, _ANSWER_TYPES, f"{place}.type"))
    if signature and texts and isinstance(last := texts[-1], Part):
        texts[-1] = structs.replace(last, thought_signature=signature)
    builder.turn("model", texts, at)
    for call, signed, place in calls:
        _call(builder, call, signed, place)


def _server_parts(
    content: Sequence[Block], at: str, builder: ConversationBuilder
) -> dict[str, list[AnyPart]]:
    """Return the parts of the tools that Google ran, by the path at which they go."""
    blocks = []
    for i, block in enumerate(content):
        if _is_server_block(block):
            before = content[i - 1] if i else block
            signature = before.signature or before.data if before.type in _THOUGHTS else None
            blocks.append(SignedBlock(block, signature, f"{at}.content.{i}"))
    return server_parts(blocks, builder.notes) if blocks else {}


def _is_server_block(block: Block) -> bool:
    return block.type == USE or (block.type.endswith(RESULT) and block.type != "tool_result")


def _call(builder: ConversationBuilder, block: Block, signature: str | None, at: str) -> None:
    if not block.name:
        raise missing(f"{at}.name")
    arguments = msgspec.json.encode(block.input or {}).decode()
    signature = signature or split_id(block.id or "")[1]
    builder.call(block.id, block.name, arguments, signature, at, f"{at}.input")


def _parts(block: Block, at: str, known: Sequence[str]) -> list[AnyPart]:
    """Return the parts of a text, an image or a document."""
    if block.type == "text":
        return [Part(text=block.text or "")]
    if block.type not in ("image", "document"):
        raise unsupported_value(block.type, known, f"{at}.type")
    if block.source is None:
        raise missing(f"{at}.source")
    if block.source.type == "content":
        source = _content_source(block.source.content or "", f"{at}.source.content")
    else:
        source = [parts.with_hints(_source(block.source, f"{at}.source", block), block)]
    return [*_described(block), *source] if block.type == "document" else source


def _described(block: Block) -> list[AnyPart]:
    """Return the title and the context of a document, which Anthropic's models read before it."""
    lines = [
        f"{name}: {value}"
        for name, value in (("Document title", block.title), ("Document context", block.context))
        if value
    ]
    return [Part(text="\n".join(lines) + "\n")] if lines else []


def _note_citations(builder: ConversationBuilder, block: Block, at: str) -> None:
    """Note that a document's citations are asked for: Gemini cites searches and pages only."""
    citations = block.citations
    if block.type == "document" and isinstance(citations, dict) and citations.get("enabled"):
        builder.notes.add(f"{at}.citations")


def _content_source(content: str | Sequence[Block], at: str) -> list[AnyPart]:
    """Return a document that is made of blocks; one of texts only is one text."""
    if isinstance(content, str):
        return [Part(text=content)]
    if all(block.type == "text" for block in content):
        return [Part(text="".join(block.text or "" for block in content))]
    return [part for i, block in enumerate(content) for part in _parts(block, f"{at}.{i}", ("text", "image"))]


def _source(source: BlockSource, at: str, block: Block) -> AnyPart:
    match source.type:
        case "base64":
            default, name = (media_types.PDF, block.title or "") if block.type == "document" else (None, None)
            return parts.base64_file(source.data or "", source.media_type, f"{at}.data", name, default)
        case "url":
            if not source.url:
                raise missing(f"{at}.url")
            return parts.at_url(source.url, f"{at}.url", source.media_type, name=block.title)
        case "file":
            if not source.file_id:
                raise missing(f"{at}.file_id")
            return parts.file_id(source.file_id, f"{at}.file_id", source.media_type)
        case "text":
            return Part(text=source.data or "")
        case other:
            raise unsupported_value(other, _SOURCE_TYPES, f"{at}.type")


def _native_part(value: Mapping[str, Any], at: str) -> list[AnyPart]:
    """Return the parts of a block of Messages' own inside a foreign message. Raises UnknownShape."""
    try:
        return _parts(msgspec.convert(value, Block), at, _RESULT_BLOCK_TYPES)
    except msgspec.ValidationError as error:
        raise mismatch(error, at) from None


DIALECT = foreign.Dialect(Message, _native_part, _RESULT_BLOCK_TYPES, step=foreign.dotted, own=_OWN)
"""Messages' own shapes, as the readers of other dialects need them."""


def _tool(builder: ConversationBuilder, tool: Tool, at: str) -> None:
    """Declare a function, or switch on Gemini's tool of the same kind; any other is noted."""
    kind = tool.type or "custom"
    hosted = _hosted(tool)
    schema = tool.input_schema or next((s for name, s in _CLIENT_SIDE.items() if kind.startswith(name)), None)
    if hosted is not None:
        builder.tools.built_in(hosted, {}, at)
        for option in _HOSTED_OPTIONS:
            if getattr(tool, option):
                builder.notes.drop(f"{at}.{option}", "Gemini's tool has no such option.")
        if (place := tool.user_location) is not None:
            where = (place.city, place.region, place.country)
            builder.locate(f"{at}.user_location", where, place.timezone)
    elif kind == "custom" or schema is not None:
        builder.tools.function(
            tool.name, _described_tool(tool), schema, at, f"{at}.input_schema", strict=bool(tool.strict)
        )
    elif kind.startswith(_ANTHROPICS):
        builder.notes.add_type(at, kind)
    else:
        raise unsupported_value(kind, ("custom", *_HOSTED, *_CLIENT_SIDE), f"{at}.type")
    for option, neutral in _WITHOUT_EFFECT.items():
        if (value := getattr(tool, option)) is not None and value not in neutral:
            builder.notes.add(f"{at}.{option}")


def _described_tool(tool: Tool) -> str | None:
    """Return a tool's description, with the examples of its input: Gemini has no field for them."""
    if not tool.input_examples:
        return tool.description
    examples = "\n".join(msgspec.json.encode(example).decode() for example in tool.input_examples)
    return f"{tool.description or ''}\nExamples of the input:\n{examples}".strip()


def _hosted(tool: Tool) -> str | None:
    return next((field for name, field in _HOSTED.items() if (tool.type or "").startswith(name)), None)


def _choose(builder: ConversationBuilder, choice: ToolChoice, tools: Sequence[Tool]) -> None:
    builder.tools.single = bool(choice.disable_parallel_tool_use)
    if not tools:
        return
    if choice.type == "tool":
        if not choice.name:
            raise missing("tool_choice.name")
        if any(tool.name == choice.name and _hosted(tool) for tool in tools):
            builder.choose(Choice("auto", "tool_choice", built_in=True))
        else:
            builder.choose(Choice("required", "tool_choice.name", (choice.name,)))
    elif choice.type in _CHOICES:
        builder.choose(Choice(_CHOICES[choice.type], "tool_choice"))
    else:
        raise unsupported_value(choice.type, ("auto", "any", "none", "tool"), "tool_choice.type")


def _think(builder: ConversationBuilder, thinking: Thinking | None, config: OutputConfig | None) -> None:
    """Take the effort, else the thinking; thoughts are shown unless there are to be none."""
    is_hidden = thinking is not None and thinking.display == "omitted"
    if config is not None and config.effort is not None:
        builder.think("output_config.effort", effort=config.effort, show=False if is_hidden else None)
    elif thinking is not None and thinking.type == "disabled":
        builder.think("thinking", effort="none")
    elif thinking is not None and thinking.type in ("enabled", "adaptive"):
        at = "thinking" if thinking.budget_tokens is None else "thinking.budget_tokens"
        builder.think(at, budget=thinking.budget_tokens, show=not is_hidden)


def _format(builder: ConversationBuilder, body: MessagesRequest) -> None:
    """Take the format of the answer; `output_format` is its older place."""
    wanted, at = body.output_config.format if body.output_config is not None else None, "output_config.format"
    if wanted is None:
        wanted, at = body.output_format, "output_format"
    if wanted is None:
        return
    if wanted.type == "json_schema":
        builder.format(OutputFormat(at, wanted.schema, None, f"{at}.schema"))
    else:
        builder.notes.drop(f"{at}.type", "Only 'json_schema' is supported.")
