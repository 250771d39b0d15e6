"""What the emulated model does besides talking: calls functions, fills schemas, thinks, searches, draws.

All of it is chosen by the request: a prompt that names a declared function (or says "tool" or "weather") is answered
with a call, a schema with its smallest instance. Everything is the same each time it is asked.
"""

import base64
import hashlib
import json
import re
from typing import Any

from msgspec import Struct

from gateway.fake.contract import generation, last_turn, thinks

SIGNATURE = b"signed by the emulator: "
_NUMBERS = {"two": 2, "three": 3, "four": 4}
_STEPS = re.compile(r"\b(\d|two|three|four) steps\b", re.I)
_CITY = re.compile(r"\bin ([A-Z]\w+)")
_ONE_WORD = re.compile(r"single word (\w+)")
_PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(16)).decode()
_SOUND = base64.b64encode(bytes(480)).decode()
_SAMPLES: dict[str, Any] = {"city": "Paris", "location": "Paris", "name": "Ada", "age": 36, "answer": "PONG"}
"""What properties of these names hold, where their type allows it."""
_BY_TYPE: dict[str, Any] = {"integer": 7, "number": 7.5, "boolean": True, "null": None, "string": "x"}
_DEEPEST = 12


class Turn(Struct):
    """The parts of an answer, and how many tokens were thought."""

    parts: list[dict[str, Any]]
    thoughts: int = 0
    grounding: dict[str, Any] | None = None


def turn(model: str, request: dict[str, Any]) -> Turn | None:
    """What this request makes the model do, or None when it just talks."""
    found = _does(model, request)
    if not generation(request).get("thinkingConfig", {}).get("includeThoughts") or not thinks(model):
        return found
    found = found or Turn([{"text": f"You said: {_prompt(request)}"}])
    found.parts.insert(0, {"text": "**Thinking**\n\nHow to answer this.\n\n\n", "thought": True})
    found.thoughts = 12
    return found


def _does(model: str, request: dict[str, Any]) -> Turn | None:
    calls = _calls(model, request)
    if calls:
        return Turn(calls)
    results = [part["functionResponse"] for part in last_turn(request) if "functionResponse" in part]
    if results:
        told = "; ".join(_told(result.get("response")) for result in results)
        return Turn([{"text": f"The tool said: {told}"}])
    if generation(request).get("responseMimeType") == "application/json":
        return Turn([{"text": json.dumps(instance(_schema(request)), ensure_ascii=False)}])
    return _with_built_ins(model, request)


def _with_built_ins(model: str, request: dict[str, Any]) -> Turn | None:
    """Search, code, pictures and speech."""
    tools = {name for tool in request.get("tools") or () for name in tool}
    if "googleSearch" in tools:
        return _searched()
    if "codeExecution" in tools:
        return Turn([
            {"executableCode": {"language": "PYTHON", "code": "print(6 * 7)"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "42\n"}},
            {"text": "It is 42."},
        ])  # fmt: skip
    if "tts" in model:
        return Turn([{"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": _SOUND}}])
    if "image" in model:
        return Turn([{"text": "Here it is."}, {"inlineData": {"mimeType": "image/png", "data": _PNG}}])
    word = _ONE_WORD.search(_prompt(request))
    return Turn([{"text": word[1]}]) if word else None


def _searched() -> Turn:
    """A grounded answer; its offsets are bytes, and a character of two stands before them."""
    text = "Zürich is sunny."
    segment = {"endIndex": len(text.encode()), "text": text}
    return Turn(
        [{"text": text}],
        grounding={
            "webSearchQueries": ["weather"],
            "groundingChunks": [
                {"web": {"uri": "https://weather.example/zurich", "title": "weather.example"}}
            ],
            "groundingSupports": [{"segment": segment, "groundingChunkIndices": [0]}],
        },
    )


