"""Tools that OpenAI runs, in a request: the ones that Google has too, with the options that it does not have.

An option is told to the model in words where words can do it, and otherwise noted.
"""

from collections.abc import Mapping
from typing import Any

from gateway.conversation.builder import ConversationBuilder
from gateway.plugins.responses.wire import ResponseRequest, ResponseTool

_MOST_DOMAINS = 100
"""Domains of one filter; OpenAI's limit (https://platform.openai.com/docs/guides/tools-web-search)."""
_INCLUDED = (
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
    "web_search_call.action.sources",
    "code_interpreter_call.outputs",
)
"""Values of `include` that are honoured."""


def is_web_search(kind: str) -> bool:
    """Return whether a tool's type is web search: its older name, and both with a date, are the same."""
    return kind.startswith("web_search")


def web_search(builder: ConversationBuilder, tool: ResponseTool, at: str) -> None:
    """Switch on Google Search, with the location and the domains in words."""
    builder.tools.built_in("google_search", {}, at)
    if tool.user_location:
        _locate(builder, tool.user_location, f"{at}.user_location")
    if tool.filters:
        _filter(builder, tool.filters, f"{at}.filters")
    for name in ("search_context_size", "search_content_types"):
        if getattr(tool, name):
            builder.notes.add(f"{at}.{name}")
    if tool.external_web_access is False:
        builder.notes.add(f"{at}.external_web_access")


def code_interpreter(builder: ConversationBuilder, tool: ResponseTool, at: str) -> None:
    """Switch on code execution. Google chooses the container; files in one would be missed."""
    builder.tools.built_in("code_execution", {}, at)
    if isinstance(tool.container, Mapping):
        for name, value in tool.container.items():
            if name == "file_ids" and value:
                builder.notes.drop(f"{at}.container.file_ids", "Gemini's code execution has no files.")
            elif name != "type" and value:
                builder.notes.add(f"{at}.container.{name}")
    elif tool.container:
        builder.notes.add(f"{at}.container")


def note_included(builder: ConversationBuilder, include: list[str] | None) -> None:
    """Note values of `include` that no answer of Gemini's has."""
    for i, name in enumerate(include or ()):
        if name not in _INCLUDED:
            builder.notes.add(f"include[{i}]")


def allowed_domains(body: ResponseRequest) -> tuple[str, ...]:
    """Return the only domains whose pages are cited, or none."""
    for tool in body.tools or ():
        if is_web_search(tool.type) and tool.filters:
            return tuple(_domains(tool.filters.get("allowed_domains")))
    return ()


def _locate(builder: ConversationBuilder, place: Mapping[str, Any], at: str) -> None:
    inner = place.get("approximate")
    if isinstance(inner, Mapping):  # as chat nests it
        place, at = inner, f"{at}.approximate"
    texts = {name: value if isinstance(value, str) else None for name, value in place.items()}
    builder.locate(at, [texts.get(name) for name in ("city", "region", "country")], texts.get("timezone"))
    for name, value in place.items():
        if value and (
            not isinstance(value, str) or name not in ("type", "city", "region", "country", "timezone")
        ):
            builder.notes.add(at)
            break


def _filter(builder: ConversationBuilder, filters: Mapping[str, Any], at: str) -> None:
    """Ask for the domains in words: Gemini's search has no list of them."""
    builder.notes.drop(at, "Google Search has no filter of domains; the instruction asks for them in words.")
    allowed = _domains(filters.get("allowed_domains"))
    blocked = _domains(filters.get("blocked_domains"))
    if allowed:
        builder.hint(f"Search and use only pages of: {', '.join(allowed)}.")
    if blocked:
        builder.hint(f"Do not use pages of: {', '.join(blocked)}.")


def _domains(value: object) -> list[str]:
    domains = value if isinstance(value, list) else []
    return [domain for domain in domains[:_MOST_DOMAINS] if isinstance(domain, str) and domain]
