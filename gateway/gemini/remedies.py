"""Remedies for Gemini's refusals: one row for each refusal that another request can avoid.

A remedy never changes a request: it returns a new one, or None when it has nothing to change. A lasting remedy is
remembered for the model and applied before the next request is sent. A harmless remedy repairs the request without
changing what the client asked for, so it is allowed in strict mode, too.
"""

import re
from collections.abc import Callable, Collection

from msgspec import Struct, structs

from gateway.errors import BadRequest, GatewayError, UnusableAnswer
from gateway.gemini import json_schema, openapi_schema, thought_signatures
from gateway.gemini.rewrites import instructed, json_instruction, maps_json_format, without_json_mode
from gateway.gemini.schema_references import InlineBudget
from gateway.gemini.wire import (
    Content,
    FunctionDeclaration,
    GenerateContentRequest,
    GenerationConfig,
    Part,
    Tool,
    ToolConfig,
)

Request = GenerateContentRequest
Apply = Callable[[Request, str], Request | None]
"""Takes the request and Gemini's message; returns the new request, or None when nothing changes."""

_RESPONSE_SCHEMA = "generation_config.response_json_schema"
_LEAST_BUDGET = 128
"""The smallest thinking budget of models that always think (https://ai.google.dev/gemini-api/docs/thinking)."""


class Remedy(Struct, frozen=True):
    """One refusal and what avoids it."""

    feature: str
    """The name under which a lasting remedy is remembered."""
    refusal: re.Pattern[str]
    """A pattern of Gemini's message."""
    apply: Apply
    fields: tuple[str, ...]
    """Gemini's fields that are not honoured then, in snake_case."""
    lasting: bool = True
    harmless: bool = False
    detail: str = ""
    """The part of the field that is changed, where the field alone says too little."""


def remedy(error: GatewayError, tried: Collection[str]) -> Remedy | None:
    """Return the remedy for a refusal, or None. Each is tried once for a request."""
    if isinstance(error, UnusableAnswer):
        return BY_FEATURE["signature_missing"] if error.cause == "MISSING_THOUGHT_SIGNATURE" else None
    if not isinstance(error, BadRequest) or error.upstream_status != 400:
        return None
    matching = (row for row in REMEDIES if row.feature not in tried and row.refusal.search(error.message))
    return next(matching, None)


def prepare(request: Request, learned: Collection[str]) -> tuple[Request, list[str]]:
    """Apply what a model has refused before. Return the request, and Gemini's fields that it no longer honours."""
    fields: list[str] = []
    for row in REMEDIES:
        if row.feature in learned and (changed := row.apply(request, "")) is not None:
            request = changed
            fields += row.fields
    return request, fields


def _with_config(request: Request, config: GenerationConfig | None) -> Request | None:
    """Return the request with another generationConfig, or None when it is the same."""
    if config is None or config is request.generation_config:
        return None
    return structs.replace(request, generation_config=config)


def _json_mode(request: Request) -> GenerationConfig | None:
    """Return the generationConfig when it asks for JSON mode."""
    config = request.generation_config
    return config if config is not None and config.response_mime_type is not None else None


def _with_parts(request: Request, change: Callable[[list[Part]], list[Part]]) -> Request | None:
    """Return the request with the parts of each turn changed, or None when all stay as they are."""
    contents = [
        content
        if (parts := change(content.parts or [])) == (content.parts or [])
        else Content(parts, content.role)
        for content in request.contents
    ]
    return structs.replace(request, contents=contents) if contents != request.contents else None


def _signed(parts: list[Part]) -> list[Part]:
    """Return the parts with the dummy on the first call, when it has no signature."""
    for i, part in enumerate(parts):
        if part.function_call is not None:
            if part.thought_signature:
                return parts
            signed = structs.replace(part, thought_signature=thought_signatures.DUMMY)
            return [*parts[:i], signed, *parts[i + 1 :]]
    return parts


def _sign(request: Request, _: str) -> Request | None:
    """Put the dummy on each step's first call that has no signature."""
    return _with_parts(request, _signed)


def _sign_anew(request: Request, _: str) -> Request | None:
    """Take away every signature but the dummy: one of them is corrupt, or another project's."""

    def unsigned(part: Part) -> Part:
        if part.thought_signature in (None, "", thought_signatures.DUMMY):
            return part
        return structs.replace(part, thought_signature=None)

    return _with_parts(request, lambda parts: _signed([unsigned(part) for part in parts]))


def _end_with_user(request: Request, _: str) -> Request | None:
    if request.contents[-1].role != "model":
        return None
    return structs.replace(request, contents=[*request.contents, Content([Part(text="Continue.")], "user")])


def _json_in_words(request: Request, _: str) -> Request | None:
    config = _json_mode(request)
    if config is None:
        return None
    system = request.system_instruction.parts or [] if request.system_instruction is not None else []
    words = json_instruction(config, beside_tools=bool(request.tools))
    return structs.replace(
        request,
        system_instruction=Content([*system, words]),
        generation_config=without_json_mode(config),
    )


def _no_json(request: Request, _: str) -> Request | None:
    config = _json_mode(request)
    return _with_config(request, without_json_mode(config)) if config is not None else None


