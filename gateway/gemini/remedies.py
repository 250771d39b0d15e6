"""What Gemini refused, and the request without it: one row for each refusal with a remedy (translation.md J).

A remedy changes the request and says whether it did; the same remedy, remembered for a model, is applied before
the next request is sent. Remedies that only repair are for strict mode too; the others change the answer.
"""

import re
from collections.abc import Callable, Collection

from msgspec import Struct

from gateway.conversation import translation as chat
from gateway.errors import BadRequest, GatewayError, UnusableAnswer
from gateway.gemini import json_schema as schema
from gateway.gemini import openapi_schema as classic_schema
from gateway.gemini import thought_signatures as signatures
from gateway.gemini.wire import Content, FunctionDeclaration, GenerateContentRequest, Part, ToolConfig

Request = GenerateContentRequest
_LEAST_BUDGET = 128


class Remedy(Struct, frozen=True):
    """`field` is the client's field it does not honour; `lasting` ones are remembered for the model."""

    feature: str
    refusal: re.Pattern[str]
    apply: Callable[[Request, str], bool]
    field: str
    lasting: bool = True
    harmless: bool = False


def remedy(error: GatewayError, tried: Collection[str]) -> Remedy | None:
    """The remedy for a refusal, or None; each is tried once for a request."""
    if isinstance(error, UnusableAnswer):
        return BY_FEATURE["signature_missing"] if error.cause == "MISSING_THOUGHT_SIGNATURE" else None
    if not isinstance(error, BadRequest) or error.upstream_status != 400:
        return None
    found = (r for r in REMEDIES if r.feature not in tried and r.refusal.search(error.message))
    return next(found, None)


def _sign(request: Request, _: str) -> bool:
    """The dummy on each step's first call that has no signature."""
    changed = False
    for content in request.contents:
        first = next((part for part in content.parts or () if part.function_call is not None), None)
        if first is not None and not first.thought_signature:
            first.thought_signature = signatures.DUMMY
            changed = True
    return changed


def _sign_anew(request: Request, told: str) -> bool:
    """No signature but the dummy: one of them is corrupt or another project's."""
    changed = False
    for content in request.contents:
        for part in content.parts or ():
            if part.thought_signature and part.thought_signature != signatures.DUMMY:
                part.thought_signature = None
                changed = True
    return _sign(request, told) or changed


def _end_with_user(request: Request, _: str) -> bool:
    if request.contents[-1].role != "model":
        return False
    request.contents.append(Content([Part(text="Continue.")], "user"))
    return True


def _json_in_words(request: Request, _: str) -> bool:
    config = request.generation_config
    if config is None or config.response_mime_type is None:
        return False
    system = list(request.system_instruction.parts or ()) if request.system_instruction else []
    chat.json_in_words(config, system, beside_tools=bool(request.tools))
    request.system_instruction = Content(system)
    return True


def _no_json(request: Request, _: str) -> bool:
    config = request.generation_config
    if config is None or config.response_mime_type is None:
        return False
    chat.json_in_words(config, None)
    return True


def _maps_format(request: Request, _: str) -> bool:
    config = request.generation_config
    if config is None or config.response_mime_type is None:
        return False
    wanted = {"mimeType": "APPLICATION_JSON", "schema": config.response_json_schema or config.response_schema}
    chat.json_in_words(config, None)
    config.response_format = {"text": {key: value for key, value in wanted.items() if value is not None}}
    return True


def _no_built_ins(request: Request, _: str) -> bool:
    kept = [tool for tool in request.tools or () if tool.function_declarations]
    if not kept or len(kept) == len(request.tools or ()):
        return False
    request.tools = kept
    if request.tool_config is not None:
        request.tool_config.include_server_side_tool_invocations = None
    return True


def _server_side(value: bool | None) -> Callable[[Request, str], bool]:
    def apply(request: Request, _: str) -> bool:
        config = request.tool_config or ToolConfig()
        if config.include_server_side_tool_invocations == value:
            return False
        config.include_server_side_tool_invocations = value
        request.tool_config = config
        return True

    return apply


