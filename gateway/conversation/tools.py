"""Tools: what a client declares, and the declarations that a model takes."""

import re
from collections.abc import Mapping, Set
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from gateway.conversation.invalid import missing, too_long
from gateway.conversation.notes import Notes
from gateway.conversation.parts import camel
from gateway.errors import BadRequest, UnsupportedParameter
from gateway.gemini import wire
from gateway.gemini.call_names import NO_CALLS, CallRules
from gateway.gemini.capabilities import Capabilities
from gateway.gemini.schemas import json_schema
from gateway.gemini.schemas.known_schemas import KNOWN
from gateway.gemini.schemas.schema_references import InlineBudget

MOST_FUNCTIONS = 512
"""Gemini's limit (https://ai.google.dev/api/caching#Tool)."""
_BAD_CHARACTER = re.compile(r"[^A-Za-z0-9_.:-]")
_LONGEST_NAME = 64

BUILT_INS = {
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
"""Names that vendors use for Gemini's own tools, and the field of Gemini's `Tool` for each."""
_TEXT_INPUT = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
"""The parameters of a custom tool: one text."""

_NO_SHAPE = frozenset(("type", "title", "description", "$id", "$anchor", "default", "propertyOrdering"))
"""Keywords of a function's parameters that alone say nothing of them."""

ChoiceMode = Literal["auto", "none", "required", "allowed", "validated"]


class FunctionTool(Struct, frozen=True, gc=False):
    """A function that a client declares."""

    name: str
    """The client's own name."""
    sent: str
    """The name that Gemini gets."""
    description: str | None
    schema: Mapping[str, Any] | None
    at: str
    schema_at: str
    strict: bool = False
    custom: bool = False
    """Its input is a text."""
    origin: object = None
    """The surface's own form of the tool, in which a call of it is returned."""


class Choice(Struct, frozen=True, gc=False):
    """The tools that the model may or must call.

    `allowed` means any of `names`, or none. `validated` is Gemini's mode VALIDATED: `auto` with arguments that keep to
    the schema. GitHub's Copilot CLI asks for it by this name where a model is named `gemini-*`.
    """

    mode: ChoiceMode
    at: str
    names: tuple[str, ...] | None = None
    """Client names of the functions to choose among; None is all."""
    built_in: bool = False
    """A built-in tool is asked for by name: Gemini cannot be forced to use one."""


class Tooling(Struct):
    """A request's tools as one model takes them."""

    functions: list[wire.FunctionDeclaration] = field(default_factory=list)
    schema_paths: list[str] = field(default_factory=list)
    """The client's path of each function's schema."""
    built_ins: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Field of Gemini's `Tool` to its options."""
    choice: wire.FunctionCallingConfig | None = None
    rules: CallRules = NO_CALLS

    def objects(self) -> list[wire.Tool]:
        """Return one Tool for all functions, and one for each built-in: Gemini refuses two kinds in one Tool."""
        tools = [wire.Tool(function_declarations=self.functions)] if self.functions else []
        return [
            *tools,
            *(msgspec.convert({camel(name): options}, wire.Tool) for name, options in self.built_ins.items()),
        ]


NO_TOOLING = Tooling()
"""The tools of a request that has none. It is shared, so nobody may change it."""


class ToolBox:
    """Collects the tools that a client declares; of two functions with one name the first counts."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self.functions: dict[str, FunctionTool] = {}
        """By the client's name."""
        self._sent: set[str] = set()
        self._numbers: dict[str, int] = {}
        """The last number given to a name that several of the client's names become."""
        self.aliases: dict[str, str] = {}
        """Other names for a function to the client's name of it."""
        self.built_ins: dict[str, dict[str, Any]] = {}
        self.built_ins_at = ""
        self.at = ""
        """The field that declares the functions."""
        self.choice: Choice | None = None
        self.legacy = False
        self.single = False

    def __bool__(self) -> bool:
        return bool(self.functions or self.built_ins or self.choice)

    @property
    def names(self) -> dict[str, str]:
        """The client's names to the names that Gemini gets."""
        return {name: tool.sent for name, tool in self.functions.items()}

    def function(
        self,
        name: str,
        description: str | None,
        schema: Mapping[str, Any] | None,
        at: str,
        schema_at: str,
        *,
        strict: bool = False,
        custom: bool = False,
        origin: object = None,
    ) -> None:
        """Declare a function; `at` is its path, `schema_at` that of its parameters. Raises BadRequest for no name."""
        if not name:
            raise missing(f"{at}.name")
        if name in self.functions:
            self._notes.add(at)
            return
        sent = self._free_name(name)
        self._sent.add(sent)
        self.functions[name] = FunctionTool(
            name, sent, description, schema, at, schema_at, strict, custom, origin
        )
        self.at = self.at or at.partition("[")[0].partition(".")[0]

    def custom(
        self,
        name: str,
        description: str | None,
        input_format: Mapping[str, Any] | None,
        at: str,
        origin: object = None,
    ) -> None:
        """Declare a custom tool: a function of one text. A grammar becomes a part of its description."""
        words = description or ""
        grammar = (input_format or {}).get("grammar") or input_format or {}
        if isinstance(grammar, dict) and isinstance(grammar.get("definition"), str):
            words += (
                f"\nThe input must match this {grammar.get('syntax', '')} grammar:\n{grammar['definition']}"
            )
        self.function(name, words or None, _TEXT_INPUT, at, at, custom=True, origin=origin)

    def built_in(self, name: str, options: Mapping[str, Any], at: str) -> None:
        """Switch on one of Gemini's own tools; `name` is the field of Gemini's `Tool`."""
        self.built_ins[name] = dict(options)
        self.built_ins_at = self.built_ins_at or at

    def _free_name(self, name: str) -> str:
        sent = gemini_name(name)
        stem = sent[: _LONGEST_NAME - 4]
        while sent in self._sent:
            self._numbers[stem] = self._numbers.get(stem, 1) + 1
            sent = f"{stem}_{self._numbers[stem]}"
        return sent

    def tooling(self, capabilities: Capabilities, notes: Notes, budget: InlineBudget) -> Tooling:
        """Return the tools as a model takes them. Raises BadRequest with the path of what it cannot.

        References in the schemas are charged to `budget`.
        """
        functions = list(self.functions.values())
        if len(functions) > MOST_FUNCTIONS:
            raise too_long(self.at, MOST_FUNCTIONS, len(functions))
        if functions and not capabilities.functions:
            raise UnsupportedParameter("This model cannot call functions.", param=self.at)
        choice, allowed = _calling_config(self, capabilities, notes)
        sent = [tool for tool in functions if allowed is None or tool.name in allowed]
        return Tooling(
            [_declaration(tool, capabilities, budget, notes) for tool in sent],
            [tool.schema_at for tool in sent],
            dict(self.built_ins),
            choice,
            CallRules(
                {tool.sent: tool.name for tool in functions if tool.sent != tool.name},
                frozenset(tool.sent for tool in functions),
                frozenset(tool.name for tool in functions if tool.custom),
                self.legacy,
                self.single,
                {alias: self.functions[name].sent for alias, name in self.aliases.items()},
                {tool.name: tool.origin for tool in functions if tool.origin is not None},
            ),
        )


def gemini_name(name: str) -> str:
    """Return a function's name as Gemini takes it: a letter or `_` first, at most 64 characters."""
    name = _BAD_CHARACTER.sub("_", name[:_LONGEST_NAME])
    if not (name[0].isalpha() or name[0] == "_"):
        name = f"_{name}"
    return name[:_LONGEST_NAME]


def _declaration(
    tool: FunctionTool, capabilities: Capabilities, budget: InlineBudget, notes: Notes
) -> wire.FunctionDeclaration:
    schema = _parameters(tool, capabilities, budget, notes) if tool.schema else None
    return wire.FunctionDeclaration(tool.sent, tool.description, schema)


def _parameters(
    tool: FunctionTool, capabilities: Capabilities, budget: InlineBudget, notes: Notes
) -> dict[str, Any] | None:
    """Return a function's schema, or None for one that says nothing: Gemini refuses an empty object."""
    lost: list[str] = []
    schema = tool.schema or {}
    if isinstance(schema.get("type"), list) and "object" in schema["type"]:
        schema = {**schema, "type": "object"}  # arguments are never null
    cleaned = KNOWN.sanitize(schema, tool.schema_at, budget, ordered=capabilities.ordered, lost=lost)
    if cleaned.setdefault("type", "object") != "object":
        raise BadRequest(
            f"Invalid schema for function '{tool.name[:_LONGEST_NAME]}': schema must be a JSON Schema of "
            "'type: \"object\"'.",
            param=tool.schema_at,
            code="invalid_function_parameters",
        )
    for path in lost:
        notes.drop(path, json_schema.UNSAID)
    return cleaned if any(value for key, value in cleaned.items() if key not in _NO_SHAPE) else None


def _calling_config(
    box: ToolBox, capabilities: Capabilities, notes: Notes
) -> tuple[wire.FunctionCallingConfig | None, Set[str] | None]:
    """Return functionCallingConfig, and the only functions to declare where the model has no other way to limit."""
    choice = box.choice
    if not box.functions:
        _choose_without_functions(box, notes)
        return None, None
    strict = any(tool.strict for tool in box.functions.values())
    auto = "VALIDATED" if strict and capabilities.validated else "AUTO"
    if choice is None:
        return (wire.FunctionCallingConfig(auto) if auto == "VALIDATED" else None), None
    if choice.built_in:
        notes.add(choice.at)
        return wire.FunctionCallingConfig(auto), None
    names = [_sent(name, choice, box) for name in choice.names] if choice.names is not None else None
    if choice.mode == "allowed":
        if capabilities.validated:
            return wire.FunctionCallingConfig("VALIDATED", names), None
        return wire.FunctionCallingConfig("AUTO"), frozenset(choice.names or ())
    if choice.mode == "validated" and not capabilities.validated:
        notes.add(choice.at)
    validated = "VALIDATED" if capabilities.validated else "AUTO"
    mode = {"auto": auto, "none": "NONE", "required": "ANY", "validated": validated}[choice.mode]
    return wire.FunctionCallingConfig(mode, names), None


def _choose_without_functions(box: ToolBox, notes: Notes) -> None:
    """Refuse or note a choice without functions.

    Gemini refuses it: "Function calling config is set without function_declarations".
    """
    choice = box.choice
    if choice is None or (choice.mode in ("auto", "none", "validated") and not choice.built_in):
        return
    if not box.built_ins:
        raise BadRequest(
            f"Invalid value for '{choice.at}': '{choice.at}' is only allowed when 'tools' are specified.",
            param=choice.at,
        )
    notes.add(choice.at)


def _sent(name: str, choice: Choice, box: ToolBox) -> str:
    tool = box.functions.get(name)
    if tool is None:
        raise BadRequest(
            f"Invalid value for '{choice.at}': no tool is named '{name[:_LONGEST_NAME]}'.", param=choice.at
        )
    return tool.sent
