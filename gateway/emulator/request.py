"""Reading of a decoded request: its prompt, files, function results and tools. Names are camelCase."""

from collections.abc import Iterator
from typing import Any

Request = dict[str, Any]
Parts = list[dict[str, Any]]

_BUILT_INS = ("googleSearch", "codeExecution", "urlContext", "googleMaps", "fileSearch")
_FILES = {"inlineData", "fileData"}


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
    """Return the text of the user's last turn; function results are no turn of the user."""
    contents = request.get("contents") or []
    return text_of(contents[_user_turn(contents)].get("parts") or []) if contents else ""


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
    contents = request.get("contents") or []
    turn = contents[_user_turn(contents) + 1 :]
    return sum(any("functionCall" in part for part in content.get("parts") or ()) for content in turn)


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
