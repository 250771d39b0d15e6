"""Which functions the emulated model calls next, with what arguments, ids and signatures (A.5, B.6, C.5).

A prompt that names declared functions gets calls of them, one that says "weather" or "tool" a call of the likeliest,
`in 3 steps` three steps before the final text. Mode ANY always calls, NONE never.
"""

import base64
import hashlib
import re
from typing import Any

import msgspec

from gateway.emulator.contents import calling_config, functions, question, steps_done
from gateway.emulator.history import SIGNATURE
from gateway.emulator.models import Model
from gateway.emulator.schemas import instance

_NUMBERS = {"two": 2, "three": 3, "four": 4}
_STEPS = re.compile(r"\b(\d|two|three|four) steps\b", re.I)
_CITY = re.compile(r"\bin ([A-ZÀ-Þ][\w'-]*(?: [A-ZÀ-Þ][\w'-]*)*)")
_COMMAND = re.compile(r"\bto run: (.+?)(?:\.\s|\.?$)")
_EAGER = re.compile(r"\btool\b|weather", re.I)
_FINAL = re.compile(r"final|answer|output|result", re.I)


def calls_of(model: Model, request: dict[str, Any]) -> list[dict[str, Any]]:
    """The functionCall parts of the next step; none when it is time to talk."""
    declared = {str(declaration.get("name")): declaration for declaration in functions(request)}
    step = hashlib.sha256(msgspec.json.encode(request.get("contents"))).digest()
    asked = question(request)
    wanted = _wanted(request, list(declared), asked)
    return [_call(model, declared[name], asked, step, i) for i, name in enumerate(wanted)]


def _wanted(request: dict[str, Any], declared: list[str], asked: str) -> list[str]:
    config = calling_config(request)
    mode, named = config.get("mode"), config.get("allowedFunctionNames")
    allowed = named or declared
    if not declared or mode == "NONE":
        return []
    mentioned = [name for name in allowed if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", asked)]
    if steps_done(request) < _steps_wanted(asked):
        eager = mode == "ANY" or named or _EAGER.search(asked)
        return mentioned or ([_likeliest(allowed, asked)] if eager else [])
    if mode == "ANY":
        return [next(filter(_FINAL.search, allowed), (mentioned or allowed)[0])]
    return []


def _likeliest(allowed: list[str], asked: str) -> str:
    fitting = (name for name in allowed if "weather" in name.lower() and "weather" in asked.lower())
    return next(fitting, allowed[0])


def _call(
    model: Model, declaration: dict[str, Any], asked: str, step: bytes, position: int
) -> dict[str, Any]:
    """One call: the first of a step is signed, and each has an id, where the model does that."""
    schema = declaration.get("parametersJsonSchema") or declaration.get("parameters") or {"type": "object"}
    args = instance(schema, _samples(asked))
    call: dict[str, Any] = {"name": declaration["name"], "args": args if isinstance(args, dict) else {}}
    seed = hashlib.sha256(step + bytes([position % 256])).digest()
    if model.ids:
        call["id"] = base64.b32encode(seed)[:8].decode().lower()
    if position or not model.signs:
        return {"functionCall": call}
    return {"functionCall": call, "thoughtSignature": base64.b64encode(SIGNATURE + seed[:12]).decode()}


def _samples(asked: str) -> dict[str, Any]:
    """Arguments that the prompt gives: a city after "in", a command after "to run:"."""
    city, command = _CITY.search(asked), _COMMAND.search(asked)
    samples = {"city": city[1], "location": city[1]} if city else {}
    return samples | ({"command": command[1], "cmd": command[1]} if command else {})


def _steps_wanted(asked: str) -> int:
    found = _STEPS.search(asked)
    if not found:
        return 1
    return int(found[1]) if found[1].isdecimal() else _NUMBERS[found[1].lower()]
