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
from collections.abc import Collection
from typing import Literal

from msgspec import Struct

from gateway.errors import BadRequest, GatewayError, UnusableAnswer
from gateway.gemini import request_changes as change
from gateway.gemini.request_changes import Apply, Request

Lasting = Literal["no", "client", "model"]
"""For whom a remedy is remembered: for nobody, for one client because its project decides, or for all of them."""


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
    texts = change.texts(error)
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


_JSON = ("response_mime_type", "response_json_schema")
_SCHEMAS = ("tools", "response_json_schema")
_LEARNED = BadRequest("")
"""Stands for a refusal that was learned."""
_UNKNOWN = r"Invalid JSON payload received\. Unknown name "
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
    _row("signature_missing", r"Function call is missing a thought_signature", change.sign, "contents",
         harmless=True, detail="thought_signature"),
    _row("signature_invalid", r"(Unable to submit request because )?Thought.?signature is not valid"
         rf"|Invalid value at 'contents\[\d+\]\.parts\[\d+\]\.thought_signature'{change.TYPE}Base64 decoding failed",
         change.sign_anew, "contents", harmless=True, detail="thought_signature"),
    _row("referenced_name", r"The referenced name ", change.results_as_text, "contents", harmless=True,
         detail="function_response"),
    _row("prefill", r"Requests ending with a model turn are not supported", change.end_with_user, "contents",
         lasting="model", harmless=True),
    _row("forced_json", r"Forced function calling (\(\w+ mode\) )?with a response mime type", change.no_json, *_JSON),
    _row("maps_json", r"Google Maps tool with a response mime type", change.maps_format, *_JSON, harmless=True),
    _row("json_with_tools", r"(Function calling|Tool use) with a response mime type", change.json_in_words, *_JSON),
    _row("json_mode", r"JSON mode is not enabled", change.json_in_words, *_JSON, lasting="model"),
    _row("built_ins", r"Tool use with function calling is unsupported", change.no_built_ins, "tools"),
    _row("server_side_on", r"Please enable tool_config\.include_server_side_tool_invocations", change.server_side(True),
         "tools", harmless=True),
    _row("server_side_off", r"Tool call context circulation is not enabled", change.server_side(None), "tools",
         harmless=True),
    _row("calling_config", r"Function calling config is set without", change.no_calling_config, "tool_config"),
    _row("cached_content", r"Tool config, tools and system instruction should not be set in the request when using "
         r"cached content", change.only_cached, "system_instruction", "tools", "tool_config"),
    _row("duplicates", r"Duplicate function declaration", change.first_of_each_name, "tools"),
    _row("candidates", r"Multiple candidates is not enabled", change.without("candidate_count"), "candidate_count",
         lasting="model"),
    _row("penalties", r"Penalty is not enabled", change.without("presence_penalty", "frequency_penalty"),
         "presence_penalty", "frequency_penalty", lasting="model"),
    _row("logprobs", r"Logprobs is not enabled", change.without("response_logprobs", "logprobs"),
         "response_logprobs", "logprobs", lasting="model"),
    _row("system", r"Developer instruction is not enabled", change.instruct_in_words, "system_instruction",
         lasting="model", harmless=True),
    _row("modalities", r"The requested combination of response modalities", change.accepted_modalities,
         "response_modalities"),
    _row("thinking_minimal", r"Thinking level MINIMAL is not supported", change.low_for_minimal, "thinking_config",
         lasting="model"),
    _row("thinking_zero", r"Budget 0 is invalid", change.some_thinking, "thinking_config", lasting="model"),
    _row("thinking_level", r"Thinking level (is|are) not (enabled|supported)",
         change.without_thinking("thinking_level"), "thinking_config", lasting="model"),
    _row("thinking_budget", r"Thinking budget (is|are) not (enabled|supported)",
         change.without_thinking("thinking_budget"), "thinking_config", lasting="model"),
    _row("thinking", r"Thinking( config|_config)? (is|are) not (enabled|supported)", change.without("thinking_config"),
         "thinking_config", lasting="model"),
    _row("service_tier", r"(The )?service.?tier |Invalid value at 'service_tier'"
         rf"|{_UNKNOWN}\"service_?tier\": Cannot find field\.\Z", change.drop_tier, "service_tier", lasting="client"),
    _row("safety", change.SAFETY_SETTING.pattern, change.drop_category, "safety_settings"),
    _row("json_schema", rf"{_UNKNOWN}\"(parameters_?json_?schema\" at '{_FUNCTION}"
         r"|response_?json_?schema\" at 'generation_config)': Cannot find field\.\Z", change.classic_schemas,
         *_SCHEMAS, lasting="model", harmless=True),
    _row("schema", rf"\* GenerateContentRequest\.{_SCHEMA}|Invalid value at '{_SCHEMA}"
         rf"|{_UNKNOWN}\"[\w$-]+\" at '{_SCHEMA}[\w.\[\]]*': (Cannot find field|Proto field is not repeating)",
         change.strictest_schemas, *_SCHEMAS),
)  # fmt: skip

BY_FEATURE = {row.feature: row for row in REMEDIES}
