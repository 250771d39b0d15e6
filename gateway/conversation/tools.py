"""Tools: what the model may call, and what must be undone in its answer (translation.md A.4, A.5)."""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gateway.errors import BadRequest, UnsupportedParameter
from gateway.gemini import json_schema as schema
from gateway.gemini import wire as gemini
from gateway.gemini.call_names import NO_CALLS, CallRules
from gateway.gemini.capabilities import Capabilities
from gateway.plugins.chat import wire as openai

MOST_FUNCTIONS = 512
"""Gemini's documented ceiling (translation.md A.4)."""
_BAD_CHARACTER = re.compile(r"[^A-Za-z0-9_.:-]")
_LONGEST_NAME = 64

_BUILT_INS = {
    "web_search": "google_search",
    "web_search_preview": "google_search",
    "google_search": "google_search",
    "googleSearch": "google_search",
    "url_context": "url_context",
    "urlContext": "url_context",
    "code_interpreter": "code_execution",
    "code_execution": "code_execution",
    "codeExecution": "code_execution",
    "google_maps": "google_maps",
    "googleMaps": "google_maps",
}
"""What vendors call Gemini's own tools (translation.md A.4.4)."""
_KEYS = ("google_search", "url_context", "code_execution", "google_maps")
_INPUT = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


class Tooling(Struct):
    """The request's tools as Gemini takes them."""

    functions: list[gemini.FunctionDeclaration]
    built_ins: dict[str, dict[str, Any]]
    """Field of gemini.Tool to its options."""
    choice: gemini.FunctionCallingConfig | None
    rules: CallRules
    notes: list[str]

    def objects(self) -> list[gemini.Tool] | None:
        """One Tool for all functions, one for each built-in (translation.md 0.6)."""
        tools = [gemini.Tool(function_declarations=self.functions)] if self.functions else []
        for name, options in self.built_ins.items():
            tool = gemini.Tool()
            setattr(tool, name, options)
            tools.append(tool)
        return tools or None


NO_TOOLS = Tooling([], {}, None, NO_CALLS, [])
"""Of a request that has none; nobody changes it."""


def gemini_name(name: str) -> str:
    """A function's name as Gemini takes it: a letter or `_` first, at most 64 characters."""
    name = _BAD_CHARACTER.sub("_", name)
    if not (name[0].isalpha() or name[0] == "_"):
        name = f"_{name}"
    return name[:_LONGEST_NAME]


def tooling(body: openai.ChatRequest, abilities: Capabilities, *, search: bool) -> Tooling:
    """Everything callable. `search` comes from the model's name. Raises BadRequest with the field's path."""
    if not (
        search
        or body.tools
        or body.functions
        or body.tool_choice
        or body.function_call
        or body.web_search_options
    ):
        return NO_TOOLS
    found = _Declarations(abilities)
    for i, tool in enumerate(body.tools or ()):
        found.tool(tool, f"tools[{i}]")
    for i, function in enumerate(body.functions or ()):
        found.function(function, f"functions[{i}]", f"functions[{i}].parameters")
    if len(found.functions) > MOST_FUNCTIONS:
        raise BadRequest(f"at most {MOST_FUNCTIONS} functions, got {len(found.functions)}", param="tools")
    if search or body.web_search_options is not None:
        found.built_ins["google_search"] = {}
    if not abilities.functions and found.functions:
        raise UnsupportedParameter(
            "this model cannot call functions", param="tools" if body.tools else "functions"
        )
    legacy = body.tools is None and body.functions is not None
    choice = _choice(body, found)
    rules = CallRules(
        {sent: own for own, sent in found.sent.items() if sent != own},
        frozenset(found.sent.values()),
        frozenset(found.custom),
        legacy,
        body.parallel_tool_calls is False,
    )
    return Tooling(list(found.functions.values()), found.built_ins, choice, rules, found.notes)


class _Declarations:
    """Collects declarations, the first of each name, under names Gemini takes."""

    def __init__(self, abilities: Capabilities) -> None:
        self.abilities = abilities
        self.functions: dict[str, gemini.FunctionDeclaration] = {}
        self.sent: dict[str, str] = {}
        """The client's name to the one that is sent."""
        self.custom: set[str] = set()
        self.built_ins: dict[str, dict[str, Any]] = {}
        self.strict = False
        self.notes: list[str] = []

    def tool(self, tool: openai.Tool, at: str) -> None:
        """One entry of `tools`."""
        if tool.type == "function" or (tool.type is None and tool.function is not None):
            if tool.function is None:
                raise _missing(f"{at}.function")
            self.function(tool.function, f"{at}.function", f"{at}.function.parameters")
        elif tool.type == "custom":
            if tool.custom is None:
                raise _missing(f"{at}.custom")
            self._custom(tool.custom, at)
        elif tool.type is None:
            self._keyed_built_in(tool, at)
        elif tool.type in _BUILT_INS:
            name = _BUILT_INS[tool.type]
            self.built_ins[name] = getattr(tool, name) or getattr(tool, f"{name}_camel") or {}
        else:
            known = ", ".join(["function", "custom", *_BUILT_INS])
            raise BadRequest(f"unknown tool type {tool.type[:40]!r}; known: {known}", param=f"{at}.type")

    def function(self, function: openai.FunctionDefinition, at: str, parameters_at: str) -> None:
        """One function; a second one of the same name is left out (translation.md A.4.1)."""
        sent = self._name(function.name, at)
        if sent is None:
            return
        self.strict = self.strict or bool(function.strict)
        parameters = _parameters(function.parameters, parameters_at, self.abilities)
        self.functions[sent] = gemini.FunctionDeclaration(sent, function.description, parameters)

    def _custom(self, custom: openai.CustomDefinition, at: str) -> None:
        """A function of one text; a grammar is told in words."""
        sent = self._name(custom.name, f"{at}.custom")
        if sent is None:
            return
        words = custom.description or ""
        grammar = (custom.format or {}).get("grammar") or custom.format or {}
        if isinstance(grammar, dict) and isinstance(grammar.get("definition"), str):
            words += (
                f"\nThe input must match this {grammar.get('syntax', '')} grammar:\n{grammar['definition']}"
            )
        self.custom.add(custom.name)
        self.functions[sent] = gemini.FunctionDeclaration(sent, words or None, dict(_INPUT))

    def _keyed_built_in(self, tool: openai.Tool, at: str) -> None:
        """Google's own spelling: the tool's name is the key."""
        options = {name: getattr(tool, name) for name in _KEYS}
        camel = {name: getattr(tool, f"{name}_camel") for name in _KEYS}
        found = {name: options[name] if options[name] is not None else camel[name] for name in _KEYS}
        chosen = {name: value for name, value in found.items() if value is not None}
        if not chosen:
            raise _missing(f"{at}.type")
        self.built_ins.update(chosen)

    def _name(self, name: str, at: str) -> str | None:
        if not name:
            raise BadRequest("a function needs a name", param=f"{at}.name")
        if name in self.sent:
            self.notes.append("tools")
            return None
        sent = gemini_name(name)
        number = 2
        while sent in self.functions:
            sent = f"{gemini_name(name)[: _LONGEST_NAME - 4]}_{number}"
            number += 1
        self.sent[name] = sent
        return sent


