"""No field of a request is lost in silence: each changes what Google is asked, the answer, or the notes."""

import importlib
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from msgspec import inspect as shapes

from gateway.plugins.responses.signatures import seal
from tests.support.hostile import Bench

Json = dict[str, Any]
F3, F25 = "gemini-3-flash-preview", "gemini-2.5-flash"
PNG = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FUNCTION = {"name": "f", "parameters": SCHEMA}
USER = {"role": "user", "content": "x"}
NATIVE = {"thinking_config": {"include_thoughts": True}}


class Place:
    """One kind of object of a surface: where it stands in a body, its least form, and a value of each field."""

    def __init__(self, body: Callable[[Json], Json], least: Json, samples: Json) -> None:
        self.body, self.least, self.samples = body, least, samples


class In:
    """A value of a field that means something only beside others."""

    def __init__(self, value: Any, **beside: Any) -> None:
        self.value, self.beside = value, beside


MEDIA = {
    "detail": "low",
    "media_resolution": "MEDIA_RESOLUTION_LOW",
    "mediaResolution": "MEDIA_RESOLUTION_LOW",
}
CLIP = {"video_metadata": {"fps": 2}, "videoMetadata": {"fps": 2}, "fps": 2}
LOCATION = {"city": "Oslo", "region": "R", "country": "NO", "timezone": "Europe/Oslo"}


def chat(**fields: Any) -> Json:
    return {"model": F3, "messages": [USER], **fields}


def said(message: Json) -> Json:
    return chat(messages=[USER, message, USER])


def part(content: Json) -> Json:
    return chat(messages=[{"role": "user", "content": [{"type": "text", "text": "x"}, content]}])


def called(call: Json, **message: Any) -> Json:
    result = {"role": "tool", "tool_call_id": "c1", "content": "1"}
    return chat(messages=[USER, {"role": "assistant", "tool_calls": [call], **message}, result])


