"""Reading of a decoded request: its prompt, files, function results and tools. Names are camelCase."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

Request = dict[str, Any]
Parts = list[dict[str, Any]]

CACHED = " cached tokens"
"""Key of the tokens of a request's cached content in the decoded request; no field of Google's has a blank."""
_BUILT_INS = ("googleSearch", "codeExecution", "urlContext", "googleMaps", "fileSearch")
_FILES = {"inlineData", "fileData"}
_REMINDER = re.compile(r"<(system-reminder|task-notification)>.*?</\1>", re.S)
"""Additions of agents (Claude Code, Qwen Code) to a user's turn. The tools that they name are not asked for."""
_FILE_TOKENS = 258
"""Tokens of a small image (https://ai.google.dev/gemini-api/docs/tokens); here of any file."""


def generation(request: Request) -> dict[str, Any]:
    """Return the generationConfig."""
    config: dict[str, Any] = request.get("generationConfig") or {}
    return config


def calling_config(request: Request) -> dict[str, Any]:
    """Return the functionCallingConfig, with `mode` and `allowedFunctionNames`."""
    config: dict[str, Any] = (request.get("toolConfig") or {}).get("functionCallingConfig") or {}
    return config


def functions(request: Request) -> list[dict[str, Any]]:
    """Return all function declarations, in order."""
    return [d for tool in request.get("tools") or () for d in tool.get("functionDeclarations") or ()]


def built_ins(request: Request) -> set[str]:
    """Return the names of Google's own tools in the request."""
    return {name for tool in request.get("tools") or () for name in tool if name in _BUILT_INS}


def last_turn(request: Request) -> Parts:
    """Return the parts of the last content."""
    return (request.get("contents") or [{}])[-1].get("parts") or []


def prompt(request: Request) -> str:
    """Return the text of the last content."""
    return text_of(last_turn(request))


def question(request: Request) -> str:
    """Return the text of the user's last turn without an agent's reminders; function results are no such turn."""
    contents = request.get("contents") or []
    return _REMINDER.sub("", text_of(contents[_user_turn(contents)].get("parts") or [])) if contents else ""


def instructions(request: Request) -> str:
    """Return the system instruction and the question, the places where words may ask for JSON."""
    instruction = (request.get("systemInstruction") or {}).get("parts") or []
    return "\n".join([*(part.get("text") or "" for part in instruction), question(request)])


def text_of(parts: Parts) -> str:
    """Return the texts of the parts, joined without a separator."""
    return "".join(part.get("text") or "" for part in parts)


def results(request: Request) -> Parts:
    """Return the function responses after the last model turn, and the files that were sent right after them.

    Clients of older models send a function's files in a content of their own.
    """
    contents = request.get("contents") or []
    parts: Parts = []
    for content in reversed(contents[_user_turn(contents) + 1 :]):
        if content.get("role") == "model":
            break
        parts = (content.get("parts") or []) + parts
    return parts


def steps_done(request: Request) -> int:
    """Return the number of model turns with calls since the user's last turn."""
    return sum(any("functionCall" in part for part in parts) for parts in _since_question(request))


def names_called(request: Request) -> set[str]:
    """Return the names of the functions that were called since the user's last turn."""
    calls = [part.get("functionCall") or {} for parts in _since_question(request) for part in parts]
    return {str(call.get("name")) for call in calls}


def _since_question(request: Request) -> list[Parts]:
    """Return the parts of each content after the user's last turn."""
    contents = request.get("contents") or []
    return [content.get("parts") or [] for content in contents[_user_turn(contents) + 1 :]]


def prompt_tokens(request: Request) -> int:
    """Return the tokens of the whole request: history, instruction and declarations, four bytes each."""
    contents = [*(request.get("contents") or ()), request.get("systemInstruction") or {}]
    parts = [part for content in contents for part in content.get("parts") or ()]
    size = sum(map(text_size, parts)) + sum(len(msgspec.json.encode(d)) for d in functions(request))
    return -(-size // 4) + _FILE_TOKENS * sum(1 for _ in blobs(parts))


def text_size(part: dict[str, Any]) -> int:
    """Return the bytes of a part's text, or of its call, result or code as JSON. Files do not count."""
    if "text" in part:
        return len((part["text"] or "").encode())
    call, result = part.get("functionCall"), part.get("functionResponse") or {}
    kinds = [call, result.get("response"), part.get("executableCode"), part.get("codeExecutionResult")]
    return sum(len(msgspec.json.encode(kind)) for kind in kinds if kind)


def blobs(parts: Parts) -> Iterator[dict[str, Any]]:
    """Yield the inlineData and fileData of parts, also of those inside function responses."""
    for part in parts:
        for inner in [part, *((part.get("functionResponse") or {}).get("parts") or ())]:
            blob = inner.get("inlineData") or inner.get("fileData")
            if blob:
                yield blob


def input_kinds(request: Request) -> list[str]:
    """Return the first half of each file's MIME type: image, audio, video, text or application."""
    return [(mime or "text").partition("/")[0].lower() for mime in mime_types(request)]


def mime_types(request: Request) -> list[str]:
    """Return the MIME type of each file, "" where there is none."""
    return [blob.get("mimeType") or "" for blob in _all_blobs(request)]


def file_uris(request: Request) -> list[str]:
    """Return the address of each file that is not in the request itself."""
    return [blob["fileUri"] for blob in _all_blobs(request) if blob.get("fileUri")]


def _all_blobs(request: Request) -> Iterator[dict[str, Any]]:
    for content in request.get("contents") or ():
        yield from blobs(content.get("parts") or [])


def reference_in_result(request: Request) -> str | None:
    """Return the value of a key `$ref` anywhere in a function's response, or None.

    It would name a file beside the response, which the Developer API gives no name (`displayName` is Vertex's).
    """
    contents = request.get("contents") or ()
    parts = (part for content in contents for part in content.get("parts") or ())
    waiting = [(part.get("functionResponse") or {}).get("response") for part in parts]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if "$ref" in node:
                return str(node["$ref"])
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return None


def _user_turn(contents: list[dict[str, Any]]) -> int:
    """Return the index of the user's last turn, without function results and their files; -1 if there is none."""
    for i in range(len(contents) - 1, -1, -1):
        responds = _has(contents[i], {"functionResponse"})
        attached = i > 0 and _has(contents[i], _FILES) and _has(contents[i - 1], {"functionResponse"})
        if contents[i].get("role") != "model" and not attached and not responds:
            return i
    return -1


def _has(content: dict[str, Any], kinds: set[str]) -> bool:
    return any(part.keys() & kinds for part in content.get("parts") or ())
