"""Chat completions, the tools of a request: functions, custom tools, Gemini's own, and the choice among them."""

from collections.abc import Mapping

from msgspec import Raw

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.foreign.originals import Originals, value_of
from gateway.conversation.foreign.tools import read_choice, read_tool
from gateway.conversation.foreign.turns import bracketed
from gateway.conversation.invalid import UnknownShape, missing, unsupported_value
from gateway.conversation.tools import BUILT_INS, Choice
from gateway.plugins.chat.wire import ChatRequest, FunctionDefinition, NamedTool, Tool, ToolChoice

_KEYED_BUILT_INS = ("google_search", "url_context", "code_execution", "google_maps")
_CHOICES = {
    "auto": "auto",
    "none": "none",
    "required": "required",
    "any": "required",
    "validated": "validated",
}


def declare(builder: ConversationBuilder, body: ChatRequest, fields: Mapping[str, Raw]) -> None:
    """Record the tools of a body and the choice among them. Raises BadRequest."""
    tools, originals = builder.tools, Originals(fields.get("tools"))
    for i, tool in enumerate(body.tools or ()):
        at = f"tools[{i}]"
        try:
            _tool(builder, tool, at)
        except UnknownShape as error:
            read_tool(builder, originals[i], at, bracketed, error)
    for i, function in enumerate(body.functions or ()):
        _function(builder, function, f"functions[{i}]")
    if body.web_search_options is not None:
        tools.built_in("google_search", {}, "web_search_options")
        if body.web_search_options.search_context_size:
            builder.notes.add("web_search_options.search_context_size")
        location = body.web_search_options.user_location
        place = location.approximate if location is not None else None
        if place is not None:
            where = (place.city, place.region, place.country)
            builder.locate("web_search_options.user_location", where, place.timezone)
    tools.legacy = body.tools is None and body.functions is not None
    tools.single = body.parallel_tool_calls is False
    if body.tool_choice is not None:
        try:
            _choose(builder, body.tool_choice, "tool_choice")
        except UnknownShape as error:
            read_choice(builder, value_of(fields.get("tool_choice"), "tool_choice"), "tool_choice", error)
    elif body.function_call is not None:
        call = body.function_call
        choice = call if isinstance(call, str) else ToolChoice(type="function", function=call)
        _choose(builder, choice, "function_call")


def _tool(builder: ConversationBuilder, tool: Tool, at: str) -> None:
    if tool.type == "function" or (tool.type is None and tool.function is not None):
        if tool.function is None:
            raise missing(f"{at}.function")
        _function(builder, tool.function, f"{at}.function")
    elif tool.type == "custom":
        if tool.custom is None:
            raise missing(f"{at}.custom")
        builder.tools.custom(tool.custom.name, tool.custom.description, tool.custom.format, f"{at}.custom")
    elif tool.type is None:
        _keyed_built_ins(builder, tool, at)
    elif tool.type in BUILT_INS:
        name = BUILT_INS[tool.type]
        builder.tools.built_in(name, getattr(tool, name) or getattr(tool, f"{name}_camel") or {}, at)
    else:
        raise unsupported_value(tool.type, ("function", "custom", *BUILT_INS), f"{at}.type")


def _function(builder: ConversationBuilder, function: FunctionDefinition, at: str) -> None:
    builder.tools.function(
        function.name,
        function.description,
        function.parameters,
        at,
        f"{at}.parameters",
        strict=bool(function.strict),
    )


def _keyed_built_ins(builder: ConversationBuilder, tool: Tool, at: str) -> None:
    """Take Google's own spelling, where the tool's name is the key."""
    named = False
    for name in _KEYED_BUILT_INS:
        options = getattr(tool, name)
        options = options if options is not None else getattr(tool, f"{name}_camel")
        if options is not None:
            builder.tools.built_in(name, options, at)
            named = True
    if not named:
        raise missing(f"{at}.type")


def _choose(builder: ConversationBuilder, wanted: str | ToolChoice, at: str) -> None:
    if isinstance(wanted, str):
        mode = _CHOICES.get(wanted)
        if mode is None:
            raise unsupported_value(wanted, ("auto", "none", "required", "any"), at)
        builder.choose(Choice(mode, at))  # type: ignore[arg-type]  # one of the modes, by the table
        return
    if wanted.type == "allowed_tools" or wanted.allowed_tools is not None:
        _allow(builder, wanted, at)
        return
    name = _name_of(wanted)
    if name is None and wanted.type in BUILT_INS:
        builder.choose(Choice("auto", at, built_in=True))
        return
    if name is None:
        raise missing(f"{at}.function")
    builder.choose(Choice("required", at, (name,)))


def _allow(builder: ConversationBuilder, wanted: ToolChoice, at: str) -> None:
    allowed = wanted.allowed_tools
    tools = allowed.tools if allowed is not None else wanted.tools or []
    mode = allowed.mode if allowed is not None else wanted.mode or "auto"
    names = tuple(name for tool in tools if (name := _name_of(tool)) is not None)
    inside = f"{at}.allowed_tools" if allowed is not None else at
    if mode not in ("auto", "required"):
        raise unsupported_value(mode, ("auto", "required"), f"{inside}.mode")
    if len(names) < len(tools) or not names:
        raise missing(f"{inside}.tools" if not tools else f"{inside}.tools[{len(names)}].name")
    builder.choose(Choice("allowed" if mode == "auto" else "required", at, names))


def _name_of(tool: ToolChoice | NamedTool) -> str | None:
    nested = tool.function or tool.custom
    return nested.name if nested is not None else tool.name
