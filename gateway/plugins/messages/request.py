"""Anthropic's Messages, the request: blocks to the messages of a chat (translation.md H.2).

As with Responses, history repair, tools and schemas are the same work for every surface; each signature keeps its
place, so nothing is lost on the way.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from gateway.conversation.field_policy import Policy, printable
from gateway.errors import BadRequest
from gateway.plugins.chat import wire as chat
from gateway.plugins.messages.wire import Block, Message, MessagesRequest, Tool

_HOSTED = (("web_search", "web_search"), ("code_execution", "code_execution"), ("web_fetch", "url_context"))
"""Beginnings of Anthropic's dated tool types, and Gemini's tool for each."""
_CLIENT_SIDE: dict[str, chat.Json] = {
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
"""Tools the client runs itself, with the schema that Anthropic's models know by heart."""
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}

MESSAGES: dict[str, Policy] = {
    "model": Policy("mapped", "URL path, as in chat"),
    "messages": Policy(
        "mapped", "`contents`: text, images, documents, tool use and results; thoughts are left out"
    ),
    "system": Policy("mapped", "`systemInstruction`"),
    "max_tokens": Policy("clamped", "`maxOutputTokens`; required"),
    "stream": Policy("mapped", "named events"),
    "temperature": Policy("clamped", "the same number"),
    "top_p": Policy("mapped", "`topP`"),
    "top_k": Policy("mapped", "`topK`"),
    "stop_sequences": Policy("mapped", "`stopSequences`, at most 5; which one was hit is not told"),
    "thinking": Policy("clamped", "a budget, or a level, as the model has it; thoughts are shown"),
    "output_config": Policy("mapped", "`effort` and `format`, as in chat"),
    "tools": Policy(
        "mapped", "functions; web search, web fetch and code execution as Gemini's own; others a note"
    ),
    "tool_choice": Policy(
        "mapped", "auto, any, tool, none; `disable_parallel_tool_use` keeps the first call"
    ),
    "google": Policy("mapped", "as in chat"),
    "extra_body": Policy("mapped", "as in chat"),
    "metadata": Policy("ignored", "Gemini has no end-user id"),
    "service_tier": Policy("ignored", "the default tier answers", (None, "auto", "standard_only")),
    "container": Policy("ignored", "no counterpart"),
    "context_management": Policy("ignored", "no counterpart"),
    "cache_control": Policy("ignored", "Gemini caches implicitly"),
    "mcp_servers": Policy("dropped", "no counterpart"),
}
"""`POST /v1/messages`."""


class Asked(Struct, frozen=True):
    """The chat that means the same; where each of its messages came from; what has no meaning here."""

    body: chat.ChatRequest
    origins: list[str]
    notes: list[str]


def to_chat(body: MessagesRequest, *, counting: bool = False) -> Asked:
    """A Messages body as a chat. Raises BadRequest with Anthropic's path of the field."""
    if body.max_tokens is None and not counting:
        raise BadRequest("max_tokens: Field required", param="max_tokens", code="missing_required_parameter")
    writer = _Messages()
    if body.system:
        texts = body.system if isinstance(body.system, str) else [_part(b, "system") for b in body.system]
        writer.add(chat.Message("system", texts), "system")
    for i, message in enumerate(body.messages):
        writer.message(message, f"messages.{i}")
    notes = list(writer.notes)
    choice = body.tool_choice
    asked = chat.ChatRequest(
        writer.messages,
        body.model,
        body.stream,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        stop=body.stop_sequences,
        max_completion_tokens=body.max_tokens,
        response_format=_format(body),
        tools=_tools(body.tools or (), notes) or None,
        tool_choice=_choice(body),
        parallel_tool_calls=False if choice is not None and choice.disable_parallel_tool_use else None,
        reasoning_effort=body.output_config.effort if body.output_config else None,
        thinking=body.thinking,
        google=body.google,
        extra_body=body.extra_body,
    )
    if asked.reasoning_effort is not None and body.thinking is not None and body.thinking.type != "disabled":
        asked.reasoning = chat.OpenRouterReasoning(asked.reasoning_effort, enabled=True)
        asked.reasoning_effort = None
    return Asked(asked, writer.origins, notes)