def _missing(param: str) -> BadRequest:
    return BadRequest(f"`{param}` is required", param=param, code="missing_required_parameter")


def _parameters(given: Mapping[str, Any] | None, at: str, abilities: Capabilities) -> dict[str, Any] | None:
    """A function's schema, or None for a function without parameters (translation.md A.4.1)."""
    if not given:
        return None
    if given.get("type", "object") not in ("object", ["object"], "OBJECT"):
        raise BadRequest("the parameters of a function are an object", param=at)
    try:
        cleaned = schema.sanitize(given, ordered=abilities.ordered)
    except BadRequest as error:
        raise BadRequest(error.message, param=at) from None
    cleaned.setdefault("type", "object")
    return cleaned if cleaned.get("properties") or (len(cleaned) > 1 and "$ref" in cleaned) else None


def _choice(body: openai.ChatRequest, found: _Declarations) -> gemini.FunctionCallingConfig | None:
    """tool_choice, or the older function_call, in Gemini's modes (translation.md A.5)."""
    field, wanted = "tool_choice", body.tool_choice
    if wanted is None and body.function_call is not None:
        field = "function_call"
        wanted = _as_choice(body.function_call)
    auto = "VALIDATED" if found.strict and found.abilities.validated else "AUTO"
    if not found.functions:
        _without_functions(wanted, field, found)
        return None
    if wanted is None:
        return gemini.FunctionCallingConfig(auto) if auto == "VALIDATED" else None
    if isinstance(wanted, str):
        modes = {"auto": auto, "none": "NONE", "required": "ANY", "any": "ANY"}
        if wanted not in modes:
            raise BadRequest(f"unknown choice {wanted[:40]!r}; known: {', '.join(modes)}", param=field)
        return gemini.FunctionCallingConfig(modes[wanted])
    return _named(wanted, field, found, auto)


def _as_choice(call: str | openai.ToolName) -> str | openai.ToolChoice:
    return call if isinstance(call, str) else openai.ToolChoice(type="function", function=call)


def _without_functions(wanted: str | openai.ToolChoice | None, field: str, found: _Declarations) -> None:
    """A config alone is a 400 upstream; built-in tools cannot be forced."""
    if wanted in (None, "auto", "none"):
        return
    if not found.built_ins:
        raise BadRequest(f"{field} is only allowed when tools are specified", param=field)
    found.notes.append(field)


def _named(
    choice: openai.ToolChoice, field: str, found: _Declarations, auto: str
) -> gemini.FunctionCallingConfig | None:
    if choice.type == "allowed_tools" or choice.allowed_tools is not None:
        allowed = choice.allowed_tools or openai.AllowedTools(choice.tools or [], choice.mode or "auto")
        names = [_sent(_name_of(tool), field, found) for tool in allowed.tools]
        return _allowed(names, allowed.mode, field, found)
    name = _name_of(choice)
    if name is None and choice.type in _BUILT_INS:
        found.notes.append(field)
        return gemini.FunctionCallingConfig(auto)
    return gemini.FunctionCallingConfig("ANY", [_sent(name, field, found)])


def _allowed(
    names: list[str], mode: str, field: str, found: _Declarations
) -> gemini.FunctionCallingConfig | None:
    if mode not in ("auto", "required"):
        raise BadRequest(f"unknown mode {mode[:40]!r}; known: auto, required", param=field)
    if not names:
        raise BadRequest("allowed_tools names no tool", param=field)
    if mode == "required":
        return gemini.FunctionCallingConfig("ANY", names)
    if found.abilities.validated:
        return gemini.FunctionCallingConfig("VALIDATED", names)
    for name in [name for name in found.functions if name not in names]:
        del found.functions[name]
    return gemini.FunctionCallingConfig("AUTO")


def _name_of(tool: openai.ToolChoice | openai.NamedTool) -> str | None:
    nested = tool.function or tool.custom
    return nested.name if nested is not None else tool.name


def _sent(name: str | None, field: str, found: _Declarations) -> str:
    if name is None or name not in found.sent:
        told = "names no function" if name is None else f"names {name[:64]!r}, which is not among the tools"
        raise BadRequest(f"{field} {told}", param=field)
    return found.sent[name]
