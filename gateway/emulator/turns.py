"""What the emulated model does besides talking: calls functions, fills schemas, thinks, searches, draws.

All of it is chosen by the request (docs/emulator.md has the table), and the same request gets the same answer.
"""

import json
import re
from typing import Any

from msgspec import Struct

from gateway.emulator import media
from gateway.emulator.calls import calls_of
from gateway.emulator.contents import built_ins, generation, last_turn, prompt, results, told_before
from gateway.emulator.models import Model, model_of
from gateway.emulator.schemas import instance

_ONE_WORD = re.compile(r"single word (\w+)")
_ONLY_JSON = re.compile(r"\bonly\b[^.\n]{0,30}\bJSON\b|\bJSON response\b", re.I)
_ANSWER = {"type": "object", "properties": {"answer": {"type": "string"}}}


class Turn(Struct):
    """The parts of an answer, how many tokens were thought, and the candidate's other fields."""

    parts: list[dict[str, Any]]
    thoughts: int = 0
    grounding: dict[str, Any] | None = None
    urls: dict[str, Any] | None = None
    finish: str = "STOP"
    varies: bool = False
    """Several candidates say their numbers; else they are the same."""


def turn(model: str, request: dict[str, Any]) -> Turn | None:
    """What this request makes the model do, or None when it just talks."""
    able = model_of(model)
    found = _does(able, request)
    thinking = generation(request).get("thinkingConfig") or {}
    thinks = able.thinking != "none" and thinking.get("thinkingBudget") != 0
    if not thinking.get("includeThoughts") or not thinks:
        return found
    found = found or talk(request)
    found.parts.insert(0, {"text": "**Thinking**\n\nHow to answer this.\n\n\n", "thought": True})
    found.thoughts = 12
    return found


def talk(request: dict[str, Any]) -> Turn:
    """The prompt, said back, and the files that came with it."""
    return Turn([{"text": f"You said: {prompt(request)}{media.listed(last_turn(request))}"}], varies=True)


def _does(model: Model, request: dict[str, Any]) -> Turn | None:
    calls = calls_of(model, request)
    if calls:
        return Turn(calls)
    given = results(request)
    told = _told(given)
    wanted = _json_schema(request)
    if wanted is not None:
        value = instance(wanted, {"answer": told} if given else None)
        bare = generation(request).get("responseMimeType") == "text/x.enum" and isinstance(value, str)
        return Turn([{"text": value if bare else json.dumps(value, ensure_ascii=False)}])
    if given:
        return Turn([{"text": f"The tool said: {told}"}])
    return _with_built_ins(model, request)


def _with_built_ins(model: Model, request: dict[str, Any]) -> Turn | None:
    """Search, pages, code, pictures and speech; files that are asked about; a word that is asked for."""
    tools = built_ins(request)
    if "googleSearch" in tools:
        return _searched()
    if "urlContext" in tools:
        page = {
            "retrievedUrl": "https://weather.example/",
            "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_SUCCESS",
        }
        return Turn([{"text": "The page says: sunny."}], urls={"urlMetadata": [page]})
    if "codeExecution" in tools:
        return Turn([
            {"executableCode": {"language": "PYTHON", "code": "print(6 * 7)"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "42\n"}},
            {"text": "It is 42."},
        ])  # fmt: skip
    if model.gives == (("AUDIO",),):
        return Turn([media.SPEECH])
    if "IMAGE" in model.gives[0]:
        alone = generation(request).get("responseModalities") == ["IMAGE"]
        return Turn([media.PICTURE] if alone else [{"text": "Here it is."}, media.PICTURE])
    if media.asks_about_files(request):
        return Turn([{"text": media.named(last_turn(request))}])
    word = _ONE_WORD.search(prompt(request))
    return Turn([{"text": word[1]}]) if word else None


def _searched() -> Turn:
    """A grounded answer; its offsets are bytes, and a character of two stands before the second segment."""
    first, second = "Zürich is sunny.", "Oslo is not."
    begin = len(f"{first} ".encode())
    segments = [
        {"endIndex": len(first.encode()), "text": first},
        {"startIndex": begin, "endIndex": begin + len(second), "text": second},
    ]
    sites = ("zurich", "oslo")
    return Turn(
        [{"text": f"{first} {second}"}],
        grounding={
            "webSearchQueries": ["weather"],
            "searchEntryPoint": {"renderedContent": "<div>weather</div>"},
            "groundingChunks": [
                {"web": {"uri": f"https://weather.example/{site}", "title": "weather.example"}}
                for site in sites
            ],
            "groundingSupports": [
                {"segment": segment, "groundingChunkIndices": [i]} for i, segment in enumerate(segments)
            ],
        },
    )


def _told(given: list[dict[str, Any]]) -> str:
    """What functions responded, in the order they were called, and the files among it."""
    told = [_value(part["functionResponse"].get("response")) for part in given if "functionResponse" in part]
    files = media.named(given)
    return "; ".join([*told, files] if files else told)


def _value(response: Any) -> str:
    if isinstance(response, dict) and len(response) == 1:
        response = next(iter(response.values()))
    return response if isinstance(response, str) else json.dumps(response, ensure_ascii=False)


def _json_schema(request: dict[str, Any]) -> Any:
    """The schema that the answer must follow, given as a field or in words; None for free text."""
    config = generation(request)
    form = (config.get("responseFormat") or {}).get("text") or {}
    if config.get("responseMimeType") in ("application/json", "text/x.enum"):
        given = config.get("responseJsonSchema") or config.get("responseSchema")
        return given or _quoted(told_before(request)) or _ANSWER
    if form.get("mimeType") in ("application/json", "APPLICATION_JSON"):
        return form.get("schema") or _ANSWER
    words = told_before(request)
    return (_quoted(words) or _ANSWER) if _ONLY_JSON.search(words) else None


def _quoted(words: str) -> Any:
    """The first JSON Schema of an object that stands in words."""
    for begin in re.finditer(r"\{", words):
        try:
            found, _ = json.JSONDecoder().raw_decode(words, begin.start())
        except ValueError:
            continue
        if isinstance(found, dict) and found.keys() & {"properties", "$ref", "anyOf", "enum"}:
            return found
    return None