def _maps_format(request: Request, _: str) -> Request | None:
    config = _json_mode(request)
    return _with_config(request, maps_json_format(config)) if config is not None else None


def _no_built_ins(request: Request, _: str) -> Request | None:
    tools = request.tools or []
    kept = [tool for tool in tools if tool.function_declarations]
    if not kept or len(kept) == len(tools):
        return None
    config = request.tool_config
    if config is not None:
        config = structs.replace(config, include_server_side_tool_invocations=None)
    return structs.replace(request, tools=kept, tool_config=config)


def _server_side(value: bool | None) -> Apply:
    """Return a change that sets includeServerSideToolInvocations, or with None removes it."""

    def apply(request: Request, _: str) -> Request | None:
        config = request.tool_config or ToolConfig()
        if config.include_server_side_tool_invocations == value:
            return None
        config = structs.replace(config, include_server_side_tool_invocations=value)
        return structs.replace(request, tool_config=config)

    return apply


def _no_calling_config(request: Request, _: str) -> Request | None:
    config = request.tool_config
    if config is None or config.function_calling_config is None:
        return None
    return structs.replace(request, tool_config=structs.replace(config, function_calling_config=None))


def _only_cached(request: Request, _: str) -> Request | None:
    if not (request.system_instruction or request.tools or request.tool_config):
        return None
    return structs.replace(request, system_instruction=None, tools=None, tool_config=None)


def _instruct_in_words(request: Request, _: str) -> Request | None:
    if request.system_instruction is None:
        return None
    contents = instructed(request.contents, request.system_instruction.parts or [])
    return structs.replace(request, contents=contents, system_instruction=None)


def _without(*fields: str) -> Apply:
    """Return a remedy that takes fields out of generationConfig."""

    def apply(request: Request, _: str) -> Request | None:
        config = request.generation_config
        if config is None or all(getattr(config, field) is None for field in fields):
            return None
        return _with_config(request, structs.replace(config, **dict.fromkeys(fields)))

    return apply


def _more_thinking(request: Request, _: str) -> Request | None:
    """Ask a model that always thinks for the least that it can do."""
    config = request.generation_config
    thinking = config.thinking_config if config is not None else None
    if config is None or thinking is None:
        return None
    if thinking.thinking_level == "MINIMAL":
        thinking = structs.replace(thinking, thinking_level="LOW")
    elif thinking.thinking_budget == 0:
        thinking = structs.replace(thinking, thinking_budget=_LEAST_BUDGET)
    else:
        return None
    return _with_config(request, structs.replace(config, thinking_config=thinking))


def _accepted_modalities(request: Request, message: str) -> Request | None:
    """Ask for one of the combinations that the refusal lists, if it holds what was asked for."""
    config = request.generation_config
    wanted = set(config.response_modalities or ()) if config is not None else set()
    for line in message.partition("accepts the following combination")[2].splitlines():
        offered = re.findall(r"[A-Z]{4,}", line)
        if config is not None and offered and wanted < set(offered):
            return _with_config(request, structs.replace(config, response_modalities=offered))
    return None


def _drop_tier(request: Request, _: str) -> Request | None:
    return structs.replace(request, service_tier=None) if request.service_tier is not None else None


def _drop_category(request: Request, message: str) -> Request | None:
    """Drop the safety category that the refusal points at, by number or by name."""
    settings = request.safety_settings or []
    number = re.search(r"safety_settings\[(\d+)\]", message)
    kept = [
        setting
        for i, setting in enumerate(settings)
        if not (number and i == int(number[1])) and setting.category not in message
    ]
    return structs.replace(request, safety_settings=kept or None) if len(kept) < len(settings) else None


def _strictest_schemas(request: Request, _: str) -> Request | None:
    """Tell constraints in words: some models do not know their keywords."""

    budget = InlineBudget()

    def stricter(function: FunctionDeclaration, at: str) -> FunctionDeclaration:
        schema = function.parameters_json_schema
        if schema is None:
            return function
        schema = json_schema.strictest(schema, f"{at}.parameters_json_schema", budget)
        return structs.replace(function, parameters_json_schema=schema)

    config = request.generation_config
    if config is not None and config.response_json_schema is not None:
        schema = json_schema.strictest(config.response_json_schema, _RESPONSE_SCHEMA, budget)
        config = structs.replace(config, response_json_schema=schema)
    return _with_schemas(request, stricter, config)


def _classic_schemas(request: Request, _: str) -> Request | None:
    """Use the older Schema fields instead of JSON Schema. Return None if the request has no JSON Schema."""

    budget = InlineBudget()

    def classic(function: FunctionDeclaration, at: str) -> FunctionDeclaration:
        schema = function.parameters_json_schema
        if schema is None:
            return function
        parameters = openapi_schema.classic(schema, f"{at}.parameters_json_schema", budget)
        return structs.replace(function, parameters=parameters, parameters_json_schema=None)

    config = request.generation_config
    if config is not None and config.response_json_schema is not None:
        schema = openapi_schema.classic(config.response_json_schema, _RESPONSE_SCHEMA, budget)
        config = structs.replace(config, response_schema=schema, response_json_schema=None)
    return _with_schemas(request, classic, config)