def chosen(choice: Any) -> Json:
    tools = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
    return chat(tools=[*tools, {"type": "custom", "custom": {"name": "c"}}], tool_choice=choice)


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CHAT: dict[str, Place] = {
    "ChatRequest": Place(lambda d: d, chat(), {
        "messages": [USER, USER], "model": F25, "stream": True, "stream_options": In({"include_usage": True}, stream=True),
        "temperature": 0.5, "top_p": 0.5, "top_k": 3, "n": 2, "seed": 4, "stop": "z", "max_tokens": 9,
        "max_completion_tokens": 9, "presence_penalty": 1, "frequency_penalty": 1, "logprobs": True,
        "top_logprobs": In(2, logprobs=True, model=F25), "response_format": {"type": "json_object"},
        "tools": [{"type": "function", "function": FUNCTION}],
        "tool_choice": In("required", tools=[{"type": "function", "function": FUNCTION}]), "parallel_tool_calls": In(False, tools=[{"type": "function", "function": FUNCTION}]),
        "functions": [FUNCTION], "function_call": In("none", functions=[FUNCTION]), "reasoning_effort": "low",
        "reasoning": {"effort": "low"}, "thinking": {"type": "enabled"}, "modalities": ["audio"],
        "audio": In({"voice": "ash"}, model="gemini-2.5-flash-preview-tts", modalities=["audio"]),
        "web_search_options": {}, "service_tier": "flex", "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        "cached_content": "cachedContents/a", "thinking_config": {"include_thoughts": True}, "google": NATIVE,
        "extra_body": {"google": NATIVE},
    }),
    "Message": Place(said, {"role": "assistant", "content": "a"}, {
        "role": "user", "content": "b", "name": "bob", "refusal": In("no", content=None),
        "tool_calls": [CALL], "tool_call_id": In("c9", role="tool"), "function_call": {"name": "f", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "c2ln"}}, "provider_specific_fields": In({"thought_signatures": ["c2ln"]}, tool_calls=[CALL]),
        "reasoning_details": In([{"type": "reasoning.encrypted", "data": "c2ln", "id": "c1"}], tool_calls=[CALL]),
        "images": [{"image_url": {"url": PNG}}],
    }),
    "ContentPart": Place(part, {"type": "image_url", "image_url": {"url": PNG}}, {
        **MEDIA, **CLIP, "type": "text", "text": In("b", type="text"), "image_url": {"url": PNG + "AAAA"}, "mime_type": "image/webp",
        "input_audio": In({"data": "AAAA", "format": "wav"}, type="input_audio"), "file": In({"file_id": "files/a"}, type="file"),
        "video_url": In("https://youtu.be/x", type="video_url"), "audio_url": In(PNG, type="audio_url"), "refusal": In("b", type="refusal"),
    }),
    "ImageURL": Place(lambda d: part({"type": "image_url", "image_url": d}), {"url": PNG},
                      {**MEDIA, **CLIP, "url": PNG + "AAAA", "format": "image/webp", "mime_type": "image/webp"}),
    "InputAudio": Place(lambda d: part({"type": "input_audio", "input_audio": d}), {"data": "AAAA"}, {"data": "BBBB", "format": "mp3"}),
    "FileInput": Place(lambda d: part({"type": "file", "file": d}), {"file_data": "JVBERg=="}, {
        **MEDIA, **CLIP, "file_data": "JVBERgAA", "file_id": In("files/a", file_data=None), "filename": "a.csv", "format": "text/csv", "mime_type": "text/csv"}),
    "CallIn": Place(called, CALL, {
        "id": "c2", "function": {"name": "g"}, "custom": In({"name": "c", "input": "y"}, type="custom", function=None),
        "extra_content": {"google": {"thought_signature": "c2ln"}}, "provider_specific_fields": {"thought_signature": "c2ln"},
        "thought_signature": "c2ln", "thoughtSignature": "c2ln"}),
    "CalledFunction": Place(lambda d: called({**CALL, "function": d}), {"name": "f"}, {
        "name": "g", "arguments": '{"a":1}', "thought_signature": "c2ln", "provider_specific_fields": {"thought_signature": "c2ln"}}),
    "ProviderFields": Place(lambda d: called({**CALL, "provider_specific_fields": d}, provider_specific_fields=d), {},
        {"thought_signatures": ["c2ln"], "thought_signature": "c2ln"}),
    "CalledCustom": Place(lambda d: called({"id": "c1", "type": "custom", "custom": d}), {"name": "c"}, {"name": "d", "input": "y"}),
    "ExtraIn": Place(lambda d: called({**CALL, "extra_content": d}), {}, {n: {"thought_signature": "c2ln"} for n in ("google", "vertex")}),
    "GoogleExtra": Place(lambda d: said({"role": "assistant", "content": "a", "extra_content": {"google": d}}), {}, {
        "thought_signature": "c2ln", "server_parts": [{"executableCode": {"code": "1"}}]}),
    "ReasoningDetail": Place(lambda d: called(CALL, reasoning_details=[d]), {"type": "reasoning.encrypted", "data": "c2ln", "id": "c1"},
        {"type": "x", "data": "c2lnMg==", "id": "c7"}),
    "ImageIn": Place(lambda d: said({"role": "assistant", "content": "a", "images": [d]}), {}, {"image_url": {"url": PNG}}),
    "StreamOptions": Place(lambda d: chat(stream=True, stream_options=d), {}, {"include_usage": True}),
    "ResponseFormat": Place(lambda d: chat(response_format=d), {"type": "text"}, {
        "type": "json_object", "json_schema": In({"name": "n", "schema": SCHEMA}, type="json_schema")}),
    "JsonSchemaFormat": Place(lambda d: chat(response_format={"type": "json_schema", "json_schema": d}), {"schema": SCHEMA}, {
        "schema": {**SCHEMA, "required": ["a"]}, "description": "d"}),
    "Tool": Place(lambda d: chat(model=F3, tools=[d]), {"type": "function", "function": FUNCTION}, {
        "type": "web_search", "function": {"name": "g"}, "custom": In({"name": "c"}, type="custom", function=None),
        **{name: In({}, type=None, function=None) for name in ("google_search", "googleSearch", "url_context", "urlContext",
                                                              "code_execution", "codeExecution", "google_maps", "googleMaps")}}),
    "FunctionDefinition": Place(lambda d: chat(tools=[{"type": "function", "function": d}]), {"name": "f"}, {
        "name": "g", "description": "d", "parameters": SCHEMA, "strict": True}),
    "CustomDefinition": Place(lambda d: chat(tools=[{"type": "custom", "custom": d}]), {"name": "c"}, {
        "name": "d", "description": "d", "format": {"type": "grammar", "definition": "x", "syntax": "lark"}}),
    "ToolChoice": Place(chosen, {"type": "function", "function": {"name": "f"}}, {
        "type": In("web_search", function=None), "name": In("g", function=None), "function": {"name": "g"},
        "custom": In({"name": "c"}, type="custom", function=None), "allowed_tools": {"tools": [{"type": "function", "name": "g"}]},
        "mode": In("required", type="allowed_tools", tools=[{"type": "function", "name": "f"}], function=None), "tools": In([{"type": "function", "name": "f"}], type="allowed_tools", function=None)}),
    "ToolName": Place(lambda d: chosen({"type": "function", "function": d}), {"name": "f"}, {"name": "g"}),
    "AllowedTools": Place(lambda d: chosen({"type": "allowed_tools", "allowed_tools": d}), {"tools": [{"type": "function", "name": "f"}]},
        {"tools": [{"type": "function", "name": "g"}], "mode": "required"}),
    "NamedTool": Place(lambda d: chosen({"type": "allowed_tools", "allowed_tools": {"tools": [d]}}), {"type": "function", "name": "f"}, {
        "name": "g", "function": {"name": "g"}, "custom": In({"name": "c"}, name=None, type="custom")}),
    "OpenRouterReasoning": Place(lambda d: chat(model=F25, reasoning=d), {}, {"effort": "low", "max_tokens": 2000, "exclude": In(True, enabled=True), "enabled": True}),
    "AnthropicThinking": Place(lambda d: chat(model=F25, thinking=d), {"type": "enabled"}, {"type": "disabled", "budget_tokens": 2000}),
    "AudioOut": Place(lambda d: chat(model="gemini-2.5-flash-preview-tts", modalities=["audio"], audio=d), {}, {"voice": "ash", "format": "pcm16"}),
    "WebSearchOptions": Place(lambda d: chat(web_search_options=d), {}, {"user_location": {"approximate": LOCATION}, "search_context_size": "high"}),
    "UserLocation": Place(lambda d: chat(web_search_options={"user_location": d}), {}, {"approximate": LOCATION}),
    "ApproximateLocation": Place(lambda d: chat(web_search_options={"user_location": {"approximate": d}}), {}, LOCATION),
    "SafetySetting": Place(lambda d: chat(safety_settings=[d]), {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"},
        {"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_NONE"}),
    "ExtraBody": Place(lambda d: chat(extra_body=d), {}, {"google": NATIVE}),
}  # fmt: skip


