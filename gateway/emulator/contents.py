"""What a request holds, read once for all who ask: its prompt, files, results and tools. Requests are `shaped`."""

from collections.abc import Iterator
from typing import Any

Request = dict[str, Any]
Parts = list[dict[str, Any]]

_BUILT_INS = ("googleSearch", "codeExecution", "urlContext", "googleMaps", "fileSearch")
_FILES = {"inlineData", "fileData"}


def generation(request: Request) -> dict[str, Any]:
    """generationConfig."""
    found: dict[str, Any] = request.get("generationConfig") or {}
    return found


def calling_config(request: Request) -> dict[str, Any]:
    """functionCallingConfig: mode and allowedFunctionNames."""
    found: dict[str, Any] = (request.get("toolConfig") or {}).get("functionCallingConfig") or {}
    return found


def functions(request: Request) -> list[dict[str, Any]]:
    """All function declarations, in order."""
    return [d for tool in request.get("tools") or () for d in tool.get("functionDeclarations") or ()]


def built_ins(request: Request) -> set[str]:
    """Google's own tools that are switched on."""
    return {name for tool in request.get("tools") or () for name in tool if name in _BUILT_INS}


def last_turn(request: Request) -> Parts:
    """The parts of the last content."""
    return (request.get("contents") or [{}])[-1].get("parts") or []


def prompt(request: Request) -> str:
    """The text of the last content."""
    return text_of(last_turn(request))


def question(request: Request) -> str:
    """What the user said last, in words."""
    contents = request.get("contents") or []
    return text_of(contents[_begin(contents)].get("parts") or []) if contents else ""


def told_before(request: Request) -> str:
    """The system instruction and the question: where words may ask for JSON."""
    instruction = (request.get("systemInstruction") or {}).get("parts") or []
    return "\n".join([*(part.get("text") or "" for part in instruction), question(request)])


def text_of(parts: Parts) -> str:
    """Their texts, without a separator."""
    return "".join(part.get("text") or "" for part in parts)


def results(request: Request) -> Parts:
    """The function responses that were just given, and files sent right after them (translation.md B.8)."""
    contents = request.get("contents") or []
    found: Parts = []
    for content in reversed(contents[_begin(contents) + 1 :]):
        if content.get("role") == "model":
            break
        found = (content.get("parts") or []) + found
    return found


def steps_done(request: Request) -> int:
    """Steps of calls since the user last spoke."""
    contents = request.get("contents") or []
    turn = contents[_begin(contents) + 1 :]
    return sum(any("functionCall" in part for part in content.get("parts") or ()) for content in turn)


def _begin(contents: list[dict[str, Any]]) -> int:
    """Where the user last spoke: no results, and no files that belong to results. -1 for nowhere."""
    for i in range(len(contents) - 1, -1, -1):
        attached = i > 0 and _has(contents[i], _FILES) and _has(contents[i - 1], {"functionResponse"})
        if (
            contents[i].get("role") != "model"
            and not attached
            and not _has(contents[i], {"functionResponse"})
        ):
            return i
    return -1


def _has(content: dict[str, Any], kinds: set[str]) -> bool:
    return any(part.keys() & kinds for part in content.get("parts") or ())


def blobs(parts: Parts) -> Iterator[dict[str, Any]]:
    """The inlineData and fileData of parts, also of those inside function responses."""
    for part in parts:
        for inner in [part, *((part.get("functionResponse") or {}).get("parts") or ())]:
            blob = inner.get("inlineData") or inner.get("fileData")
            if blob:
                yield blob


def input_kinds(request: Request) -> list[str]:
    """The first halves of the mime types of all files: image, audio, video, text, application."""
    found = (blobs(content.get("parts") or []) for content in request.get("contents") or ())
    return [(blob.get("mimeType") or "text").partition("/")[0].lower() for some in found for blob in some]
