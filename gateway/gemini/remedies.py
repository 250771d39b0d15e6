"""Remedies for Gemini's refusals: one table, with one row for each step by which another request avoids a refusal.

A remedy never changes a request: it returns a new one, or None when it has nothing to change. A lasting remedy is
remembered for the model and applied before the next request is sent. A harmless remedy repairs the request without
changing what the client asked for, so it is allowed in strict mode, too.

Google's messages repeat names and values of the request unescaped, so a client can write any of these refusals into
them. A pattern therefore begins where the message or one of its violations begins, and reaches its end where the
client's words come before Google's; between the two stand only Google's words and what cannot hold them, such as
numbers. A lasting remedy changes no more than what was refused.

Rows may have one refusal in common. They are steps: a later one is taken where an earlier one has nothing to change, or
was not enough.
"""

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from gateway.errors import BadRequest, GatewayError, UnusableAnswer
from gateway.gemini import request_changes as change
from gateway.gemini.request_changes import Apply, Request
from gateway.gemini.schemas import schema_changes as schemas

Lasting = Literal["no", "client", "model"]
"""For whom a remedy is remembered: for nobody, for one client because its project decides, or for all of them."""


class Remedy(Struct, frozen=True):
    """One refusal and what avoids it."""

    feature: str
    """The name under which a lasting remedy is remembered."""
    words: str
    """Pattern of the beginning of Gemini's message, or of the description of one of its violations."""
    apply: Apply
    fields: tuple[str, ...]
    """Gemini's fields that are not honoured then, in snake_case."""
    lasting: Lasting = "no"
    harmless: bool = False
    detail: str = ""
    """The part of the field that is changed, where the field alone says too little."""
    evidence: str = ""
    """Public reports of the refusal."""

    @property
    def refusal(self) -> re.Pattern[str]:
        """The pattern, compiled when it is used: all of them take a tenth of the start."""
        return _pattern(self.words)


@lru_cache(256)
def _pattern(words: str) -> re.Pattern[str]:
    return re.compile(words, re.I)


def matching(error: GatewayError, tried: Collection[str]) -> list[Remedy]:
    """Return the remedies for a refusal in the order of the steps. Each is tried once for a request."""
    if isinstance(error, UnusableAnswer):
        return [BY_FEATURE["signature_missing"]] if error.cause == "MISSING_THOUGHT_SIGNATURE" else []
    if not isinstance(error, BadRequest) or error.upstream_status != 400:
        return []
    texts = change.texts(error)
    rows = (row for row in REMEDIES if row.feature not in tried)
    return [row for row in rows if any(row.refusal.match(text) for text in texts)]


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


_JSON = ("response_mime_type", "response_json_schema")
_SCHEMAS = ("tools", "response_json_schema")
_LEARNED = BadRequest("")
"""Stands for a refusal that was learned."""
_UNKNOWN = r"Invalid JSON payload received\. Unknown name "
_FUNCTION = r"tools\[\d+\]\.function_declarations\[\d+\]"
_SCHEMA = rf"({_FUNCTION}\.parameters|generation_config\.response_(json_)?schema)"
_STATES = r"The specified schema produces a constraint that has too many states"
_OPAQUE = r"Request contains an invalid argument\.\Z"
"""The whole message of a refusal that names nothing. Newer models say so of schemas with too many states."""
_REFERENCE = r"reference to undefined schema at |schema at "
_DEPTH = r"A schema in GenerationConfig in the request exceeds the maximum allowed nesting depth"
_BAD_JSON = r"Model generated invalid JSON syntax"
_MISFIT = (
    rf"\* GenerateContentRequest\.{_SCHEMA}"
    r"|Unable to submit request because `[\w.:-]{1,128}` functionDeclaration `parameters"
)
_IMAGE_FIELDS = ("image_config", "image_size", "aspect_ratio")
_IMAGE = (
    r"(The |Invalid |Unsupported )?(requested |specified |provided )?(aspect.?ratio|image.?size|image.?config)\b"
    r"|(Invalid value at '|\* GenerateContentRequest\.)generation_config\.image_config"
    rf"|{_UNKNOWN}\"(image_?config\" at 'generation_config|(image_?size|aspect_?ratio)\" at "
    r"'generation_config\.image_config)': Cannot find field\.\Z"
)
"""`Aspect ratio is not enabled for models/gemini-2.5-flash`, and what Google may say of a shape or size it lacks."""
_KEYWORD = (
    rf"{_MISFIT}|Invalid value at '{_SCHEMA}"
    rf"|{_UNKNOWN}\"[\w$-]+\" at '{_SCHEMA}[\w.\[\]]*': (Cannot find field|Proto field is not repeating)"
)