def _with_schemas(
    request: Request,
    change: Callable[[FunctionDeclaration, str], FunctionDeclaration],
    config: GenerationConfig | None,
) -> Request | None:
    """Return the request with changed declarations and another config, or None when nothing differs.

    `change` takes a declaration and its path in the request.
    """
    tools = [
        _with_functions(
            tool,
            [
                change(function, f"tools[{i}].function_declarations[{j}]")
                for j, function in enumerate(tool.function_declarations or ())
            ],
        )
        for i, tool in enumerate(request.tools or ())
    ]
    changed = structs.replace(request, tools=tools or None, generation_config=config)
    return changed if changed != request else None


def _with_functions(tool: Tool, functions: list[FunctionDeclaration]) -> Tool:
    return structs.replace(tool, function_declarations=functions) if tool.function_declarations else tool


def _first_of_each_name(request: Request, _: str) -> Request | None:
    """Keep the first declaration of each name."""
    seen: set[str] = set()
    tools = []
    for tool in request.tools or ():
        kept = []
        for function in tool.function_declarations or ():
            if function.name not in seen:
                kept.append(function)
            seen.add(function.name)
        tools.append(_with_functions(tool, kept))
    return structs.replace(request, tools=tools) if tools and tools != request.tools else None


_JSON = ("response_mime_type", "response_json_schema")
_SCHEMAS = ("tools", "response_json_schema")


def _row(
    feature: str,
    refusal: str,
    apply: Apply,
    *fields: str,
    lasting: bool = True,
    harmless: bool = False,
    detail: str = "",
) -> Remedy:
    return Remedy(feature, re.compile(refusal, re.I), apply, fields, lasting, harmless, detail)


REMEDIES: tuple[Remedy, ...] = (
    _row("signature_missing", r"missing a thought_signature", _sign, "contents",
         lasting=False, harmless=True, detail="thought_signature"),
    _row("signature_invalid", r"thought.?signature is not valid|thought_signature.*Base64 decoding failed",
         _sign_anew, "contents", lasting=False, harmless=True, detail="thought_signature"),
    _row("prefill", r"ending with a model turn are not supported", _end_with_user, "contents", harmless=True),
    _row("forced_json", r"Forced function calling .* with a response mime type", _no_json, *_JSON,
         lasting=False),
    _row("maps_json", r"Google Maps tool with a response mime type", _maps_format, *_JSON,
         lasting=False, harmless=True),
    _row("json_with_tools", r"(Function calling|Tool use) with a response mime type", _json_in_words,
         *_JSON, lasting=False),
    _row("json_mode", r"JSON mode is not enabled", _json_in_words, *_JSON),
    _row("built_ins", r"Tool use with function calling is unsupported", _no_built_ins, "tools", lasting=False),
    _row("server_side_on", r"enable tool_config.include_server_side_tool_invocations", _server_side(True), "tools",
         lasting=False, harmless=True),
    _row("server_side_off", r"Tool call context circulation is not enabled", _server_side(None), "tools",
         lasting=False, harmless=True),
    _row("calling_config", r"Function calling config is set without", _no_calling_config, "tool_config",
         lasting=False),
    _row("cached_content", r"should not be set in the request when using cached content", _only_cached,
         "system_instruction", "tools", "tool_config",
         lasting=False),
    _row("duplicates", r"Duplicate function declaration", _first_of_each_name, "tools", lasting=False),
    _row("candidates", r"Multiple candidates is not enabled", _without("candidate_count"), "candidate_count"),
    _row("penalties", r"Penalty is not enabled", _without("presence_penalty", "frequency_penalty"),
         "presence_penalty", "frequency_penalty"),
    _row("logprobs", r"Logprobs is not enabled", _without("response_logprobs", "logprobs"),
         "response_logprobs", "logprobs"),
    _row("system", r"Developer instruction is not enabled", _instruct_in_words, "system_instruction", harmless=True),
    _row("modalities", r"combination of response modalities", _accepted_modalities,
         "response_modalities", lasting=False),
    _row("thinking_least", r"Thinking level MINIMAL is not supported|Budget 0 is invalid", _more_thinking,
         "thinking_config"),
    _row("thinking", r"Thinking (level|budget|config)? ?(is|are) not (enabled|supported)", _without("thinking_config"),
         "thinking_config"),
    _row("service_tier", r"service.?tier", _drop_tier, "service_tier"),
    _row("safety", r"safety_settings\[\d+\]|HARM_CATEGORY_\w+", _drop_category, "safety_settings"),
    _row("json_schema", r"Unknown name \"(parameters|response)_?json_?schema\"", _classic_schemas,
         *_SCHEMAS, harmless=True),
    _row("schema", r"Unknown name .*schema|Proto field is not repeating|items: missing field"
         r"|non-empty for OBJECT|schema must have a type|response_(json_)?schema", _strictest_schemas,
         *_SCHEMAS, lasting=False),
)  # fmt: skip

BY_FEATURE = {row.feature: row for row in REMEDIES}