def _no_calling_config(request: Request, _: str) -> bool:
    changed = request.tool_config is not None and request.tool_config.function_calling_config is not None
    if request.tool_config is not None:
        request.tool_config.function_calling_config = None
    return changed


def _only_cached(request: Request, _: str) -> bool:
    changed = bool(request.system_instruction or request.tools or request.tool_config)
    request.system_instruction = request.tools = request.tool_config = None
    return changed


def _instruct_in_words(request: Request, _: str) -> bool:
    if request.system_instruction is None:
        return False
    request.contents = chat.instructed(request.contents, list(request.system_instruction.parts or ()))
    request.system_instruction = None
    return True


def _without(*fields: str) -> Callable[[Request, str], bool]:
    """Take fields out of generationConfig."""

    def apply(request: Request, _: str) -> bool:
        config = request.generation_config
        changed = config is not None and any(getattr(config, field) is not None for field in fields)
        for field in fields if config is not None else ():
            setattr(config, field, None)
        return changed

    return apply


def _more_thinking(request: Request, _: str) -> bool:
    """The least a model that always thinks can do."""
    config = request.generation_config
    thinking = config.thinking_config if config is not None else None
    if thinking is None:
        return False
    if thinking.thinking_level == "MINIMAL":
        thinking.thinking_level = "LOW"
        return True
    if thinking.thinking_budget == 0:
        thinking.thinking_budget = _LEAST_BUDGET
        return True
    return False


def _accepted_modalities(request: Request, told: str) -> bool:
    """One of the combinations the refusal lists, if it has what was asked for."""
    config = request.generation_config
    wanted = set(config.response_modalities or ()) if config is not None else set()
    for line in told.partition("accepts the following combination")[2].splitlines():
        offered = re.findall(r"[A-Z]{4,}", line)
        if config is not None and offered and wanted <= set(offered) and wanted != set(offered):
            config.response_modalities = offered
            return True
    return False


def _drop_tier(request: Request, _: str) -> bool:
    changed = request.service_tier is not None
    request.service_tier = None
    return changed


def _drop_category(request: Request, told: str) -> bool:
    """The safety category the refusal points at, by number or by name (design.md 1.1, 7)."""
    settings = request.safety_settings or []
    number = re.search(r"safety_settings\[(\d+)\]", told)
    kept = [
        setting
        for i, setting in enumerate(settings)
        if not (number and i == int(number[1])) and setting.category not in told
    ]
    request.safety_settings = kept or None
    return len(kept) < len(settings)


def _strictest_schemas(request: Request, _: str) -> bool:
    """Constraints into words: the keywords that some models do not know."""
    return _each_schema(request, schema.strictest)


def _classic_schemas(request: Request, _: str) -> bool:
    """The older Schema fields instead of JSON Schema."""
    changed = False
    for function in _functions(request):
        if function.parameters_json_schema is not None:
            function.parameters = classic_schema.classic(function.parameters_json_schema)
            function.parameters_json_schema = None
            changed = True
    config = request.generation_config
    if config is not None and config.response_json_schema is not None:
        config.response_schema = classic_schema.classic(config.response_json_schema)
        config.response_json_schema = None
        changed = True
    return changed


def _each_schema(request: Request, change: Callable[[dict[str, object]], dict[str, object]]) -> bool:
    changed = False
    for function in _functions(request):
        before = function.parameters_json_schema
        if before is not None:
            function.parameters_json_schema = change(before)
            changed = changed or function.parameters_json_schema != before
    config = request.generation_config
    if config is not None and config.response_json_schema is not None:
        before = config.response_json_schema
        config.response_json_schema = change(before)
        changed = changed or config.response_json_schema != before
    return changed


def _functions(request: Request) -> list[FunctionDeclaration]:
    return [function for tool in request.tools or () for function in tool.function_declarations or ()]


