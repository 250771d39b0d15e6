"""Changes of a request that avoid a refusal. Each returns a new request, or None when it has nothing to change."""

import re
from collections.abc import Callable

import msgspec
from msgspec import Raw, structs

from gateway.errors import GatewayError
from gateway.gemini import thought_signatures
from gateway.gemini.rewrites import instructed, json_instruction, maps_json_format, without_json_mode
from gateway.gemini.schemas import json_schema, openapi_schema
from gateway.gemini.schemas.schema_references import InlineBudget
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
_RESPONSE_SCHEMA = "generation_config.response_json_schema"
_LEAST_BUDGET = 128
"""The smallest thinking budget of models that always think (https://ai.google.dev/gemini-api/docs/thinking)."""
TYPE = r"(?: \([\w./]+\))?, "
"""The proto type of a refused value, or its enum."""
SAFETY_SETTING = re.compile(
    rf"Invalid value at 'safety_settings\[(\d+)\]\.(?:category|threshold)'{TYPE}"
    r"|\* GenerateContentRequest\.safety_settings\[(\d+)\]: element predicate failed"
)
"""The beginning of a refusal of a safety setting, with its position."""


def texts(error: GatewayError) -> list[str]:
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


def sign(request: Request, _: GatewayError) -> Request | None:
    """Put the dummy on each step's first call that has no signature."""
    return _with_parts(request, _signed)


def sign_anew(request: Request, _: GatewayError) -> Request | None:
    """Take away every signature but the dummy: one of them is corrupt, or another project's."""

    def unsigned(part: Part) -> Part:
        if part.thought_signature in (None, "", thought_signatures.DUMMY):
            return part
        return structs.replace(part, thought_signature=None)

    return _with_parts(request, lambda parts: _signed([unsigned(part) for part in parts]))


def results_as_text(request: Request, _: GatewayError) -> Request | None:
    """Say each function's result as one text under `output`: Gemini takes a key in it for the name of a file."""

    def as_text(part: Part) -> Part:
        result = part.function_response
        if result is None:
            return part
        text = _text_of_result(bytes(msgspec.json.encode(result.response)))
        if text is None:
            return part
        response = Raw(msgspec.json.encode({"output": text.decode()}))
        return structs.replace(part, function_response=structs.replace(result, response=response))

    return _with_parts(request, lambda parts: [as_text(part) for part in parts])


def _text_of_result(data: bytes) -> bytes | None:
    """Return a function's result as a tool wrote it, or None when it is sent as a text already."""
    fields = msgspec.json.decode(data, type=dict[str, Raw])
    name, value = next(iter(fields.items()), ("", b""))
    value = bytes(value)
    if name not in ("output", "error") or len(data) != len(f'{{"{name}":}}') + len(value):
        return data
    if value[:1] == b'"':
        return None
    return value if value[:1] == b"[" else data  # an array was put under `output`


def end_with_user(request: Request, _: GatewayError) -> Request | None:
    if request.contents[-1].role != "model":
        return None
    return structs.replace(request, contents=[*request.contents, Content([Part(text="Continue.")], "user")])


def json_in_words(request: Request, _: GatewayError) -> Request | None:
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


def no_json(request: Request, _: GatewayError) -> Request | None:
    config = _json_mode(request)
    return _with_config(request, without_json_mode(config)) if config is not None else None


def maps_format(request: Request, _: GatewayError) -> Request | None:
    config = _json_mode(request)
    return _with_config(request, maps_json_format(config)) if config is not None else None


def no_built_ins(request: Request, _: GatewayError) -> Request | None:
    tools = request.tools or []
    kept = [tool for tool in tools if tool.function_declarations]
    if not kept or len(kept) == len(tools):
        return None
    config = request.tool_config
    if config is not None:
        config = structs.replace(config, include_server_side_tool_invocations=None)
    return structs.replace(request, tools=kept, tool_config=config)


def server_side(value: bool | None) -> Apply:
    """Return a change that sets includeServerSideToolInvocations, or with None removes it."""

    def apply(request: Request, _: GatewayError) -> Request | None:
        config = request.tool_config or ToolConfig()
        if config.include_server_side_tool_invocations == value:
            return None
        config = structs.replace(config, include_server_side_tool_invocations=value)
        calling = config.function_calling_config
        if value and calling is not None and calling.mode == "AUTO":
            config = structs.replace(
                config, function_calling_config=structs.replace(calling, mode="VALIDATED")
            )
        return structs.replace(request, tool_config=config)

    return apply