class _Messages:
    """Blocks, one message after another."""

    def __init__(self) -> None:
        self.messages: list[chat.Message] = []
        self.origins: list[str] = []
        self.notes: list[str] = []

    def add(self, message: chat.Message, at: str) -> None:
        self.messages.append(message)
        self.origins.append(at)

    def message(self, message: Message, at: str) -> None:
        content = message.content
        match message.role:
            case "user" | "system" if isinstance(content, str):
                self.add(chat.Message(message.role, content), at)
            case "assistant" if isinstance(content, str):
                self.add(chat.Message("assistant", content), at)
            case "user" | "system":
                self._user(message.role, content, at)  # type: ignore[arg-type]  # a text was taken above
            case "assistant":
                self._assistant(content, at)  # type: ignore[arg-type]
            case other:
                raise BadRequest(f"unknown role {other[:40]!r}; known: user, assistant", param=f"{at}.role")

    def _user(self, role: str, blocks: list[Block], at: str) -> None:
        """Results first, each a message of its own; then what the user says."""
        parts: list[chat.ContentPart] = []
        for i, block in enumerate(blocks):
            place = f"{at}.content.{i}"
            if block.type == "tool_result":
                self.add(chat.Message("tool", _result(block, place), tool_call_id=block.tool_use_id), place)
            elif block.type.endswith("_tool_result"):
                self.notes.append(f"messages.{printable(block.type)}")
            else:
                parts.append(_part(block, place))
        if parts:
            self.add(chat.Message(role, parts), at)

    def _assistant(self, blocks: list[Block], at: str) -> None:
        message = chat.Message("assistant", [])
        texts: list[chat.ContentPart] = []
        calls: list[chat.CallIn] = []
        signature: str | None = None
        for i, block in enumerate(blocks):
            place = f"{at}.content.{i}"
            if block.type in ("thinking", "redacted_thinking"):
                signature = block.signature or block.data or signature
            elif block.type == "tool_use":
                calls.append(_call(block, signature, place))
                signature = None
            elif block.type == "text":
                texts.append(_part(block, place))
            else:
                self.notes.append(f"messages.{printable(block.type)}")
        message.content = texts or None
        message.tool_calls = calls or None
        if signature and texts:
            message.extra_content = chat.ExtraIn(chat.GoogleExtra(signature))
        self.add(message, at)


def _call(block: Block, signature: str | None, at: str) -> chat.CallIn:
    if not block.name:
        raise BadRequest(
            "a tool_use block needs a name", param=f"{at}.name", code="missing_required_parameter"
        )
    call = chat.CallIn(block.id, "function", chat.CalledFunction(block.name, block.input or {}))
    if signature:
        call.extra_content = chat.ExtraIn(chat.GoogleExtra(signature))
    return call


def _result(block: Block, at: str) -> str | list[chat.ContentPart]:
    """A result's content; an error is told as one."""
    content = block.content
    if isinstance(content, list):
        parts = [_part(inner, f"{at}.content.{i}") for i, inner in enumerate(content)]
        if not block.is_error:
            return parts
        content = "".join(part.text or "" for part in parts)
    text = content if isinstance(content, str) else msgspec.json.encode(content or "").decode()
    if block.is_error:
        return msgspec.json.encode({"error": text}).decode()
    return text if content is not None else ""


def _part(block: Block, at: str) -> chat.ContentPart:
    """A text, an image or a document."""
    if block.type == "text":
        return chat.ContentPart("text", text=block.text or "")
    if block.type not in ("image", "document") or block.source is None:
        raise BadRequest(f"unknown block type {block.type[:40]!r}", param=f"{at}.type")
    source = block.source
    if source.type == "base64":
        kind = source.media_type or ("application/pdf" if block.type == "document" else "")
        url = f"data:{kind};base64,{source.data or ''}"
    elif source.type == "url" and source.url:
        url = source.url
    elif source.type == "file" and source.file_id:
        return chat.ContentPart("file", file=chat.FileInput(file_id=source.file_id))
    elif source.type == "text":
        return chat.ContentPart("text", text=source.data or "")
    elif source.type == "content":
        inner = source.content if isinstance(source.content, list) else []
        text = source.content if isinstance(source.content, str) else "".join(b.text or "" for b in inner)
        return chat.ContentPart("text", text=text)
    else:
        raise BadRequest(f"unknown source type {source.type[:40]!r}", param=f"{at}.source.type")
    if block.type == "image":
        return chat.ContentPart("image_url", image_url=chat.ImageURL(url))
    return chat.ContentPart("file", file=chat.FileInput(url))


def _format(body: MessagesRequest) -> chat.ResponseFormat | None:
    wanted = body.output_config.format if body.output_config is not None else None
    if wanted is None or wanted.type != "json_schema":
        return None
    return chat.ResponseFormat("json_schema", chat.JsonSchemaFormat("output", schema=wanted.schema))


def _tools(given: Sequence[Tool], notes: list[str]) -> list[chat.Tool]:
    found = []
    for tool in given:
        kind = tool.type or "custom"
        hosted = next((ours for theirs, ours in _HOSTED if kind.startswith(theirs)), None)
        known = next((schema for name, schema in _CLIENT_SIDE.items() if kind.startswith(name)), None)
        if hosted is not None:
            found.append(chat.Tool(hosted))
        elif kind == "custom" or tool.input_schema is not None or known is not None:
            schema = tool.input_schema or known
            function = chat.FunctionDefinition(tool.name, tool.description, schema, tool.strict)
            found.append(chat.Tool("function", function))
        else:
            notes.append(f"tools.{printable(kind)}")
    return found


def _choice(body: MessagesRequest) -> str | chat.ToolChoice | None:
    choice = body.tool_choice
    if choice is None or not body.tools:
        return None
    if choice.type == "tool":
        return chat.ToolChoice("function", choice.name)
    if choice.type not in _CHOICES:
        raise BadRequest(f"unknown choice {choice.type[:40]!r}", param="tool_choice.type")
    return _CHOICES[choice.type]