def _row(
    feature: str,
    refusal: str,
    apply: Apply,
    *fields: str,
    lasting: Lasting = "no",
    harmless: bool = False,
    detail: str = "",
    evidence: str,
) -> Remedy:
    return Remedy(feature, refusal, apply, fields, lasting, harmless, detail, evidence)


REMEDIES: tuple[Remedy, ...] = (
    _row("signature_missing", r"Function call is missing a thought_signature", change.sign, "contents",
         harmless=True, detail="thought_signature",
         evidence="https://ai.google.dev/gemini-api/docs/thought-signatures"),
    _row("signature_invalid", r"(Unable to submit request because )?Thought.?signature is not valid"
         rf"|Invalid value at 'contents\[\d+\]\.parts\[\d+\]\.thought_signature'{change.TYPE}Base64 decoding failed",
         change.sign_anew, "contents", harmless=True, detail="thought_signature",
         evidence="https://ai.google.dev/gemini-api/docs/thought-signatures"),
    _row("referenced_name", r"The referenced name ", change.results_as_text, "contents", harmless=True,
         detail="function_response", evidence="https://github.com/router-for-me/CLIProxyAPI/issues/6065"),
    _row("prefill", r"Requests ending with a model turn are not supported", change.end_with_user, "contents",
         lasting="model", harmless=True,
         evidence="https://github.com/LibreChat-AI/agents/pull/323"),
    _row("forced_json", r"Forced function calling (\(\w+ mode\) )?with a response mime type", change.no_json, *_JSON,
         evidence="https://github.com/symfony/ai/issues/803"),
    _row("maps_json", r"Google Maps tool with a response mime type", change.maps_format, *_JSON, harmless=True,
         evidence="https://ai.google.dev/gemini-api/docs/maps-grounding"),
    _row("json_with_tools", r"(Function calling|Tool use) with a response mime type", change.json_in_words, *_JSON,
         evidence="https://github.com/snailyp/gemini-balance/issues/264"),
    _row("json_mode", r"JSON mode is not enabled", change.json_in_words, *_JSON, lasting="model",
         evidence="https://github.com/FirebaseExtended/compass-ai-travel-planning-sample-flutter/pull/40"),
    _row("built_ins", r"Tool use with function calling is unsupported", change.no_built_ins, "tools",
         evidence="https://github.com/snailyp/gemini-balance/issues/264"),
    _row("server_side_on", r"Please enable tool_config\.include_server_side_tool_invocations", change.server_side(True),
         "tools", harmless=True,
         evidence="https://github.com/ag2ai/ag2/pull/3145"),
    _row("server_side_off", r"Tool call context circulation is not enabled", change.server_side(None), "tools",
         harmless=True,
         evidence="https://github.com/ag2ai/ag2/pull/3145"),
    _row("calling_config", r"Function calling config is set without", change.no_calling_config, "tool_config",
         evidence="https://ai.google.dev/gemini-api/docs/function-calling"),
    _row("cached_content", r"Tool config, tools and system instruction should not be set in the request when using "
         r"cached content", change.only_cached, "system_instruction", "tools", "tool_config",
         evidence="https://ai.google.dev/gemini-api/docs/caching"),
    _row("duplicates", r"Duplicate function declaration", change.first_of_each_name, "tools",
         evidence="https://ai.google.dev/gemini-api/docs/function-calling"),
    _row("candidates", r"Multiple candidates is not enabled", change.without("candidate_count"), "candidate_count",
         lasting="model",
         evidence="https://github.com/googleapis/js-genai/issues/1609"),
    _row("penalties", r"Penalty is not enabled", change.without("presence_penalty", "frequency_penalty"),
         "presence_penalty", "frequency_penalty", lasting="model",
         evidence="https://github.com/google-gemini/cookbook/issues/1290"),
    _row("logprobs", r"Logprobs is not enabled", change.without("response_logprobs", "logprobs"),
         "response_logprobs", "logprobs", lasting="model",
         evidence="https://github.com/googleapis/python-genai/issues/1921"),
    _row("system", r"Developer instruction is not enabled", change.instruct_in_words, "system_instruction",
         lasting="model", harmless=True,
         evidence="https://github.com/google/adk-python/issues/3900"),
    _row("modalities", r"The requested combination of response modalities", change.accepted_modalities,
         "response_modalities",
         evidence="https://ai.google.dev/gemini-api/docs/image-generation"),
    _row("image_size", _IMAGE, change.without_image_size, "image_config", "image_size", lasting="model",
         evidence="https://ai.google.dev/gemini-api/docs/image-generation#aspect_ratios"),
    _row("image_config", _IMAGE, change.without("image_config"), *_IMAGE_FIELDS, lasting="model",
         evidence="https://ai.google.dev/gemini-api/docs/image-generation#aspect_ratios"),
    _row("image_opaque", _OPAQUE, change.without("image_config"), *_IMAGE_FIELDS,
         evidence="https://ai.google.dev/gemini-api/docs/image-generation#aspect_ratios"),
    _row("thinking_minimal", r"Thinking level MINIMAL is not supported", change.low_for_minimal, "thinking_config",
         lasting="model",
         evidence="https://github.com/vellum-ai/vellum-assistant/pull/32687"),
    _row("thinking_xhigh", r"Thinking level XHIGH is not supported"
         rf"|Invalid value at 'generation_config\.thinking_config\.thinking_level'{change.TYPE}\"XHIGH\"",
         change.high_for_xhigh, "thinking_config", lasting="model",
         evidence="https://ai.google.dev/gemini-api/docs/thinking"),
    _row("thinking_zero", r"Budget 0 is invalid", change.some_thinking, "thinking_config", lasting="model",
         evidence="https://github.com/vercel/ai/issues/8027"),
    _row("thinking_level", r"Thinking level (is|are) not (enabled|supported)",
         change.without_thinking("thinking_level"), "thinking_config", lasting="model",
         evidence="https://github.com/RooCodeInc/Roo-Code/issues/10700"),
    _row("thinking_budget", r"Thinking budget (is|are) not (enabled|supported)",
         change.without_thinking("thinking_budget"), "thinking_config", lasting="model",
         evidence="https://github.com/RooCodeInc/Roo-Code/issues/10700"),
    _row("thinking", r"Thinking( config|_config)? (is|are) not (enabled|supported)", change.without("thinking_config"),
         "thinking_config", lasting="model",
         evidence="https://ai.google.dev/gemini-api/docs/thinking"),
    _row("service_tier", r"(The )?service.?tier |Invalid value at 'service_tier'"
         rf"|{_UNKNOWN}\"service_?tier\": Cannot find field\.\Z", change.drop_tier, "service_tier", lasting="client",
         evidence="https://ai.google.dev/gemini-api/docs/flex-inference"),
    _row("safety", change.SAFETY_SETTING.pattern, change.drop_category, "safety_settings",
         evidence="https://ai.google.dev/gemini-api/docs/safety-settings"),
    _row("json_schema", rf"{_UNKNOWN}\"(parameters_?json_?schema\" at '{_FUNCTION}"
         r"|response_?json_?schema\" at 'generation_config)': Cannot find field\.\Z", change.classic_schemas,
         *_SCHEMAS, lasting="model", harmless=True,
         evidence="https://ai.google.dev/gemini-api/docs/structured-output"),
    _row("again", _BAD_JSON, schemas.again, harmless=True, evidence="https://github.com/scriptit-fr/GenAIApp/pull/101"),
    _row("references", _REFERENCE, change.classic_schemas, *_SCHEMAS, harmless=True,
         evidence="https://github.com/google-gemini/gemini-cli/issues/4758 and 13326"),
    _row("schema_misfit", _MISFIT, schemas.fitting_types, *_SCHEMAS,
         evidence="https://github.com/anomalyco/opencode/issues/11889 and 28397"),
    _row("schema", _KEYWORD, change.strictest_schemas, *_SCHEMAS,
         evidence="https://github.com/zed-industries/zed/issues/44875"),
    _row("schema_classic", _KEYWORD, change.classic_schemas, *_SCHEMAS,
         evidence="https://github.com/iBUHub/AIStudioToAPI/issues/154"),
    _row("schema_bounds", rf"{_STATES}|{_OPAQUE}", schemas.bounds_in_words, *_SCHEMAS,
         evidence="https://github.com/bethington/ghidra-mcp/issues/440, https://github.com/vercel/ai/issues/21192"),
    _row("unforced", rf"{_STATES}|{_OPAQUE}", schemas.unforced, "tool_config",
         evidence="https://github.com/googleapis/python-genai/issues/2133 and 2293"),
    _row("schemas_in_words", rf"{_STATES}|{_DEPTH}|{_REFERENCE}|{_KEYWORD}", schemas.schemas_in_words, *_SCHEMAS,
         evidence="https://github.com/googleapis/python-genai/issues/660"),
    _row("answer_in_words", rf"{_OPAQUE}|{_BAD_JSON}", schemas.answer_in_words, *_JSON,
         evidence="https://github.com/googleapis/python-aiplatform/issues/4301"),
)  # fmt: skip

BY_FEATURE = {row.feature: row for row in REMEDIES}
