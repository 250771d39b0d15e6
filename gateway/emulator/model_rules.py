"""Rules on combinations of valid fields, and on what each model lacks.

A rule is a test of model and request, and Google's message (recorded errors). A true result of the test refuses the
request and is inserted into the message as `{value}`. Where there is no record (budgets, levels of older models,
allowedFunctionNames) the words are the emulator's.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from gateway.emulator.history import signature_refusal
from gateway.emulator.models import Model, model_of
from gateway.emulator.request import (
    Request,
    built_ins,
    calling_config,
    file_uris,
    functions,
    generation,
    input_kinds,
    mime_types,
    prompt_tokens,
    reference_in_result,
)
from gateway.emulator.schema_rules import schema_refusal
from gateway.emulator.speech import voice_refusal

Rule = tuple[Callable[[Model, Request], object], str]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_MIME_TYPE = re.compile(r"(image|audio|video|text|application)/(?!octet-stream)|$")
_FILE_URI = re.compile(r"https?://\S+$|(?!\w+://)\S*$")
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
    config: dict[str, Any] = generation(request).get("thinkingConfig") or {}
    return config


def _level(model: Model, request: Request) -> str | None:
    level: str | None = _thinking(request).get("thinkingLevel")
    return level if level not in (None, "THINKING_LEVEL_UNSPECIFIED", *model.levels) else None


def _budget(model: Model, request: Request) -> str | None:
    least, most = model.budget
    budget = _thinking(request).get("thinkingBudget")
    if budget in (None, -1, 0) or least <= budget <= most:
        return None
    least = 0 if model.thinking_off else least
    return f"{budget} is out of range for this model. Please choose a value between {least} and {most}"


def _foreign_input(model: Model, request: Request) -> str | None:
    kinds = [kind for kind in input_kinds(request) if kind not in (*model.inputs, "text")]
    names = {"application": "Document"}
    return names.get(kinds[0], kinds[0].capitalize()) if kinds else None


def _unsupported_type(_: Model, request: Request) -> str | None:
    """Return a MIME type that no model reads (https://github.com/charmbracelet/crush/issues/995).

    Bytes of no kind are none (https://github.com/steipete/oracle/pull/332).
    """
    return next((mime for mime in mime_types(request) if not _MIME_TYPE.match(mime)), None)


def _unsupported_uri(_: Model, request: Request) -> str | None:
    """Return the address of a file that Google does not fetch (https://github.com/googleapis/python-genai/issues/71)."""
    return next((uri for uri in file_uris(request) if not _FILE_URI.match(uri)), None)


def _modalities(model: Model, request: Request) -> str | None:
    """Return the message for refused modalities. The default is the model's first combination, but TEXT for speech."""
    own = ["TEXT"] if "AUDIO" in model.outputs[0] else list(model.outputs[0])
    requested = generation(request).get("responseModalities") or own
    if set(requested) in [set(combination) for combination in model.outputs]:
        return None
    lines = "".join(f"\n* {', '.join(combination)}" for combination in model.outputs)
    return (
        f"({', '.join(requested)}) is not supported by the model. models/{model.name} accepts the following "
        f"combination of response modalities:{lines}"
    )


def _image_config(model: Model, request: Request) -> str | None:
    """Return the message for an imageConfig that the model lacks.

    The first words are Google's own, to text models. There is no public record of the others.
    """
    config = generation(request).get("imageConfig")
    if not config:
        return None
    if not model.ratios:
        return f"Aspect ratio is not enabled for models/{model.name}"
    for name, allowed in (("aspectRatio", model.ratios), ("imageSize", model.image_sizes)):
        if name in config and config[name] not in allowed:
            at = "aspect_ratio" if name == "aspectRatio" else "image_size"
            return (
                f"* GenerateContentRequest.generation_config.image_config.{at}: unsupported value "
                f"'{config[name]}'; supported: {', '.join(allowed) or 'none'}"
            )
    return None


_UNKNOWN_REFERENCE = (
    "The referenced name `{value}` in function_response.response does not match to a display_name in the "
    "function_response.parts."
)
_INVALID_NAME = (
    "* GenerateContentRequest.{value}.name: Invalid function name. Must start with a letter or an underscore. Must be "
    "alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:) or dashes (-), with a maximum length of 128."
)

RULES: tuple[Rule, ...] = (
    # https://github.com/router-for-me/CLIProxyAPI/issues/6065: a `$ref` names a file beside the response
    (lambda _, r: reference_in_result(r),
     _UNKNOWN_REFERENCE),
    (_unsupported_type, "Unsupported MIME type: {value}"),
    (_unsupported_uri, "Invalid or unsupported file uri: {value}"),
    (lambda m, r: not m.system and r.get("systemInstruction"),
     "Developer instruction is not enabled for models/{model}"),
    (lambda m, r: not m.functions and functions(r), "Function calling is not enabled for models/{model}"),
    (lambda m, r: not m.json_mode and _json(r), "JSON mode is not enabled for models/{model}"),
    (_foreign_input, "{value} input modality is not enabled for models/{model}"),
    (lambda m, r: not m.combines_tools and _json(r) and functions(r), "Function calling with " + _JSON),
    (lambda _, r: _json(r) and "googleMaps" in built_ins(r), "Google Maps tool with " + _JSON),
    (lambda m, r: not m.combines_tools and _json(r) and built_ins(r), "Tool use with " + _JSON),
    (lambda _, r: _json(r) and calling_config(r).get("mode") == "ANY",
     "Forced function calling (ANY mode) with " + _JSON),
    (lambda m, r: not m.combines_tools and _flag(r), "Tool call context circulation is not enabled for models/{model}"),
    (lambda m, r: not m.combines_tools and built_ins(r) and functions(r),
     "Tool use with function calling is unsupported"),
    (lambda _, r: built_ins(r) and functions(r) and not _flag(r),
     "Please enable tool_config.include_server_side_tool_invocations to use Built-in tools with Function calling."),
    # https://github.com/Pretend-to/mio-chat-backend/issues/30: with the flag the mode is VALIDATED, and AUTO is refused
    (lambda _, r: _flag(r) and calling_config(r).get("mode") == "AUTO",
     "Function calling mode AUTO is not supported with include_server_side_tool_invocations. Use VALIDATED."),
    (_config_alone, "Function calling config is set without function_declarations"),
    (_cached, "Tool config, tools and system instruction should not be set in the request when using cached content."),
    (_duplicate, "Duplicate function declaration found: {value}"),
    (_badly_named,
     _INVALID_NAME),
    (_not_allowed, "allowed_function_names may be set only when the function calling mode is ANY or VALIDATED"),
    (_undeclared, "allowed_function_names: {value} is not among the function declarations"),
    (lambda m, r: not m.logprobs and generation(r).get("responseLogprobs"),
     "Logprobs is not enabled for models/{model}"),
    # https://ai.google.dev/gemini-api/docs/speech-generation: 3.8 refuses what older speech models ignored
    (lambda m, r: not m.samples and generation(r).keys() & {"temperature", "topP", "topK"},
     "temperature, top_p and top_k are not supported for models/{model}."),
    # https://github.com/genkit-ai/genkit/issues/5489: gemini-3.1 needs a voice, gemini-2.5 has one of its own
    (lambda m, r: m.needs_voice and not generation(r).get("speechConfig"), "Request contains an invalid argument."),
    (lambda _, r: voice_refusal(r),
     "multi_speaker_voice_config.{value}: exactly two speaker voice configurations must be provided."),
    (lambda m, r: m.thinking == "none" and _thinking(r), "Thinking is not enabled for models/{model}"),
    (lambda m, r: m.thinking == "budget" and "thinkingLevel" in _thinking(r),
     "Thinking level is not supported for this model."),
    (_level, "Thinking level {value} is not supported for this model."),
    (lambda m, r: not m.thinking_off and _thinking(r).get("thinkingBudget") == 0,
     "Budget 0 is invalid. This model only works in thinking mode."),
    (_budget, "The thinking budget {value}."),
    (_image_config, "{value}"),
    (_modalities, "The requested combination of response modalities {value}\n"),
)  # fmt: skip


def refusal(model: str, request: Request) -> str | None:
    """Return Google's message against a valid request, or None."""
    capabilities = model_of(model)
    for test, message in RULES:
        if value := test(capabilities, request):
            return message.format(value=value, model=model)
    refused = signature_refusal(capabilities, request.get("contents") or [])
    return refused or schema_refusal(capabilities, request)


def length_refusal(model: str, request: Request, limits: Mapping[str, int]) -> str | None:
    """Return Google's message for more input tokens than the model takes; `limits` are those of some models.

    https://github.com/google-gemini/gemini-cli/issues/6678 has the words.
    """
    size, most = prompt_tokens(request), limits.get(model, model_of(model).input_tokens)
    if size <= most:
        return None
    return f"The input token count ({size}) exceeds the maximum number of tokens allowed ({most})."
