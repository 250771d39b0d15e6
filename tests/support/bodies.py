"""A good request body of each surface, with every field that the surface reads."""

from typing import Any

PNG = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"enum": ["x", None]}}}
GOOGLE = {"thinking_config": {"thinking_level": "low"}, "generation_config": {"topK": 4}, "tools": []}
F3 = "gemini-3-flash-preview"

MEDIA: dict[str, Any] = {
    "fps": 1, "video_metadata": {"fps": 1}, "videoMetadata": {"fps": 1},
    "media_resolution": None, "mediaResolution": None,
}  # fmt: skip
RESPONSE: dict[str, Any] = {
    "model": F3, "instructions": [{"role": "system", "content": "s"}], "stream": False, "max_output_tokens": 50,
    "stream_options": {"include_obfuscation": False}, "temperature": 1, "top_p": 0.5, "top_logprobs": 1,
    "reasoning": {"effort": "low", "summary": "auto", "generate_summary": "auto"},
    "text": {"format": {"type": "json_schema", "name": "n", "description": "d", "schema": SCHEMA, "strict": True},
             "verbosity": "low"},
    "tools": [{"type": "function", "name": "f", "description": "d", "parameters": SCHEMA, "strict": False},
              {"type": "custom", "name": "c", "format": {"type": "text"}},
              {"type": "namespace", "name": "ns", "tools": [{"type": "function", "name": "g", "parameters": {}}]},
              {"type": "web_search", "user_location": {"city": "Oslo"}, "filters": {}, "external_web_access": True,
               "search_context_size": "low", "search_content_types": ["text"]},
              {"type": "code_interpreter", "container": {"type": "auto"}},
              {"type": "tool_search", "execution": "client", "defer_loading": False},
              {"type": "shell", "environment": {"type": "local"}}],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "name": "f", "namespace": "",
                    "tools": [{"type": "function", "name": "f", "namespace": None}]},
    "parallel_tool_calls": True, "include": ["reasoning.encrypted_content"], "previous_response_id": None,
    "store": False, "service_tier": "auto", "prompt_cache_key": "k", "metadata": {"a": "b"}, "background": False, "conversation": None,
    "prompt": None, "google": GOOGLE, "extra_body": {"google": GOOGLE},
    "web_search_options": {"search_context_size": "low", "user_location": {"approximate": {
        "city": "Oslo", "region": "Oslo", "country": "NO", "timezone": "Europe/Oslo"}}},
    "input": [
        {"type": "message", "id": "m1", "role": "user", "content": [
            {"type": "input_text", "text": "hi"},
            {"type": "input_image", "image_url": PNG, "detail": "low", **MEDIA},
            {"type": "input_file", "file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf",
             "file_id": None, "file_url": None},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]},
        {"type": "reasoning", "id": "r1", "encrypted_content": "x"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "1"}]},
        {"type": "custom_tool_call", "call_id": "c2", "name": "c", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "1"},
        {"type": "function_call", "call_id": "c3", "name": "g", "namespace": "ns", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c3", "output": "1"},
        {"type": "shell_call", "call_id": "c4", "action": {"commands": ["ls"]}},
        {"type": "shell_call_output", "call_id": "c4", "status": "completed",
         "output": [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]},
        {"type": "apply_patch_call", "call_id": "c5", "operation": {"type": "delete_file", "path": "a"}},
        {"type": "apply_patch_call_output", "call_id": "c5", "status": "completed", "output": "1"},
        {"type": "code_interpreter_call", "id": "ci", "code": "1", "queries": None,
         "outputs": [{"type": "logs", "logs": "1"}]},
        {"type": "additional_tools", "role": "developer", "tools": [{"type": "custom", "name": "d"}]},
        {"type": "image_generation_call", "id": "i1", "result": "iVBORw0KGgo="},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"role": "user", "content": "and?"},
    ],
}  # fmt: skip
MESSAGE: dict[str, Any] = {
    "model": F3, "max_tokens": 50, "stream": False, "temperature": 1, "top_p": 0.5, "top_k": 3,
    "stop_sequences": ["x"], "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "summarized"},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
    "output_format": {"type": "json_schema", "schema": SCHEMA},
    "tools": [{"name": "f", "type": "custom", "description": "d", "input_schema": SCHEMA, "strict": True,
               "input_examples": [{"a": 1}], "allowed_callers": ["direct"], "defer_loading": False},
              {"type": "web_fetch_20260318", "name": "web_fetch", "citations": {"enabled": False},
               "response_inclusion": "full", "url_sources": None, "use_cache": True},
              {"type": "web_search_20250305", "name": "web_search", "allowed_domains": ["a.example"],
               "blocked_domains": [], "max_uses": 3, "max_content_tokens": 9,
               "user_location": {"type": "approximate", "city": "Oslo", "region": "Oslo", "country": "NO",
                                 "timezone": "Europe/Oslo"}}],
    "tool_choice": {"type": "auto", "name": "f", "disable_parallel_tool_use": True},
    "google": GOOGLE, "extra_body": {"google": GOOGLE}, "system": [{"type": "text", "text": "s"}],
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "hi"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
             "detail": "low", **MEDIA},
            {"type": "image", "source": {"type": "url", "url": "https://generativelanguage.googleapis.com/v1beta/files/x"}},
            {"type": "document", "title": "t", "context": "c", "citations": {"enabled": True}, "url": None, "source": {"type": "content", "content": "x", "file_id": None}}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "t", "signature": "c2ln"}, {"type": "redacted_thinking", "data": "x"},
            {"type": "tool_use", "id": "u1", "name": "f", "input": {"a": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "u1", "is_error": False,
                                      "content": [{"type": "text", "text": "1"}]}]},
    ],
}  # fmt: skip
COMPLETION: dict[str, Any] = {
    "model": F3, "prompt": ["x", "y"], "suffix": "z", "echo": True, "stream": False, "max_tokens": 5,
    "stream_options": {"include_usage": True}, "temperature": 1, "top_p": 0.5, "n": 1, "best_of": 1, "seed": 4,
    "stop": ["a"], "presence_penalty": 0, "frequency_penalty": 0, "logprobs": 1, "user": "u",
}  # fmt: skip
EMBEDDING: dict[str, Any] = {
    "model": "gemini-embedding-001", "input": ["x", "y"], "dimensions": 256, "encoding_format": "float",
    "task_type": "CLUSTERING", "title": "t", "google": {"task_type": "CLUSTERING", "title": "t"},
    "extra_body": {"google": {"task_type": "CLUSTERING"}}, "user": "u",
}  # fmt: skip
MODERATION: dict[str, Any] = {
    "model": "omni-moderation-latest",
    "input": [
        {"type": "text", "text": "x"},
        {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
    ],
}
CHAT_SCHEMA = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"enum": ["x", None]}},
               "$defs": {"A": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}}}  # fmt: skip
