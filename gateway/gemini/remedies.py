"""Remedies for Gemini's refusals: one row for each refusal that another request can avoid.

A remedy never changes a request: it returns a new one, or None when it has nothing to change. A lasting remedy is
remembered for the model and applied before the next request is sent. A harmless remedy repairs the request without
changing what the client asked for, so it is allowed in strict mode, too.

Google's messages repeat names and values of the request unescaped, so a client can write any of these refusals into
them. A pattern therefore begins where the message or one of its violations begins, and reaches its end where the
client's words come before Google's; between the two stand only Google's words and what cannot hold them, such as
numbers. A lasting remedy changes no more than what was refused.
"""

import re
from collections.abc import Callable, Collection
from typing import Literal

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
    ThinkingConfig,
    Tool,
    ToolConfig,
)

Request = GenerateContentRequest
Apply = Callable[[Request, GatewayError], Request | None]
"""Takes the request and Gemini's refusal; returns the new request, or None when nothing changes."""
Lasting = Literal["no", "client", "model"]
"""For whom a remedy is remembered: for nobody, for one client because its project decides, or for all of them."""

_RESPONSE_SCHEMA = "generation_config.response_json_schema"
_LEAST_BUDGET = 128
"""The smallest thinking budget of models that always think (https://ai.google.dev/gemini-api/docs/thinking)."""


class Remedy(Struct, frozen=True):
    """One refusal and what avoids it."""

    feature: str
    """The name under which a lasting remedy is remembered."""
    refusal: re.Pattern[str]
    """The beginning of Gemini's message, or of the description of one of its violations."""
    apply: Apply
    fields: tuple[str, ...]
    """Gemini's fields that are not honoured then, in snake_case."""
    lasting: Lasting = "no"
    harmless: bool = False
    detail: str = ""
    """The part of the field that is changed, where the field alone says too little."""


def remedy(error: GatewayError, tried: Collection[str]) -> Remedy | None:
    """Return the remedy for a refusal, or None. Each is tried once for a request."""
    if isinstance(error, UnusableAnswer):
        return BY_FEATURE["signature_missing"] if error.cause == "MISSING_THOUGHT_SIGNATURE" else None
    if not isinstance(error, BadRequest) or error.upstream_status != 400:
        return None
    texts = _texts(error)
    rows = (row for row in REMEDIES if row.feature not in tried)
    return next((row for row in rows if any(row.refusal.match(text) for text in texts)), None)


def prepare(request: Request, learned: Collection[str]) -> tuple[Request, list[str]]:
    """Apply what a model has refused before. Return the request, and Gemini's fields that it no longer honours."""
    fields: list[str] = []
    for row in REMEDIES:
        if row.feature in learned and (changed := row.apply(request, _LEARNED)) is not None:
            request = changed
            fields += row.fields
    return request, fields


def concerns_all(request: Request) -> bool:
    """Return whether a refusal of this request concerns all requests to the model.

    With another kind of output a model may lack what it has otherwise.
    """
    config = request.generation_config
    return config is None or not (config.response_modalities or config.speech_config or config.image_config)


def _texts(error: GatewayError) -> list[str]:
    """Return the message, and the description of each violation."""
    return [error.message, *(violation.description for violation in error.violations)]


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


def _sign(request: Request, _: GatewayError) -> Request | None:
    """Put the dummy on each step's first call that has no signature."""
    return _with_parts(request, _signed)


def _sign_anew(request: Request, _: GatewayError) -> Request | None:
    """Take away every signature but the dummy: one of them is corrupt, or another project's."""

    def unsigned(part: Part) -> Part:
        if part.thought_signature in (None, "", thought_signatures.DUMMY):
            return part
        return structs.replace(part, thought_signature=None)

    return _with_parts(request, lambda parts: _signed([unsigned(part) for part in parts]))


def _end_with_user(request: Request, _: GatewayError) -> Request | None:
    if request.contents[-1].role != "model":
        return None
    return structs.replace(request, contents=[*request.contents, Content([Part(text="Continue.")], "user")])


def _json_in_words(request: Request, _: GatewayError) -> Request | None:
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


def _no_json(request: Request, _: GatewayError) -> Request | None:
    config = _json_mode(request)
    return _with_config(request, without_json_mode(config)) if config is not None else None


def _maps_format(request: Request, _: GatewayError) -> Request | None:
    config = _json_mode(request)
    return _with_config(request, maps_json_format(config)) if config is not None else None


def _no_built_ins(request: Request, _: GatewayError) -> Request | None:
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

    def apply(request: Request, _: GatewayError) -> Request | None:
        config = request.tool_config or ToolConfig()
        if config.include_server_side_tool_invocations == value:
            return None
        config = structs.replace(config, include_server_side_tool_invocations=value)
        return structs.replace(request, tool_config=config)

    return apply


