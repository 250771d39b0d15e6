"""Function calls of the emulated model, with their arguments, ids and thought signatures.

A prompt that names declared functions gets calls of them. One with "weather" or "tool" gets a call of the best match.
`in 3 steps` in the prompt means three steps of calls before the final text. Mode NONE never calls. Mode ANY calls until
each function that may be called has been, so that an agent's loop ends.
"""

import base64
import hashlib
import re
from typing import Any

import msgspec

from gateway.emulator.history import SIGNATURE
from gateway.emulator.models import Model
from gateway.emulator.request import calling_config, functions, names_called, question, steps_done
from gateway.emulator.sample_values import sample_value

_NUMBERS = {"two": 2, "three": 3, "four": 4}
_STEPS = re.compile(r"\b(\d|two|three|four) steps\b", re.I)
_CITY = re.compile(r"\bin ([A-ZÀ-Þ][\w'-]*(?: [A-ZÀ-Þ][\w'-]*)*)")
_COMMAND = re.compile(r"\bto run: (.+?)(?:\.\s|\.?$)")
_PATH = re.compile(r"\bfile ([\w~-]*[./][\w./-]*\w)")
_PATHS = ("path", "paths", "file_path", "filePath", "absolute_path")
_EAGER = re.compile(r"\btool\b|weather", re.I)
_NO_TOOLS = re.compile(r"\bdo not call any tools\b", re.I)
"""Claude Code's words when it asks for a summary of its history."""
_FINAL = re.compile(r"final|answer|output|result", re.I)


def calls_of(model: Model, request: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the functionCall parts of the next step; none if the answer is text."""
    declared = {str(declaration.get("name")): declaration for declaration in functions(request)}
    words = question(request)
    names = _called_names(request, list(declared), words)
    return signed(model, [_call(declared[name], words) for name in names], request)


def signed(model: Model, parts: list[dict[str, Any]], request: dict[str, Any]) -> list[dict[str, Any]]:
    """Return parts with an id for each call and a signature for the first, as far as the model gives them."""
    step = hashlib.sha256(msgspec.json.encode(request.get("contents"))).digest()
    calls = [part for part in parts if "functionCall" in part]
    for position, part in enumerate(calls):
        seed = hashlib.sha256(step + bytes([position % 256])).digest()
        if model.call_ids:
            part["functionCall"].setdefault("id", base64.b32encode(seed)[:8].decode().lower())
        if model.signs_calls and not position:
            part.setdefault("thoughtSignature", base64.b64encode(SIGNATURE + seed[:12]).decode())
    return parts


def _called_names(request: dict[str, Any], declared: list[str], words: str) -> list[str]:
    config = calling_config(request)
    mode, named = config.get("mode"), config.get("allowedFunctionNames")
    allowed = named or declared
    if not declared or mode == "NONE" or (mode != "ANY" and _NO_TOOLS.search(words)):
        return []
    mentioned = [name for name in allowed if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", words)]
    if steps_done(request) < _steps_wanted(words):
        eager = mode == "ANY" or named or _EAGER.search(words)
        return mentioned or ([_best_match(allowed, words)] if eager else [])
    if mode == "ANY":
        done = names_called(request)
        left = [name for name in (*filter(_FINAL.search, allowed), *mentioned, *allowed) if name not in done]
        return left[:1]
    return []


def _best_match(allowed: list[str], words: str) -> str:
    fitting = (name for name in allowed if "weather" in name.lower() and "weather" in words.lower())
    return next(fitting, allowed[0])


def _call(declaration: dict[str, Any], words: str) -> dict[str, Any]:
    schema = declaration.get("parametersJsonSchema") or declaration.get("parameters") or {"type": "object"}
    args = sample_value(schema, _samples(words))
    return {"functionCall": {"name": declaration["name"], "args": args if isinstance(args, dict) else {}}}


def _samples(words: str) -> dict[str, Any]:
    """Return arguments from the prompt: a city after "in", a command after "to run:", a path after "file"."""
    city, command, path = _CITY.search(words), _COMMAND.search(words), _PATH.search(words)
    samples = dict.fromkeys(("city", "location"), city[1]) if city else {}
    samples |= dict.fromkeys(("command", "commands", "cmd"), command[1]) if command else {}
    return samples | (dict.fromkeys(_PATHS, path[1]) if path else {})


def _steps_wanted(words: str) -> int:
    match = _STEPS.search(words)
    if not match:
        return 1
    return int(match[1]) if match[1].isdecimal() else _NUMBERS[match[1].lower()]