CHAT: dict[str, Any] = {
    "model": "gemini-3-flash-preview", "stream": False, "stream_options": {"include_usage": True}, "temperature": 1,
    "top_p": 0.5, "top_k": 3, "n": 1, "seed": 5, "stop": ["a"], "max_tokens": 10, "max_completion_tokens": 10,
    "presence_penalty": 0, "frequency_penalty": 0, "logprobs": True, "top_logprobs": 2, "logit_bias": {"1": 2},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": CHAT_SCHEMA}},
    "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": CHAT_SCHEMA, "strict": True}},
              {"type": "custom", "custom": {"name": "c", "format": {"type": "text"}}}, {"google_search": {}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": True,
    "prompt_cache_key": "k",
    "functions": [{"name": "g"}], "function_call": {"name": "g"}, "reasoning_effort": "low",
    "reasoning": {"effort": "low"}, "thinking": {"type": "enabled", "budget_tokens": 5}, "modalities": ["text"],
    "audio": {"voice": "alloy", "format": "wav"}, "service_tier": "auto", "safety_settings": [],
    "web_search_options": {"user_location": {"approximate": {"city": "Oslo"}}}, "cached_content": "cachedContents/a",
    "google": {"thinking_config": {"thinking_level": "low"}, "generation_config": {"topK": 4}, "tools": []},
    "thinking_config": {"include_thoughts": True}, "extra_body": {"google": {"media_resolution": "low"}},
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "s"}]},
        {"role": "user", "content": [
            {"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"}},
            {"type": "video_url", "video_url": {"url": "https://youtu.be/x"}, "video_metadata": {"fps": 1}}]},
        {"role": "assistant", "content": "t", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"},
             "extra_content": {"google": {"thought_signature": "c2ln"}}},
            {"id": "c2", "type": "custom", "custom": {"name": "c", "input": "x"}}],
         "images": [{"image_url": {"url": PNG}}], "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "1"}]},
        {"role": "user", "content": "and?"},
    ],
}  # fmt: skip

IMAGE: dict[str, Any] = {
    "model": "gemini-nano-banana-2.1", "prompt": "hi", "n": 1, "size": "1024x1024", "output_format": "png",
    "output_compression": 90, "response_format": "b64_json", "quality": "high", "partial_images": 0,
    "google": {"thinking_config": {"thinking_level": "minimal"}}, "extra_body": {"google": {"image_size": "1K"}},
}  # fmt: skip

BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/responses": RESPONSE,
    "/v1/messages": MESSAGE,
    "/v1/completions": COMPLETION,
    "/v1/embeddings": EMBEDDING,
    "/v1/images/generations": IMAGE,
    "/v1/images/edits": IMAGE | {"image": [PNG], "images": [{"image_url": PNG}, {"file_id": "files/abc"}]},
    "/v1/moderations": MODERATION,
}
"""A body of each surface with every field that it reads."""

LEAST: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "x"}]},
    "/v1/responses": {"input": "x"},
    "/v1/messages": {"messages": [{"role": "user", "content": "x"}], "max_tokens": 5},
    "/v1/completions": {"prompt": "x"},
    "/v1/embeddings": {"input": "x"},
    "/v1/images/generations": {"prompt": "x", "model": "gemini-nano-banana-2.1"},
    "/v1/images/edits": {"prompt": "x", "image": PNG, "model": "gemini-nano-banana-2.1"},
    "/v1/moderations": {"input": "x"},
}
"""The least that each surface takes."""

OTHERS = {
    "/v1/images/variations", "/v1/batches", "/v1/messages/batches", "/v1/files", "/v1/uploads", "/v1/uploads/{upload_id}/parts",
    "/v1/uploads/{upload_id}/complete", "/v1/audio/speech", "/v1/audio/transcriptions", "/v1/audio/translations",
}  # fmt: skip
"""Surfaces that the generated tests leave out: they take forms or need an upload, or their answer is sound."""