def response(**fields: Any) -> Json:
    return {"model": F3, "input": "x", **fields}


def items(*more: Json) -> Json:
    return response(input=[USER, *more, USER])


def tool(declared: Json) -> Json:
    return response(tools=[declared])


def picked(choice: Any) -> Json:
    functions = [{"type": "function", "name": name} for name in ("f", "g")]
    return response(
        tools=[*functions, {"type": "namespace", "name": "ns", "tools": [{"type": "function", "name": "f"}]}],
        tool_choice=choice,
    )


OWN_CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
RESPONSES: dict[str, Place] = {
    "ResponseRequest": Place(lambda d: d, response(), {
        "input": "y", "model": F25, "instructions": "i", "stream": True, "max_output_tokens": 9, "temperature": 0.5, "top_p": 0.5,
        "top_logprobs": 2, "reasoning": {"effort": "low"}, "text": {"format": {"type": "json_object"}},
        "tools": [{"type": "function", **FUNCTION}], "tool_choice": In("required", tools=[{"type": "function", **FUNCTION}]),
        "parallel_tool_calls": False, "include": ["web_search_call.results"], "previous_response_id": "resp_x", "store": False,
        "service_tier": "flex", "prompt_cache_key": "k", "stream_options": {"include_obfuscation": True}, "metadata": {"a": "b"}, "background": True, "conversation": "c", "prompt": {"id": "p"}, "google": NATIVE,
        "extra_body": {"google": NATIVE}, "web_search_options": {},
    }),
    "Item": Place(items, {"type": "message", "role": "assistant", "content": "a"}, {
        "type": "reasoning", "role": "user", "content": "b", "call_id": In("c2", **OWN_CALL | {"call_id": None}), "name": In("g", **OWN_CALL | {"name": "f"}),
        "arguments": In('{"a":1}', **OWN_CALL | {"arguments": None}), "input": In("y", type="custom_tool_call", call_id="c1", name="c"),
        "output": In("1", type="function_call_output", call_id="c9"), "result": In("iVBORw0KGgo=", type="image_generation_call"),
        "operation": In({"type": "delete_file", "path": "a"}, type="apply_patch_call", call_id="c1"),
        "tools": In([{"type": "function", "name": "z"}], type="additional_tools"), "namespace": In("ns", **OWN_CALL),
    }),
    "ItemPart": Place(lambda d: items({"role": "user", "content": [d]}), {"type": "input_image", "image_url": PNG}, {
        **MEDIA, **CLIP, "type": "input_file", "text": In("b", type="input_text"), "refusal": In("b", type="refusal"), "image_url": PNG + "AAAA",
        "file_id": In("files/a", image_url=None), "file_data": In("JVBERgAA", type="input_file"), "file_url": In("https://youtu.be/x", type="input_file"),
        "filename": In("a.csv", type="input_file", file_data="JVBERg=="), "input_audio": In({"data": "AAAA", "format": "wav"}, type="input_audio"),
    }),
    "InputAudio": Place(lambda d: items({"role": "user", "content": [{"type": "input_audio", "input_audio": d}]}), {"data": "AAAA"}, {"data": "BBBB", "format": "mp3"}),
    "Reasoning": Place(lambda d: response(reasoning=d), {}, {"effort": "low", "summary": "auto", "generate_summary": "auto"}),
    "TextOptions": Place(lambda d: response(text=d), {}, {"format": {"type": "json_object"}, "verbosity": "low"}),
    "TextFormat": Place(lambda d: response(text={"format": d}), {"type": "json_schema", "schema": SCHEMA}, {
        "type": "json_object", "name": "n", "description": "d", "schema": {**SCHEMA, "required": ["a"]}, "strict": True}),
    "ResponseTool": Place(tool, {"type": "function", "name": "f"}, {
        "type": "web_search", "name": "g", "description": "d", "parameters": SCHEMA, "strict": True, "format": In({"type": "grammar", "definition": "x", "syntax": "lark"}, type="custom"),
        "tools": In([{"type": "function", "name": "z"}], type="namespace"), "user_location": In({"city": "Oslo"}, type="web_search"),
        "defer_loading": True, "execution": In("client", type="tool_search"), "environment": In({"type": "local"}, type="shell"),
        "filters": In({"allowed_domains": ["a.example"]}, type="web_search"), "search_context_size": In("high", type="web_search"),
        "search_content_types": In(["image"], type="web_search"), "external_web_access": In(False, type="web_search"), "container": In("c", type="code_interpreter")}),
    "ResponseToolChoice": Place(picked, {"type": "function", "name": "f"}, {
        "type": "web_search", "name": "g", "namespace": "ns", "mode": In("required", type="allowed_tools", tools=[{"type": "function", "name": "f"}]),
        "tools": In([{"type": "function", "name": "f"}], type="allowed_tools")}),
    "ToolRef": Place(lambda d: picked({"type": "allowed_tools", "mode": "auto", "tools": [d]}), {"type": "function", "name": "f"}, {"type": "mcp", "name": "g", "namespace": "ns"}),
    "ExtraBody": Place(lambda d: response(extra_body=d), {}, {"google": NATIVE}),
    "WebSearchOptions": Place(lambda d: response(web_search_options=d), {}, {"user_location": {"approximate": LOCATION}, "search_context_size": "high"}),
    "UserLocation": Place(lambda d: response(web_search_options={"user_location": d}), {}, {"approximate": LOCATION}),
    "ApproximateLocation": Place(lambda d: response(web_search_options={"user_location": {"approximate": d}}), {}, LOCATION),
}  # fmt: skip