def _no_calling_config(request: Request, _: GatewayError) -> Request | None:
    config = request.tool_config
    if config is None or config.function_calling_config is None:
        return None
    return structs.replace(request, tool_config=structs.replace(config, function_calling_config=None))


def _only_cached(request: Request, _: GatewayError) -> Request | None:
    if not (request.system_instruction or request.tools or request.tool_config):
        return None
    return structs.replace(request, system_instruction=None, tools=None, tool_config=None)


def _instruct_in_words(request: Request, _: GatewayError) -> Request | None:
    if request.system_instruction is None:
        return None
    contents = instructed(request.contents, request.system_instruction.parts or [])
    return structs.replace(request, contents=contents, system_instruction=None)


def _without(*fields: str) -> Apply:
    """Return a remedy that takes fields out of generationConfig."""

    def apply(request: Request, _: GatewayError) -> Request | None:
        config = request.generation_config
        if config is None or all(getattr(config, field) is None for field in fields):
            return None
        return _with_config(request, structs.replace(config, **dict.fromkeys(fields)))

    return apply


def _with_thinking(request: Request, change: Callable[[ThinkingConfig], ThinkingConfig]) -> Request | None:
    """Return the request with another thinkingConfig, which is left out when it is empty."""
    config = request.generation_config
    thinking = config.thinking_config if config is not None else None
    if config is None or thinking is None or (changed := change(thinking)) == thinking:
        return None
    new = changed if changed != ThinkingConfig() else None
    return _with_config(request, structs.replace(config, thinking_config=new))


def _without_thinking(field: str) -> Apply:
    """Return a remedy that takes a field out of thinkingConfig."""
    return lambda request, _: _with_thinking(request, lambda config: structs.replace(config, **{field: None}))


def _low_for_minimal(request: Request, _: GatewayError) -> Request | None:
    def change(config: ThinkingConfig) -> ThinkingConfig:
        return structs.replace(config, thinking_level="LOW") if config.thinking_level == "MINIMAL" else config

    return _with_thinking(request, change)


def _some_thinking(request: Request, _: GatewayError) -> Request | None:
    """Ask a model that always thinks for the least that it can do."""

    def change(config: ThinkingConfig) -> ThinkingConfig:
        return (
            structs.replace(config, thinking_budget=_LEAST_BUDGET) if config.thinking_budget == 0 else config
        )

    return _with_thinking(request, change)


def _accepted_modalities(request: Request, error: GatewayError) -> Request | None:
    """Ask for one of the combinations that the refusal lists, if it holds what was asked for."""
    config = request.generation_config
    wanted = set(config.response_modalities or ()) if config is not None else set()
    for line in error.message.partition("accepts the following combination")[2].splitlines():
        offered = re.findall(r"[A-Z]{4,}", line)
        if config is not None and offered and wanted < set(offered):
            return _with_config(request, structs.replace(config, response_modalities=offered))
    return None


def _drop_tier(request: Request, _: GatewayError) -> Request | None:
    return structs.replace(request, service_tier=None) if request.service_tier is not None else None


def _drop_category(request: Request, error: GatewayError) -> Request | None:
    """Drop the safety settings that the refusal points at."""
    matches = (_SAFETY_SETTING.match(text) for text in _texts(error))
    refused = {int(match[1] or match[2]) for match in matches if match}
    settings = request.safety_settings or []
    kept = [setting for i, setting in enumerate(settings) if i not in refused]
    return structs.replace(request, safety_settings=kept or None) if len(kept) < len(settings) else None


def _strictest_schemas(request: Request, _: GatewayError) -> Request | None:
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


def _classic_schemas(request: Request, _: GatewayError) -> Request | None:
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


def _first_of_each_name(request: Request, _: GatewayError) -> Request | None:
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
_LEARNED = BadRequest("")
"""Stands for a refusal that was learned."""
_TYPE = r"(?: \([\w./]+\))?, "
"""The proto type of a refused value, or its enum."""
_UNKNOWN = r"Invalid JSON payload received\. Unknown name "
_SAFETY_SETTING = re.compile(
    rf"Invalid value at 'safety_settings\[(\d+)\]\.(?:category|threshold)'{_TYPE}"
    r"|\* GenerateContentRequest\.safety_settings\[(\d+)\]: element predicate failed"
)
_FUNCTION = r"tools\[\d+\]\.function_declarations\[\d+\]"
_SCHEMA = rf"({_FUNCTION}\.parameters|generation_config\.response_(json_)?schema)"