def no_calling_config(request: Request, _: GatewayError) -> Request | None:
    config = request.tool_config
    if config is None or config.function_calling_config is None:
        return None
    return structs.replace(request, tool_config=structs.replace(config, function_calling_config=None))


def only_cached(request: Request, _: GatewayError) -> Request | None:
    if not (request.system_instruction or request.tools or request.tool_config):
        return None
    return structs.replace(request, system_instruction=None, tools=None, tool_config=None)


def instruct_in_words(request: Request, _: GatewayError) -> Request | None:
    if request.system_instruction is None:
        return None
    contents = instructed(request.contents, request.system_instruction.parts or [])
    return structs.replace(request, contents=contents, system_instruction=None)


def without(*fields: str) -> Apply:
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


def without_thinking(field: str) -> Apply:
    """Return a remedy that takes a field out of thinkingConfig."""
    return lambda request, _: _with_thinking(request, lambda config: structs.replace(config, **{field: None}))


def low_for_minimal(request: Request, _: GatewayError) -> Request | None:
    def change(config: ThinkingConfig) -> ThinkingConfig:
        return structs.replace(config, thinking_level="LOW") if config.thinking_level == "MINIMAL" else config

    return _with_thinking(request, change)


def high_for_xhigh(request: Request, _: GatewayError) -> Request | None:
    def change(config: ThinkingConfig) -> ThinkingConfig:
        return structs.replace(config, thinking_level="HIGH") if config.thinking_level == "XHIGH" else config

    return _with_thinking(request, change)


def some_thinking(request: Request, _: GatewayError) -> Request | None:
    """Ask a model that always thinks for the least that it can do."""

    def change(config: ThinkingConfig) -> ThinkingConfig:
        return (
            structs.replace(config, thinking_budget=_LEAST_BUDGET) if config.thinking_budget == 0 else config
        )

    return _with_thinking(request, change)


def accepted_modalities(request: Request, error: GatewayError) -> Request | None:
    """Ask for one of the combinations that the refusal lists, if it holds what was asked for."""
    config = request.generation_config
    wanted = set(config.response_modalities or ()) if config is not None else set()
    for line in error.message.partition("accepts the following combination")[2].splitlines():
        offered = re.findall(r"[A-Z]{4,}", line)
        if config is not None and offered and wanted < set(offered):
            return _with_config(request, structs.replace(config, response_modalities=offered))
    return None


def without_image_size(request: Request, _: GatewayError) -> Request | None:
    """Leave the size of pictures to the model, and keep their shape."""
    config = request.generation_config
    if config is None or config.image_config is None or "imageSize" not in config.image_config:
        return None
    image = {key: value for key, value in config.image_config.items() if key != "imageSize"} or None
    return _with_config(request, structs.replace(config, image_config=image))


def drop_tier(request: Request, _: GatewayError) -> Request | None:
    return structs.replace(request, service_tier=None) if request.service_tier is not None else None


def drop_category(request: Request, error: GatewayError) -> Request | None:
    """Drop the safety settings that the refusal points at."""
    matches = (SAFETY_SETTING.match(text) for text in texts(error))
    refused = {int(match[1] or match[2]) for match in matches if match}
    settings = request.safety_settings or []
    kept = [setting for i, setting in enumerate(settings) if i not in refused]
    return structs.replace(request, safety_settings=kept or None) if len(kept) < len(settings) else None


def strictest_schemas(request: Request, _: GatewayError) -> Request | None:
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
    return with_schemas(request, stricter, config)


def classic_schemas(request: Request, _: GatewayError) -> Request | None:
    """Use the older Schema fields instead of JSON Schema. Return None if the request has no JSON Schema."""

    budget = InlineBudget()

    def classic(function: FunctionDeclaration, at: str) -> FunctionDeclaration:
        schema = function.parameters_json_schema
        if schema is None:
            return function
        converted = openapi_schema.classic(schema, f"{at}.parameters_json_schema", budget)
        parameters = converted if converted.get("properties") or converted.get("anyOf") else None
        return structs.replace(function, parameters=parameters, parameters_json_schema=None)

    config = request.generation_config
    if config is not None and config.response_json_schema is not None:
        schema = openapi_schema.classic(config.response_json_schema, _RESPONSE_SCHEMA, budget)
        config = structs.replace(config, response_schema=schema, response_json_schema=None)
    return with_schemas(request, classic, config)


def with_schemas(
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


def first_of_each_name(request: Request, _: GatewayError) -> Request | None:
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