def message(**fields: Any) -> Json:
    return {"model": F3, "max_tokens": 50, "messages": [USER], **fields}


def block(inner: Json) -> Json:
    return message(messages=[{"role": "user", "content": [{"type": "text", "text": "x"}, inner]}])


def answered(*blocks: Json) -> Json:
    return message(messages=[USER, {"role": "assistant", "content": list(blocks)}, USER])


IMAGE = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
USE = {"type": "tool_use", "id": "u1", "name": "f", "input": {}}


SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1"}


def used(result: Json) -> Json:
    return message(
        messages=[USER, {"role": "assistant", "content": [USE]}, {"role": "user", "content": [result]}]
    )


MESSAGES: dict[str, Place] = {
    "MessagesRequest": Place(lambda d: d, message(), {
        "messages": [USER, USER], "model": F25, "max_tokens": 60, "system": "s", "stream": True, "temperature": 0.5, "top_p": 0.5, "top_k": 3,
        "stop_sequences": ["z"], "thinking": {"type": "enabled", "budget_tokens": 1024}, "output_config": {"effort": "low"},
        "output_format": {"type": "json_schema", "schema": SCHEMA}, "tools": [{"name": "f", "input_schema": SCHEMA}],
        "tool_choice": In({"type": "any"}, tools=[{"name": "f", "input_schema": SCHEMA}]), "google": NATIVE, "extra_body": {"google": NATIVE}}),
    "Message": Place(lambda d: message(messages=[USER, d, USER]), {"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}),
    "Block": Place(block, {"type": "image", "source": IMAGE}, {
        **MEDIA, **CLIP, "type": In("text", text="b"), "text": In("b", type="text"), "source": {**IMAGE, "data": "iVBORw0KGgoA"}, "title": In("t", type="document"), "context": In("c", type="document"), "citations": In({"enabled": True}, type="document"),
        "content": In("1", type="tool_result", tool_use_id="u9"), "tool_use_id": In("u8", type="tool_result"), "is_error": In(True, type="tool_result", content="1")}),
    "BlockSource": Place(lambda d: block({"type": "image", "source": d}), IMAGE, {
        "type": "text", "media_type": "image/webp", "data": "iVBORw0KGgoA", "url": In("https://youtu.be/x", type="url"), "file_id": In("files/a", type="file"),
        "content": In("b", type="content")}),
    "Thinking": Place(lambda d: message(model=F25, thinking=d), {"type": "enabled"}, {"type": "disabled", "budget_tokens": 1024, "display": "omitted"}),
    "OutputConfig": Place(lambda d: message(output_config=d), {}, {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}}),
    "OutputFormat": Place(lambda d: message(output_config={"format": d}), {"type": "json_schema", "schema": SCHEMA}, {"type": "x", "schema": {**SCHEMA, "required": ["a"]}}),
    "Tool": Place(lambda d: message(tools=[d]), {"name": "f", "input_schema": SCHEMA}, {
        "name": "g", "type": "web_search_20250305", "description": "d", "input_schema": {**SCHEMA, "required": ["a"]}, "strict": True,
        "input_examples": [{"a": 1}], "allowed_callers": ["code_execution_20250825"], "defer_loading": True,
        **{name: In(value, name="web_fetch", type="web_fetch_20250910", input_schema=None) for name, value in (
            ("citations", {"enabled": True}), ("response_inclusion", "excluded"), ("url_sources", "all"), ("use_cache", False))},
        **{name: In(value, type="web_search_20250305") for name, value in
           {"allowed_domains": ["a.example"], "blocked_domains": ["b.example"], "user_location": {"type": "approximate", "city": "Oslo"}, "max_uses": 2}.items()},
        "max_content_tokens": In(5, type="web_fetch_20250910")}),
    "Location": Place(lambda d: message(tools=[{"name": "w", "type": "web_search_20250305", "user_location": {"type": "approximate", **d}}]), {}, LOCATION),
    "ToolChoice": Place(lambda d: message(tools=[{"name": n, "input_schema": SCHEMA} for n in "fg"], tool_choice=d), {"type": "tool", "name": "f"}, {
        "type": "any", "name": "g", "disable_parallel_tool_use": In(True, type="any")}),
    "ExtraBody": Place(lambda d: message(extra_body=d), {}, {"google": NATIVE}),
}  # fmt: skip
EXTRA_BLOCKS: dict[str, tuple[Json, Json]] = {
    "url": (answered(SEARCH, {**FOUND, "content": [{"type": "web_search_result", "title": "t"}]}),
            answered(SEARCH, {**FOUND, "content": [{"type": "web_search_result", "title": "t", "url": "https://a.example/"}]})),
    "id": (answered({**USE, "id": "u1"}), answered({**USE, "id": "u2"})),
    "name": (answered(USE), answered({**USE, "name": "g"})),
    "input": (answered(USE), answered({**USE, "input": {"a": 1}})),
    "thinking": (answered(USE), answered({"type": "thinking", "thinking": "t", "signature": "c2ln"}, USE)),
    "signature": (answered({"type": "thinking", "thinking": "t"}, USE), answered({"type": "thinking", "thinking": "t", "signature": "c2ln"}, USE)),
    "data": (answered({"type": "redacted_thinking"}, USE), answered({"type": "redacted_thinking", "data": "c2ln"}, USE)),
}  # fmt: skip
"""Fields of Messages' blocks that only an earlier answer has."""


def completion(**fields: Any) -> Json:
    return {"model": F3, "prompt": "x", **fields}


COMPLETIONS: dict[str, Place] = {
    "CompletionRequest": Place(lambda d: d, completion(), {
        "prompt": "y", "model": F25, "suffix": "z", "echo": True, "stream": True, "stream_options": In({"include_usage": True}, stream=True),
        "max_tokens": 9, "temperature": 0.5, "top_p": 0.5, "n": 2, "best_of": 2, "seed": 4, "stop": "z", "presence_penalty": 1, "frequency_penalty": 1}),
    "StreamOptions": Place(lambda d: completion(stream=True, stream_options=d), {}, {"include_usage": True}),
}  # fmt: skip


def embedding(**fields: Any) -> Json:
    return {"model": "gemini-embedding-001", "input": "x", **fields}


EXTRAS = {"task_type": "CLUSTERING", "title": In("t", task_type="RETRIEVAL_DOCUMENT")}
EMBEDDINGS: dict[str, Place] = {
    "EmbeddingRequest": Place(lambda d: d, embedding(), {
        "input": "y", "model": "gemini-embedding-002", "dimensions": 256, "encoding_format": "base64", **EXTRAS,
        "google": {"task_type": "CLUSTERING"}, "extra_body": {"google": {"task_type": "CLUSTERING"}}}),
    "EmbeddingExtras": Place(lambda d: embedding(google=d), {}, EXTRAS),
    "ExtraBody": Place(lambda d: embedding(extra_body=d), {}, {"google": {"task_type": "CLUSTERING"}}),
}  # fmt: skip

SURFACES: dict[str, tuple[str, str, dict[str, Place]]] = {
    "/v1/chat/completions": ("chat", "ChatRequest", CHAT),
    "/v1/responses": ("responses", "ResponseRequest", RESPONSES),
    "/v1/messages": ("messages", "MessagesRequest", MESSAGES),
    "/v1/completions": ("completions", "CompletionRequest", COMPLETIONS),
    "/v1/embeddings": ("embeddings", "EmbeddingRequest", EMBEDDINGS),
}
SHELL: Json = {"type": "shell_call_output", "call_id": "c1"}
PATCH: Json = {"type": "apply_patch_call_output", "call_id": "c1", "output": "x"}
EXTRA_ITEMS: dict[str, tuple[list[Json], list[Json]]] = {
    "Item.action": ([{"type": "web_search_call"}], [{"type": "web_search_call", "action": {"query": "q"}}]),
    "Item.code": ([{"type": "code_interpreter_call"}], [{"type": "code_interpreter_call", "code": "1"}]),
    "Item.outputs": ([{"type": "code_interpreter_call"}], [{"type": "code_interpreter_call", "outputs": [{"logs": "1"}]}]),
    "Item.queries": ([{"type": "file_search_call"}], [{"type": "file_search_call", "queries": ["q"]}]),
    "Item.status": ([{**PATCH, "status": "completed"}], [{**PATCH, "status": "failed"}]),
    "Item.encrypted_content": ([{"type": "reasoning"}, OWN_CALL], [{"type": "reasoning", "encrypted_content": seal("c2ln", "c1")}, OWN_CALL]),
    "ItemPart.encrypted_content": (
        [{"type": "agent_message", "author": "a", "content": [{"type": "encrypted_content", "encrypted_content": ""}]}],
        [{"type": "agent_message", "author": "a", "content": [{"type": "encrypted_content", "encrypted_content": "do it"}]}],
    ),
    "ItemPart.stdout": ([{**SHELL, "output": [{}]}], [{**SHELL, "output": [{"stdout": "o"}]}]),
    "ItemPart.stderr": ([{**SHELL, "output": [{}]}], [{**SHELL, "output": [{"stderr": "e"}]}]),
    "ItemPart.outcome": ([{**SHELL, "output": [{}]}], [{**SHELL, "output": [{"outcome": {"type": "timeout"}}]}]),
}  # fmt: skip
"""Fields of Responses' items that only some types have: items without and with each."""
UNSEEN: dict[str, dict[str, str]] = {
    "/v1/chat/completions": {
        "ChatRequest.prompt_cache_key": "chooses a project of the pool",
        "CallIn.type": "`function` or `custom` says it",
        "NamedTool.type": "the name says which tool",
        "JsonSchemaFormat.name": "a label that OpenAI requires; the schema is what counts",
        "JsonSchemaFormat.strict": "Gemini's JSON mode always keeps to the schema",
    },
    "/v1/responses": {"Item.id": "finds what is stored; see test_hosted_history"},
    "/v1/messages": {},
    "/v1/completions": {},
    "/v1/embeddings": {},
}
"""Fields that change nothing that this test sees, each with its reason."""
EXTRA: dict[str, dict[str, tuple[Json, Json]]] = {
    **{path: {} for path in SURFACES},
    "/v1/messages": {f"Block.{field}": bodies for field, bodies in EXTRA_BLOCKS.items()},
    "/v1/responses": {name: (items(*without), items(*more)) for name, (without, more) in EXTRA_ITEMS.items()},
}
_OWN = ("id", "created", "created_at", "completed_at", "item_id", "first_id", "last_id")


def structs(module: str, name: str) -> dict[str, list[str]]:
    """Return the fields of a request and of all Structs inside it."""
    fields_of: dict[str, list[str]] = {}

    def walk(shape: shapes.Type) -> None:
        if isinstance(shape, shapes.StructType) and shape.cls.__name__ not in fields_of:
            fields_of[shape.cls.__name__] = [field.encode_name for field in shape.fields]
            for field in shape.fields:
                walk(field.type)
        for inner in getattr(shape, "types", ()):
            walk(inner)
        if isinstance(shape, shapes.ListType):
            walk(shape.item_type)

    wire = importlib.import_module(f"gateway.plugins.{module}.wire")
    walk(shapes.type_info(getattr(wire, name)))
    return fields_of


class Recording(Bench):
    """A gateway that records what Google is asked."""

    def __init__(self, path: str) -> None:
        self.asked: list[Any] = []
        super().__init__(path, self._record)

    async def _record(self, request: web.Request) -> web.Response:
        text = await request.text()
        self.asked.append((request.path_qs, json.loads(text)))
        if "mbed" in request.path:
            body = json.loads(text)
            return web.json_response(
                {
                    "embeddings": [{"values": [1.0]} for _ in body.get("requests", [1])],
                    "embedding": {"values": [1.0]},
                }
            )
        parts: list[Json] = [{"text": "hi"}]
        if "-tts" in request.path:
            parts = [{"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": "AAAA"}}]
        elif "functionDeclarations" in text:
            parts = [{"functionCall": {"id": name, "name": name, "args": {}}} for name in "fg"]
        answer = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
        if "stream" in request.path:
            text = f"data: {json.dumps(answer)}\r\n\r\n"
            return web.Response(body=text.encode(), headers={"Content-Type": "text/event-stream"})
        return web.json_response(answer)

    async def effect(self, body: Json) -> Any:
        """Return what a client can know: what Google was asked, status, answer and notes."""
        self.asked = []
        async with self.http.post(self.url, json=body) as answer:
            text = await answer.text()
            notes = answer.headers.get("x-gateway-notes")
            own = (
                json.loads(text, object_hook=_without_own)
                if answer.content_type == "application/json"
                else _shape(text)
            )
            return sorted(map(json.dumps, self.asked)), answer.status, own, notes


