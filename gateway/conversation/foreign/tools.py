"""Tools and tool choices in any vendor's shape, told to the conversation builder."""

from collections.abc import Mapping
from typing import Any

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.foreign.blocks import Step
from gateway.conversation.invalid import UnknownShape
from gateway.conversation.tools import BUILT_INS, Choice, ChoiceMode

Json = Mapping[str, Any]

_SCHEMAS = ("parameters", "input_schema", "inputSchema", "parametersJsonSchema", "parameters_json_schema")
_NESTED = ("function", "custom", "toolSpec")
_DECLARATIONS = ("functionDeclarations", "function_declarations")
_HOSTED = {"web_search": "google_search", "web_fetch": "url_context", "code_execution": "code_execution",
           "code_interpreter": "code_execution", "google_search_retrieval": "google_search"}  # fmt: skip
"""Beginnings of the types of tools that a vendor runs, and the field of Gemini's `Tool` for each."""
_MODES: Mapping[str, ChoiceMode] = {
    "auto": "auto", "none": "none", "required": "required", "any": "required", "validated": "validated",
    "mode_unspecified": "auto",
}  # fmt: skip
_CONFIGS = ("functionCallingConfig", "function_calling_config")
_ALLOWED = ("allowedFunctionNames", "allowed_function_names")


def read_tool(builder: ConversationBuilder, value: object, at: str, step: Step, error: UnknownShape) -> None:
    """Declare a tool of any dialect, with a note. Raises `error` in strict mode, and for what is no tool.

    A tool that a vendor runs and Gemini does not have is only noted.
    """
    if builder.notes.strict or not isinstance(value, Mapping):
        raise error
    tool = _Tool(builder, step)
    if not tool.declare(value, at):
        kind = value.get("type")
        if not isinstance(kind, str) or not kind or kind in ("function", "custom"):
            raise error
        builder.notes.add_type(at, kind)
    elif tool.kind:
        builder.notes.add_type(at, tool.kind)
    else:
        builder.notes.add(at)


class _Tool:
    """Declares one tool."""

    def __init__(self, builder: ConversationBuilder, step: Step) -> None:
        self._builder = builder
        self._step = step
        self.kind = ""
        """The tool's type, if it is not simply a function."""

    def declare(self, value: Json, at: str) -> bool:
        """Declare a tool. Returns False for a shape that is not known."""
        kind = value.get("type")
        self.kind = kind if isinstance(kind, str) and kind not in ("function", "custom") else ""
        for key in _DECLARATIONS:
            if isinstance(value.get(key), list):
                inside = self._step(at, key)
                return all(
                    isinstance(inner, Mapping) and self.declare(inner, self._step(inside, i))
                    for i, inner in enumerate(value[key])
                )
        if self._built_in(value, at):
            return True
        nested = next((key for key in _NESTED if isinstance(value.get(key), Mapping)), None)
        if nested is not None:
            return self._function(value[nested], self._step(at, nested), custom=nested == "custom")
        is_function = self.kind == "" or any(key in value for key in _SCHEMAS)
        return is_function and self._function(
            value, at, custom=kind == "custom" and "input_schema" not in value
        )

    def _built_in(self, value: Json, at: str) -> bool:
        """Switch on Gemini's tool of the same kind, named by `type` or as Google does by its key."""
        names = [BUILT_INS[key] for key in value if key in BUILT_INS and isinstance(value[key], Mapping)]
        if not names and self.kind:
            hosted = next((name for prefix, name in _HOSTED.items() if self.kind.startswith(prefix)), None)
            name = BUILT_INS.get(self.kind) or hosted
            names = [name] if name else []
        for name in names:
            self._builder.tools.built_in(name, {}, at)
        return bool(names)

    def _function(self, value: Json, at: str, *, custom: bool) -> bool:
        name, description = value.get("name"), value.get("description")
        if not isinstance(name, str) or not name:
            return False
        words = description if isinstance(description, str) else None
        key = next((key for key in _SCHEMAS if isinstance(value.get(key), Mapping)), None)
        if custom and key is None:
            shape = value.get("format")
            self._builder.tools.custom(name, words, shape if isinstance(shape, Mapping) else None, at)
            return True
        schema = value[key] if key is not None else None
        if schema is not None and set(schema) == {"json"} and isinstance(schema["json"], Mapping):
            schema = schema["json"]  # Bedrock
        self._builder.tools.function(
            name, words, schema, at, self._step(at, key or "parameters"), strict=value.get("strict") is True
        )
        return True


def read_choice(builder: ConversationBuilder, value: object, at: str, error: UnknownShape) -> None:
    """Record a tool choice of any dialect, with a note. Raises `error` in strict mode, and for what is no choice."""
    choice = _choice(builder, value, at)
    if builder.notes.strict or choice is None:
        raise error
    builder.notes.add(at)
    builder.choose(choice)


def _choice(builder: ConversationBuilder, value: object, at: str) -> Choice | None:
    if isinstance(value, str):
        mode = _MODES.get(value.lower())
        if mode is None and builder.declared is not None and value in builder.declared.functions:
            return Choice("required", at, (value,))
        return Choice(mode, at) if mode is not None else None
    if not isinstance(value, Mapping):
        return None
    for key in (*_CONFIGS, "allowed_tools"):
        if isinstance(value.get(key), Mapping):
            return _choice(builder, value[key], at)
    if value.get("type") == "allowed_tools" or isinstance(value.get("tools"), list):
        return _allowed(value, at)
    names = _names(next((value[key] for key in _ALLOWED if key in value), None))
    if names:
        return Choice("required", at, names)
    if name := _name(value):
        return Choice("required", at, (name,))
    words = [value.get("type"), value.get("mode"), *value]  # Bedrock names the mode by a key
    mode = next((_MODES[w.lower()] for w in words if isinstance(w, str) and w.lower() in _MODES), None)
    if mode is not None:
        return Choice(mode, at)
    hosted = isinstance(words[0], str) and words[0] not in ("", "function", "custom", "tool")
    return Choice("auto", at, built_in=True) if hosted else None


def _allowed(value: Json, at: str) -> Choice | None:
    names = _names(value.get("tools"))
    mode = _MODES.get(str(value.get("mode", "auto")).lower())
    if names is None or mode not in ("auto", "required", "validated"):
        return None
    return Choice("required" if mode == "required" else "allowed", at, names)


def _names(value: object) -> tuple[str, ...] | None:
    """Return the names of a list of functions, or None unless each has one."""
    names = [_name(tool) for tool in value] if isinstance(value, list) else []
    return tuple(name or "" for name in names) if names and all(names) else None


def _name(value: object) -> str | None:
    """Return the name of the function that a choice names."""
    if isinstance(value, str):
        return value or None
    if not isinstance(value, Mapping):
        return None
    for key in ("function", "custom", "tool"):
        inner = value.get(key)
        if isinstance(inner, Mapping):
            return _name(inner)
    name = value.get("name") or value.get("toolName")
    return name if isinstance(name, str) and name else None
