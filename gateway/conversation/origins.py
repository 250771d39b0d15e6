"""Field origins: which field of the client's request each field of a Gemini request came from.

Gemini's refusals and their remedies speak of Gemini's fields; a client is told its own.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.generation import NAMES
from gateway.conversation.google_options import snake

_CONTENT = re.compile(r"contents\[(\d{1,9})\]")
_FUNCTION = re.compile(r"tools\[0\]\.function_?[dD]eclarations\[(\d{1,9})\]\.parameters")
"""A function's schema, in snake_case or camelCase: all functions are in the first tool."""
_STEP = re.compile(r"[^.\[]+(?:\[\d+\])?")


class FieldOrigins:
    """The client's paths of one request. They are looked up only when Gemini refuses something."""

    def __init__(
        self, conversation: ConversationBuilder, contents: Sequence[str], schemas: Sequence[str] = ()
    ) -> None:
        self._conversation = conversation
        self._contents = contents
        """The client's path of each content."""
        self._schemas = schemas
        """The client's path of each function's schema."""

    @cached_property
    def fields(self) -> Mapping[str, str]:
        """The client's paths by Gemini's field, in snake_case; absent where the client sent nothing."""
        conversation = self._conversation
        fields = {
            "model": "model",
            "contents": conversation.root,
            **_sampling(conversation),
            **_tools(conversation),
        }
        if conversation.instruction_at is not None:
            fields["system_instruction"] = conversation.instruction_at
        if conversation.reasoning.at is not None and not conversation.reasoning.is_empty:
            fields["thinking_config"] = conversation.reasoning.at
        if conversation.output_format is not None:
            at = conversation.output_format.at
            fields |= dict.fromkeys(("response_mime_type", "response_json_schema", "response_schema"), at)
        if conversation.modalities.names:
            fields["response_modalities"] = conversation.modalities.at
        if conversation.safety:
            fields["safety_settings"] = "safety_settings"
        if conversation.service_tier is not None:
            fields["service_tier"] = "service_tier"
        native = conversation.google.options.generation_config or {}
        at = conversation.google.at("generation_config")
        return {**fields, **conversation.google.paths, **{snake(name): f"{at}.{name}" for name in native}}

    def of(self, names: Iterable[str]) -> list[str]:
        """Return the client's paths of some of Gemini's fields, each once."""
        return list(dict.fromkeys(self.fields[name] for name in names if name in self.fields))

    def path(self, google_path: str | None) -> str | None:
        """Return the client's path for a path that Google names, such as `generation_config.top_k`."""
        if google_path is None:
            return None
        content = _CONTENT.match(google_path)
        if content and int(content[1]) < len(self._contents) and self._contents[int(content[1])]:
            return self._contents[int(content[1])]
        function = _FUNCTION.match(google_path)
        if function and int(function[1]) < len(self._schemas):
            return self._schemas[int(function[1])]
        steps = [snake(step.partition("[")[0]) for step in _STEP.findall(google_path)]
        return next((self.fields[step] for step in reversed(steps) if step in self.fields), None)


def _sampling(conversation: ConversationBuilder) -> dict[str, str]:
    sampling, names = conversation.sampling, conversation.names
    return {
        name: names.get(name) or NAMES.get(name, name)
        for name in sampling.__struct_fields__
        if getattr(sampling, name)
    }


def _tools(conversation: ConversationBuilder) -> dict[str, str]:
    tools = conversation.declared
    if tools is None:
        return {}
    fields = {"tools": at} if (at := tools.at or tools.built_ins_at) else {}
    if tools.choice is not None:
        fields["tool_config"] = tools.choice.at
    return fields
