"""Turns of the emulated model: calls, JSON of a schema, thoughts, search results, code, images and speech.

The request alone decides (the table is in docs/emulator.md), so the same request gets the same answer.
"""

import json
import re
from typing import Any

from msgspec import Struct

from gateway.emulator import media, speech
from gateway.emulator.calls import calls_of
from gateway.emulator.drawing import drawing
from gateway.emulator.json_in_words import described_schema, schema_in_words
from gateway.emulator.models import Model, model_of
from gateway.emulator.request import built_ins, generation, instructions, last_turn, prompt, results
from gateway.emulator.sample_values import sample_value
from gateway.emulator.server_tools import invoked

_ONE_WORD = re.compile(r"single word (\w+)")


class Turn(Struct):
    """Parts of an answer, the number of thought tokens, and the candidate's other fields."""

    parts: list[dict[str, Any]]
    thoughts: int = 0
    grounding: dict[str, Any] | None = None
    urls: dict[str, Any] | None = None
    finish: str = "STOP"
    varies: bool = False
    """Candidates after the first end with their number; else all are the same."""


def turn(model: str, request: dict[str, Any]) -> Turn | None:
    """Return the turn that a request asks for, or None for one that only gets talk."""
    capabilities = model_of(model)
    result = _requested_turn(capabilities, request)
    if uses := invoked(request):
        result = result or talk(request)
        result.parts = uses + result.parts
    thinking = generation(request).get("thinkingConfig") or {}
    thinks = capabilities.thinking != "none" and thinking.get("thinkingBudget") != 0
    if not thinking.get("includeThoughts") or not thinks:
        return result
    result = result or talk(request)
    result.parts.insert(0, {"text": "**Thinking**\n\nHow to answer this.\n\n\n", "thought": True})
    result.thoughts = 12
    return result


def talk(request: dict[str, Any]) -> Turn:
    """Return the prompt as the answer, with the files that came with it."""
    return Turn([{"text": f"You said: {prompt(request)}{media.bracketed(last_turn(request))}"}], varies=True)


def _requested_turn(model: Model, request: dict[str, Any]) -> Turn | None:
    calls = calls_of(model, request)
    if calls:
        return Turn(calls)
    responses = results(request)
    summary = result_text(responses)
    schema = _json_schema(request)
    if schema is not None:
        samples = media.SPOKEN if media.has_sound(last_turn(request)) else {}
        value = sample_value(schema, {**samples, "answer": summary} if responses else samples)
        bare = generation(request).get("responseMimeType") == "text/x.enum" and isinstance(value, str)
        return Turn([{"text": value if bare else json.dumps(value, ensure_ascii=False)}])
    if responses:
        return Turn([{"text": f"The tool said: {summary}"}])
    return _with_built_ins(model, request)


def _with_built_ins(model: Model, request: dict[str, Any]) -> Turn | None:
    """Return the turn of a search, page, code, image or speech, of a question about files, or of one requested word."""
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
    if model.outputs == (("AUDIO",),):
        return Turn([speech.part_of(speech.samples(request))])
    if "IMAGE" in model.outputs[0]:
        alone = generation(request).get("responseModalities") == ["IMAGE"]
        picture = drawing(model.name, request)
        return Turn([picture] if alone else [{"text": "Here it is."}, picture])
    if media.asks_about_files(request):
        return Turn([{"text": media.descriptions(last_turn(request))}])
    word = _ONE_WORD.search(prompt(request))
    return Turn([{"text": word[1]}]) if word else None


def _searched() -> Turn:
    """Return a grounded answer. Its offsets are bytes; the first segment has a two-byte character."""
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


def result_text(parts: list[dict[str, Any]]) -> str:
    """Return the responses of functions, in the order of the calls, and the files among them."""
    values = [
        _value(part["functionResponse"].get("response")) for part in parts if "functionResponse" in part
    ]
    files = media.descriptions(parts)
    return "; ".join([*values, files] if files else values)


def _value(response: Any) -> str:
    if isinstance(response, dict) and len(response) == 1:
        response = next(iter(response.values()))
    return response if isinstance(response, str) else json.dumps(response, ensure_ascii=False)


def _json_schema(request: dict[str, Any]) -> Any:
    """Return the schema for the answer, from a field or from words; None for free text."""
    config = generation(request)
    form = (config.get("responseFormat") or {}).get("text") or {}
    if config.get("responseMimeType") in ("application/json", "text/x.enum"):
        schema = config.get("responseJsonSchema") or config.get("responseSchema")
        return schema or described_schema(instructions(request))
    if form.get("mimeType") in ("application/json", "APPLICATION_JSON"):
        return form.get("schema") or described_schema(instructions(request))
    return schema_in_words(instructions(request))