def _first_of_each_name(request: Request, _: str) -> bool:
    seen: set[str] = set()
    changed = False
    for tool in request.tools or ():
        kept = []
        for function in tool.function_declarations or ():
            if function.name not in seen:
                kept.append(function)
            changed = changed or function.name in seen
            seen.add(function.name)
        if tool.function_declarations is not None:
            tool.function_declarations = kept
    return changed


def _row(
    feature: str, refusal: str, apply: Callable[[Request, str], bool], field: str, **how: bool
) -> Remedy:
    return Remedy(feature, re.compile(refusal, re.I), apply, field, **how)


REMEDIES: tuple[Remedy, ...] = (
    _row("signature_missing", r"missing a thought_signature", _sign, "thought_signature",
         lasting=False, harmless=True),
    _row("signature_invalid", r"thought.?signature is not valid|thought_signature.*Base64 decoding failed",
         _sign_anew, "thought_signature", lasting=False, harmless=True),
    _row("prefill", r"ending with a model turn are not supported", _end_with_user, "messages", harmless=True),
    _row("forced_json", r"Forced function calling .* with a response mime type", _no_json, "response_format",
         lasting=False),
    _row("maps_json", r"Google Maps tool with a response mime type", _maps_format, "response_format",
         lasting=False, harmless=True),
    _row("json_with_tools", r"(Function calling|Tool use) with a response mime type", _json_in_words,
         "response_format", lasting=False),
    _row("json_mode", r"JSON mode is not enabled", _json_in_words, "response_format"),
    _row("built_ins", r"Tool use with function calling is unsupported", _no_built_ins, "tools", lasting=False),
    _row("server_side_on", r"enable tool_config.include_server_side_tool_invocations", _server_side(True), "tools",
         lasting=False, harmless=True),
    _row("server_side_off", r"Tool call context circulation is not enabled", _server_side(None), "tools",
         lasting=False, harmless=True),
    _row("calling_config", r"Function calling config is set without", _no_calling_config, "tool_choice",
         lasting=False),
    _row("cached_content", r"should not be set in the request when using cached content", _only_cached, "tools",
         lasting=False),
    _row("duplicates", r"Duplicate function declaration", _first_of_each_name, "tools", lasting=False),
    _row("candidates", r"Multiple candidates is not enabled", _without("candidate_count"), "n"),
    _row("penalties", r"Penalty is not enabled", _without("presence_penalty", "frequency_penalty"),
         "frequency_penalty"),
    _row("logprobs", r"Logprobs is not enabled", _without("response_logprobs", "logprobs"), "logprobs"),
    _row("system", r"Developer instruction is not enabled", _instruct_in_words, "messages", harmless=True),
    _row("modalities", r"combination of response modalities", _accepted_modalities, "modalities", lasting=False),
    _row("thinking_least", r"Thinking level MINIMAL is not supported|Budget 0 is invalid", _more_thinking,
         "reasoning_effort"),
    _row("thinking", r"Thinking (level|budget|config)? ?(is|are) not (enabled|supported)", _without("thinking_config"),
         "reasoning_effort"),
    _row("service_tier", r"service.?tier", _drop_tier, "service_tier"),
    _row("safety", r"safety_settings\[\d+\]|HARM_CATEGORY_\w+", _drop_category, "safety_settings"),
    _row("json_schema", r"Unknown name \"(parameters|response)_?json_?schema\"", _classic_schemas,
         "tools", harmless=True),
    _row("schema", r"Unknown name .*schema|Proto field is not repeating|items: missing field"
         r"|non-empty for OBJECT|schema must have a type|response_(json_)?schema", _strictest_schemas,
         "response_format", lasting=False),
)  # fmt: skip

BY_FEATURE = {row.feature: row for row in REMEDIES}


def prepare(request: Request, learnt: Collection[str]) -> list[str]:
    """Apply what a model has refused before; the fields that are not honoured for it."""
    return [row.field for row in REMEDIES if row.feature in learnt and row.apply(request, "")]
