"""The response object before anything was said: the request's fields, and OpenAI's defaults."""

from typing import Any

import msgspec

from gateway.plugins.responses.wire import ResponseRequest, ResponseTool

Object = dict[str, Any]


def new_response(response_id: str, body: ResponseRequest, model: str, created: int) -> Object:
    """Return the response before anything was said, with all fields that OpenAI's schema requires.

    `created` is in seconds since the epoch.
    """
    text = body.text.format if body.text is not None else None
    reasoning = body.reasoning
    return {
        "id": response_id, "object": "response", "created_at": created, "completed_at": None,
        "status": "queued" if body.background else "in_progress", "background": bool(body.background), "error": None,
        "incomplete_details": None,
        "instructions": body.instructions if isinstance(body.instructions, str) else None,
        "max_output_tokens": body.max_output_tokens, "max_tool_calls": None, "model": model, "output": [],
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": body.previous_response_id, "prompt_cache_key": body.prompt_cache_key,
        "reasoning": {"effort": reasoning.effort if reasoning is not None else None,
                      "summary": reasoning.summary if reasoning is not None else None},
        "safety_identifier": None, "service_tier": "default", "store": body.store is not False,
        "temperature": 1.0 if body.temperature is None else body.temperature,
        "frequency_penalty": 0.0, "presence_penalty": 0.0,
        "text": {"format": {"type": "text"} if text is None else {"type": text.type, **msgspec.to_builtins(text)},
                 "verbosity": (body.text.verbosity if body.text is not None else None) or "medium"},
        "tool_choice": msgspec.to_builtins(body.tool_choice or "auto"),
        "tools": [_echoed(tool) for tool in body.tools or ()],
        "top_logprobs": body.top_logprobs or 0, "top_p": 1.0 if body.top_p is None else body.top_p,
        "truncation": "disabled", "usage": None, "metadata": body.metadata or {},
    }  # fmt: skip


def _echoed(tool: ResponseTool) -> Object:
    """Return a tool as the response repeats it. OpenAI's schema requires all fields of a function."""
    if tool.type == "function":
        function = {"type": "function", "name": tool.name, "description": tool.description,
                    "parameters": tool.parameters, "strict": bool(tool.strict)}  # fmt: skip
        return function if tool.defer_loading is None else {**function, "defer_loading": tool.defer_loading}
    fields: Object = msgspec.to_builtins(tool)
    return fields
