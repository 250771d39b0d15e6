"""Samples of every block and item type of OpenAI's and Anthropic's SDKs, made from their type definitions."""

import typing
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Any, Literal

import typing_extensions as extensions
from anthropic.types import ContentBlockParam
from anthropic.types.beta import BetaContentBlockParam
from anthropic.types.beta.beta_tool_result_block_param import Content as BetaResultContent
from anthropic.types.tool_result_block_param import Content as ResultContent
from openai.types.chat import ChatCompletionContentPartParam, ChatCompletionMessageParam
from openai.types.chat.chat_completion_assistant_message_param import ContentArrayOfContentPart
from openai.types.responses import ResponseInputItemParam
from openai.types.responses.response_function_call_output_item_param import (
    ResponseFunctionCallOutputItemParam,
)
from openai.types.responses.response_input_content_param import ResponseInputContentParam
from openai.types.responses.response_output_message_param import Content as OutputContent

PNG = "iVBORw0KGgo="
WORD = "marker"
_VALUES = {
    "data": PNG, "media_type": "image/png", "url": f"data:image/png;base64,{PNG}", "file_id": "file_011CNha8",
    "image_url": f"data:image/png;base64,{PNG}", "file_data": f"data:application/pdf;base64,{PNG}",
    "file_url": f"data:application/pdf;base64,{PNG}", "result": PNG, "arguments": f'{{"a":"{WORD}"}}', "format": "wav",
    "filename": "a.pdf",
}  # fmt: skip
"""Values of fields that have a form, by name."""
_MOST_STEPS = 6

BLOCKS = (
    ContentBlockParam, BetaContentBlockParam, ResultContent, BetaResultContent, ChatCompletionContentPartParam,
    ContentArrayOfContentPart, ResponseInputContentParam, ResponseFunctionCallOutputItemParam, OutputContent,
)  # fmt: skip
ITEMS = (ResponseInputItemParam, ChatCompletionMessageParam)


@cache
def blocks() -> dict[str, dict[str, Any]]:
    """Return a sample of each block type, with all of its fields and with the required ones, by name."""
    return dict(_samples(BLOCKS))


@cache
def items() -> dict[str, dict[str, Any]]:
    """Return a sample of each item and message type, likewise."""
    return dict(_samples(ITEMS))


def _samples(unions: Iterable[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in dict.fromkeys(member for union in unions for member in _members(union)):
        hints = typing.get_type_hints(kind, include_extras=True)
        required = {name for name, hint in hints.items() if typing.get_origin(hint) is typing.Required}
        for which, names in (("all", set(hints)), ("least", required)):
            yield (
                f"{kind.__module__.split('.')[0]}.{kind.__name__}.{which}",
                _object(hints, names, _MOST_STEPS),
            )


def _members(union: Any) -> list[Any]:
    """Return the TypedDicts of a union."""
    if extensions.is_typeddict(union):
        return [union]
    return [kind for member in typing.get_args(union) for kind in _members(member)]


def _object(hints: Mapping[str, Any], names: Iterable[str], steps: int) -> dict[str, Any]:
    return {name: _value(name, hints[name], steps) for name in hints if name in names}


def _value(name: str, kind: Any, steps: int) -> Any:
    """Return a value of a type. A type of several is the last object or list, which holds most."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Required, typing.NotRequired, typing.Annotated, extensions.Required):
        return _value(name, arguments[0], steps)
    if origin is Literal:
        return arguments[0]
    if origin in (typing.Union, UnionType):
        values = [_value(name, member, steps) for member in arguments if member is not type(None)]
        return next((value for value in values if isinstance(value, dict | list) and value), values[0])
    if extensions.is_typeddict(kind):
        hints = typing.get_type_hints(kind, include_extras=True) if steps else {}
        return _object(hints, hints, steps - 1)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"key": _value(name, arguments[1], steps - 1)} if steps else {}
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return [_value(name, arguments[0], steps - 1)] if steps else []
    return {int: 1, float: 1.5, bool: True, object: WORD}.get(kind, _VALUES.get(name, WORD))