def _row(
    feature: str,
    refusal: str,
    apply: Apply,
    *fields: str,
    lasting: Lasting = "no",
    harmless: bool = False,
    detail: str = "",
) -> Remedy:
    return Remedy(feature, re.compile(refusal, re.I), apply, fields, lasting, harmless, detail)


REMEDIES: tuple[Remedy, ...] = (
    _row("signature_missing", r"Function call is missing a thought_signature", _sign, "contents",
         harmless=True, detail="thought_signature"),
    _row("signature_invalid", r"(Unable to submit request because )?Thought.?signature is not valid"
         rf"|Invalid value at 'contents\[\d+\]\.parts\[\d+\]\.thought_signature'{_TYPE}Base64 decoding failed",
         _sign_anew, "contents", harmless=True, detail="thought_signature"),
    _row("prefill", r"Requests ending with a model turn are not supported", _end_with_user, "contents",
         lasting="model", harmless=True),
    _row("forced_json", r"Forced function calling (\(\w+ mode\) )?with a response mime type", _no_json, *_JSON),
    _row("maps_json", r"Google Maps tool with a response mime type", _maps_format, *_JSON, harmless=True),
    _row("json_with_tools", r"(Function calling|Tool use) with a response mime type", _json_in_words, *_JSON),
    _row("json_mode", r"JSON mode is not enabled", _json_in_words, *_JSON, lasting="model"),
    _row("built_ins", r"Tool use with function calling is unsupported", _no_built_ins, "tools"),
    _row("server_side_on", r"Please enable tool_config\.include_server_side_tool_invocations", _server_side(True),
         "tools", harmless=True),
    _row("server_side_off", r"Tool call context circulation is not enabled", _server_side(None), "tools",
         harmless=True),
    _row("calling_config", r"Function calling config is set without", _no_calling_config, "tool_config"),
    _row("cached_content", r"Tool config, tools and system instruction should not be set in the request when using "
         r"cached content", _only_cached, "system_instruction", "tools", "tool_config"),
    _row("duplicates", r"Duplicate function declaration", _first_of_each_name, "tools"),
    _row("candidates", r"Multiple candidates is not enabled", _without("candidate_count"), "candidate_count",
         lasting="model"),
    _row("penalties", r"Penalty is not enabled", _without("presence_penalty", "frequency_penalty"),
         "presence_penalty", "frequency_penalty", lasting="model"),
    _row("logprobs", r"Logprobs is not enabled", _without("response_logprobs", "logprobs"),
         "response_logprobs", "logprobs", lasting="model"),
    _row("system", r"Developer instruction is not enabled", _instruct_in_words, "system_instruction",
         lasting="model", harmless=True),
    _row("modalities", r"The requested combination of response modalities", _accepted_modalities,
         "response_modalities"),
    _row("thinking_minimal", r"Thinking level MINIMAL is not supported", _low_for_minimal, "thinking_config",
         lasting="model"),
    _row("thinking_zero", r"Budget 0 is invalid", _some_thinking, "thinking_config", lasting="model"),
    _row("thinking_level", r"Thinking level (is|are) not (enabled|supported)", _without_thinking("thinking_level"),
         "thinking_config", lasting="model"),
    _row("thinking_budget", r"Thinking budget (is|are) not (enabled|supported)", _without_thinking("thinking_budget"),
         "thinking_config", lasting="model"),
    _row("thinking", r"Thinking( config|_config)? (is|are) not (enabled|supported)", _without("thinking_config"),
         "thinking_config", lasting="model"),
    _row("service_tier", r"(The )?service.?tier |Invalid value at 'service_tier'"
         rf"|{_UNKNOWN}\"service_?tier\": Cannot find field\.\Z", _drop_tier, "service_tier", lasting="client"),
    _row("safety", _SAFETY_SETTING.pattern, _drop_category, "safety_settings"),
    _row("json_schema", rf"{_UNKNOWN}\"(parameters_?json_?schema\" at '{_FUNCTION}"
         r"|response_?json_?schema\" at 'generation_config)': Cannot find field\.\Z", _classic_schemas,
         *_SCHEMAS, lasting="model", harmless=True),
    _row("schema", rf"\* GenerateContentRequest\.{_SCHEMA}|Invalid value at '{_SCHEMA}"
         rf"|{_UNKNOWN}\"[\w$-]+\" at '{_SCHEMA}[\w.\[\]]*': (Cannot find field|Proto field is not repeating)",
         _strictest_schemas, *_SCHEMAS),
)  # fmt: skip

BY_FEATURE = {row.feature: row for row in REMEDIES}