def _calls(model: str, request: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls of the next step, if there is one."""
    declared = {
        declaration["name"]: declaration
        for tool in request.get("tools") or ()
        for declaration in tool.get("functionDeclarations") or ()
    }
    config = (request.get("toolConfig") or {}).get("functionCallingConfig") or {}
    allowed = config.get("allowedFunctionNames") or list(declared)
    asked = _question(request)
    done = _steps_done(request)
    if not declared or config.get("mode") == "NONE" or done >= _steps_wanted(asked):
        return []
    named = [name for name in allowed if re.search(rf"\b{re.escape(name)}\b", asked)]
    eager = config.get("mode") == "ANY" or re.search(r"\b(tool|weather)\b", asked, re.I)
    wanted = named or (allowed[:1] if eager else [])
    return [_call(model, declared[name], asked, done, i) for i, name in enumerate(wanted)]


def _call(model: str, declaration: dict[str, Any], asked: str, step: int, position: int) -> dict[str, Any]:
    """One call; the first of a step is signed, from 3 on it has an id (translation.md B.6, C.5)."""
    args = instance(
        declaration.get("parametersJsonSchema") or declaration.get("parameters") or {"type": "object"}
    )
    city = _CITY.search(asked)
    for key in ("city", "location"):
        if city and isinstance(args, dict) and key in args:
            args[key] = city[1]
    seed = hashlib.sha256(f"{declaration['name']}{step}{position}".encode()).digest()
    call: dict[str, Any] = {"name": declaration["name"], "args": args if isinstance(args, dict) else {}}
    part: dict[str, Any] = {"functionCall": call}
    if not model.startswith(("gemini-1", "gemini-2")):
        call["id"] = base64.b32encode(seed)[:8].decode().lower()
    if position == 0 and thinks(model):
        part["thoughtSignature"] = base64.b64encode(SIGNATURE + seed[:12]).decode()
    return part


def _steps_done(request: dict[str, Any]) -> int:
    """Steps of calls since the user last spoke."""
    done = 0
    for content in reversed(request.get("contents") or ()):
        parts = content.get("parts") or ()
        if content.get("role") != "model" and not any("functionResponse" in part for part in parts):
            break
        done += any("functionCall" in part for part in parts)
    return done


def _steps_wanted(asked: str) -> int:
    found = _STEPS.search(asked)
    if not found:
        return 1
    return int(found[1]) if found[1].isdecimal() else _NUMBERS[found[1].lower()]


def _question(request: dict[str, Any]) -> str:
    """What the user said last, in words."""
    for content in reversed(request.get("contents") or ()):
        text = "".join(part.get("text") or "" for part in content.get("parts") or ())
        if content.get("role") != "model" and text:
            return text
    return ""


def _prompt(request: dict[str, Any]) -> str:
    return "".join(part.get("text") or "" for part in last_turn(request))


def _told(response: Any) -> str:
    if isinstance(response, dict) and len(response) == 1:
        response = next(iter(response.values()))
    return response if isinstance(response, str) else json.dumps(response, ensure_ascii=False)


def _schema(request: dict[str, Any]) -> dict[str, Any]:
    config = generation(request)
    found = config.get("responseJsonSchema") or config.get("responseSchema")
    return found or {"type": "object", "properties": {"answer": {"type": "string"}}}


def instance(schema: Any, root: Any = None, name: str = "", depth: int = 0) -> Any:
    """The smallest value a schema allows, of either dialect."""
    root = schema if root is None else root
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return "x"
    if "$ref" in schema:
        target = (root.get("$defs") or {}).get(str(schema["$ref"]).rpartition("/")[2]) or {}
        return instance(target, root, name, depth + 1)
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return instance(schema[key][0], root, name, depth + 1)
    kind = str(schema.get("type") or ("object" if "properties" in schema else "string")).lower()
    if kind == "object":
        properties = schema.get("properties") or {}
        wanted = schema.get("required") or list(properties)
        return {key: instance(properties[key], root, key, depth + 1) for key in wanted if key in properties}
    if kind == "array":
        items = schema.get("items") or {}
        return [instance(items, root, name, depth + 1) for _ in range(max(1, schema.get("minItems", 1)))]
    sample = _SAMPLES.get(name)
    if isinstance(sample, int if kind == "integer" else str) and kind in ("integer", "string"):
        return sample
    value = _BY_TYPE.get(kind, "x")
    return max(value, schema.get("minimum", value)) if kind == "integer" else value
