"""What Google refuses although each field is well-formed: combinations, and what a model lacks (translation.md J).

Each rule looks at the model and the request; what it finds, if anything, is put into its message. Where the catalogue
has no words for a rule (budgets, levels of older models, allowedFunctionNames) they are ours.
"""

import re
from collections.abc import Callable
from typing import Any

from gateway.emulator.contents import built_ins, calling_config, functions, generation, input_kinds
from gateway.emulator.history import against_signatures
from gateway.emulator.models import Model, model_of

Request = dict[str, Any]
Rule = tuple[Callable[[Model, Request], object], str]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_JSON = "a response mime type: 'application/json' is unsupported"


def _json(request: Request) -> bool:
    return bool(generation(request).get("responseMimeType") == "application/json")


def _flag(request: Request) -> bool:
    return bool((request.get("toolConfig") or {}).get("includeServerSideToolInvocations"))


def _config_alone(_: Model, request: Request) -> bool:
    return bool(calling_config(request)) and not functions(request)


def _cached(_: Model, request: Request) -> bool:
    beside = any(request.get(key) for key in ("systemInstruction", "tools", "toolConfig"))
    return beside and bool(request.get("cachedContent"))


def _duplicate(_: Model, request: Request) -> str | None:
    names = [str(declaration.get("name")) for declaration in functions(request)]
    return next((name for name in names if names.count(name) > 1), None)


def _badly_named(_: Model, request: Request) -> str | None:
    for i, tool in enumerate(request.get("tools") or ()):
        for j, declaration in enumerate(tool.get("functionDeclarations") or ()):
            if not _NAME.fullmatch(declaration.get("name") or ""):
                return f"tools[{i}].function_declarations[{j}]"
    return None


def _not_allowed(_: Model, request: Request) -> bool:
    config = calling_config(request)
    return bool(config.get("allowedFunctionNames")) and config.get("mode") in ("AUTO", "NONE")


def _undeclared(_: Model, request: Request) -> str | None:
    declared = {declaration.get("name") for declaration in functions(request)}
    allowed = calling_config(request).get("allowedFunctionNames") or ()
    return next((name for name in allowed if name not in declared), None)


def _thinking(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = generation(request).get("thinkingConfig") or {}
    return found


def _level(model: Model, request: Request) -> str | None:
    level: str | None = _thinking(request).get("thinkingLevel")
    return level if level not in (None, "THINKING_LEVEL_UNSPECIFIED", *model.levels) else None


def _budget(model: Model, request: Request) -> str | None:
    least, most = model.budget
    budget = _thinking(request).get("thinkingBudget")
    if budget in (None, -1, 0) or least <= budget <= most:
        return None
    least = 0 if model.off else least
    return f"{budget} is out of range for this model. Please choose a value between {least} and {most}"


def _foreign_input(model: Model, request: Request) -> str | None:
    kinds = [kind for kind in input_kinds(request) if kind not in (*model.takes, "text")]
    names = {"application": "Document"}
    return names.get(kinds[0], kinds[0].capitalize()) if kinds else None


def _modalities(model: Model, request: Request) -> str | None:
    """Silence means the model's own choice; but of speech models AUDIO must be asked for."""
    own = ["TEXT"] if "AUDIO" in model.gives[0] else list(model.gives[0])
    wanted = generation(request).get("responseModalities") or own
    if set(wanted) in [set(combination) for combination in model.gives]:
        return None
    lines = "".join(f"\n* {', '.join(combination)}" for combination in model.gives)
    return (
        f"({', '.join(wanted)}) is not supported by the model. models/{model.name} accepts the following "
        f"combination of response modalities:{lines}"
    )


_INVALID_NAME = (
    "* GenerateContentRequest.{found}.name: Invalid function name. Must start with a letter or an underscore. Must be "
    "alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:) or dashes (-), with a maximum length of 128."
)

RULES: tuple[Rule, ...] = (
    (lambda m, r: not m.system and r.get("systemInstruction"),
     "Developer instruction is not enabled for models/{model}"),
    (lambda m, r: not m.functions and functions(r), "Function calling is not enabled for models/{model}"),
    (lambda m, r: not m.json and _json(r), "JSON mode is not enabled for models/{model}"),
    (_foreign_input, "{found} input modality is not enabled for models/{model}"),
    (lambda m, r: not m.together and _json(r) and functions(r), "Function calling with " + _JSON),
    (lambda _, r: _json(r) and "googleMaps" in built_ins(r), "Google Maps tool with " + _JSON),
    (lambda m, r: not m.together and _json(r) and built_ins(r), "Tool use with " + _JSON),
    (lambda _, r: _json(r) and calling_config(r).get("mode") == "ANY",
     "Forced function calling (ANY mode) with " + _JSON),
    (lambda m, r: not m.together and _flag(r), "Tool call context circulation is not enabled for models/{model}"),
    (lambda m, r: not m.together and built_ins(r) and functions(r), "Tool use with function calling is unsupported"),
    (lambda _, r: built_ins(r) and functions(r) and not _flag(r),
     "Please enable tool_config.include_server_side_tool_invocations to use Built-in tools with Function calling."),
    (_config_alone, "Function calling config is set without function_declarations"),
    (_cached, "Tool config, tools and system instruction should not be set in the request when using cached content."),
    (_duplicate, "Duplicate function declaration found: {found}"),
    (_badly_named,
     _INVALID_NAME),
    (_not_allowed, "allowed_function_names may be set only when the function calling mode is ANY or VALIDATED"),
    (_undeclared, "allowed_function_names: {found} is not among the function declarations"),
    (lambda m, r: not m.logprobs and generation(r).get("responseLogprobs"),
     "Logprobs is not enabled for models/{model}"),
    (lambda m, r: m.thinking == "none" and _thinking(r), "Thinking is not enabled for models/{model}"),
    (lambda m, r: m.thinking == "budget" and "thinkingLevel" in _thinking(r),
     "Thinking level is not supported for this model."),
    (_level, "Thinking level {found} is not supported for this model."),
    (lambda m, r: not m.off and _thinking(r).get("thinkingBudget") == 0,
     "Budget 0 is invalid. This model only works in thinking mode."),
    (_budget, "The thinking budget {found}."),
    (_modalities, "The requested combination of response modalities {found}\n"),
)  # fmt: skip


def refusal(model: str, request: Request) -> str | None:
    """Google's words against a well-formed request, or None."""
    able = model_of(model)
    for rule, message in RULES:
        if found := rule(able, request):
            return message.format(found=found, model=model)
    return against_signatures(able, request.get("contents") or [])
