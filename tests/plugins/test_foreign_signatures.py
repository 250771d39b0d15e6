"""Signatures of other vendors in a history: dropped or repaired, never a 400 to the client."""

from typing import Any

import aiohttp
import pytest

MODEL = "gemini-3-flash-preview"
SIGNATURES: list[Any] = [
    "abc", "not base64 at all!", "ErUBCkYIARgCIkAyRb3yWcHVmtBlfg==", "gAAAAABpJx0mAbCdEfGh_-Zz==", "sig_01/é", " ", "x" * 5000,
    5, 1.5, True, {"a": 1}, ["x"],
]  # fmt: skip
"""Anthropic's, OpenAI's, broken ones, and other kinds of values."""
USER = {"role": "user", "content": "go"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def chat(signature: Any) -> tuple[str, dict[str, Any]]:
    call = {
        "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": signature}},
    }  # fmt: skip
    answer = {
        "role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": signature}],
        "tool_calls": [call], "reasoning_details": [{"type": "reasoning.text", "signature": signature, "data": signature}],
    }  # fmt: skip
    tool = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
    result = {"role": "tool", "tool_call_id": "c", "content": "1"}
    return "/v1/chat/completions", {"messages": [USER, answer, result], "tools": [tool]}


def responses(signature: Any) -> tuple[str, dict[str, Any]]:
    items = [
        USER,
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": signature},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "signature": signature},
        {"type": "function_call_output", "call_id": "c", "output": "1"},
    ]
    return "/v1/responses", {
        "input": items,
        "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}],
    }


def messages(signature: Any) -> tuple[str, dict[str, Any]]:
    content = [
        {"type": "thinking", "thinking": "t", "signature": signature},
        {"type": "redacted_thinking", "data": signature},
        {"type": "tool_use", "id": "c", "name": "f", "input": {}},
    ]
    result = {"type": "tool_result", "tool_use_id": "c", "content": "1"}
    turns = [USER, {"role": "assistant", "content": content}, {"role": "user", "content": [result]}]
    return "/v1/messages", {
        "max_tokens": 99,
        "messages": turns,
        "tools": [{"name": "f", "input_schema": SCHEMA}],
    }


@pytest.mark.row("G19")
@pytest.mark.parametrize("make", [chat, responses, messages])
@pytest.mark.parametrize("stream", [False, True])
async def test_g19_a_signature_of_another_vendor_is_no_400(
    http: aiohttp.ClientSession, gateway: str, make: Any, stream: bool
) -> None:
    refused = {}
    for signature in SIGNATURES:
        path, body = make(signature)
        async with http.post(gateway + path, json={"model": MODEL, "stream": stream, **body}) as response:
            text = await response.text()
            if response.status != 200 or '"error":{' in text.replace(" ", ""):
                refused[str(signature)[:40]] = text
    assert refused == {}