def _without_own(value: Json) -> Json:
    return {name: inner for name, inner in value.items() if name not in _OWN}


def _shape(stream: str) -> str:
    return re.sub(r'"(id|item_id)":"[^"]*"|"(created|created_at|completed_at)":\d+', "", stream)


def cases(path: str) -> list[tuple[str, Json, Json]]:
    """Return name, body without and body with each field."""
    module, name, places = SURFACES[path]
    pairs: list[tuple[str, Json, Json]] = []
    for struct, fields in structs(module, name).items():
        place = places.get(struct)
        for field in fields:
            if f"{struct}.{field}" in UNSEEN[path] or f"{struct}.{field}" in EXTRA[path]:
                continue
            if place is None or field not in place.samples:
                pairs.append((f"{struct}.{field}", {}, {}))
                continue
            sample = place.samples[field]
            beside = sample.beside if isinstance(sample, In) else {}
            least = {**place.least, **beside}
            value = sample.value if isinstance(sample, In) else sample
            pairs.append((f"{struct}.{field}", place.body(least), place.body({**least, field: value})))
    return [*pairs, *((name, *bodies) for name, bodies in EXTRA[path].items())]


@pytest.fixture(params=SURFACES)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Recording]:
    bench = Recording(request.param)
    await bench.start()
    yield bench
    await bench.stop()


@pytest.mark.row("G15")
async def test_g15_each_field_alone_is_found_upstream_in_the_answer_or_in_the_notes(bench: Recording) -> None:
    silent = []
    for name, without, with_field in cases(bench.path):
        if not with_field:
            silent.append(f"{name}: no sample")
        elif await bench.effect(without) == await bench.effect(with_field):
            silent.append(name)

    print("SILENT", silent)
    assert silent == []
