"""What Google refuses although each field is well-formed: combinations, and what a model lacks (translation.md J)."""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from gateway.fake.contract import generation, thinks, version
from gateway.fake.turns import SIGNATURE

Request = dict[str, Any]
Rule = tuple[Callable[[str, Request], bool], str]

DUMMIES = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_BUILT_INS = ("googleSearch", "codeExecution", "urlContext", "googleMaps")
_JSON = "application/json"
_NO_MINIMAL = re.compile(r"gemini-(3-pro|3\.1-pro|3\.[78]|[4-9])|gemini-.*-latest")


def _functions(request: Request) -> list[dict[str, Any]]:
    return [d for tool in request.get("tools") or () for d in tool.get("functionDeclarations") or ()]


def _built_ins(request: Request) -> bool:
    return any(name in tool for tool in request.get("tools") or () for name in _BUILT_INS)


def _mode(request: Request) -> str:
    config = (request.get("toolConfig") or {}).get("functionCallingConfig") or {}
    return str(config.get("mode", ""))


def _json(request: Request) -> bool:
    return generation(request).get("responseMimeType") == _JSON


def _flag(request: Request) -> bool:
    return bool((request.get("toolConfig") or {}).get("includeServerSideToolInvocations"))


def _thinking(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = generation(request).get("thinkingConfig") or {}
    return found


def _duplicate(_: str, request: Request) -> bool:
    names = [declaration.get("name") for declaration in _functions(request)]
    return len(set(names)) < len(names)


def _budget_out_of_range(model: str, request: Request) -> bool:
    least, most = (128, 32768) if "2.5-pro" in model else (0, 24576)
    budget = _thinking(request).get("thinkingBudget")
    return version(model) == (2, 5) and budget not in (None, -1, 0) and not least <= budget <= most


def _cached(_: str, request: Request) -> bool:
    return bool(request.get("cachedContent")) and any(
        request.get(key) for key in ("systemInstruction", "tools", "toolConfig")
    )


def _asks_for(*modalities: str) -> Callable[[str, Request], bool]:
    def asks(model: str, request: Request) -> bool:
        wanted = generation(request).get("responseModalities") or []
        return bool(set(wanted) & set(modalities)) and "image" not in model and "tts" not in model

    return asks


_MODALITIES = (
    "The requested combination of response modalities is not supported by the model. It accepts the following "
    "combination of response modalities:\n* "
)
_OLD_GEMMA = re.compile(r"gemma-[123]")

RULES: tuple[Rule, ...] = (
    (lambda m, r: version(m) < (3, 0) and _json(r) and bool(_functions(r)),
     "Function calling with a response mime type: 'application/json' is unsupported"),
    (lambda m, r: version(m) < (3, 0) and _json(r) and _built_ins(r),
     "Tool use with a response mime type: 'application/json' is unsupported"),
    (lambda _, r: _json(r) and _mode(r) == "ANY",
     "Forced function calling (ANY mode) with a response mime type: 'application/json' is unsupported"),
    (lambda m, r: version(m) < (3, 0) and _flag(r), "Tool call context circulation is not enabled for this model"),
    (lambda m, r: version(m) < (3, 0) and _built_ins(r) and bool(_functions(r)),
     "Tool use with function calling is unsupported"),
    (lambda _, r: _built_ins(r) and bool(_functions(r)) and not _flag(r),
     "Please enable tool_config.include_server_side_tool_invocations to use Built-in tools with Function calling."),
    (lambda _, r: bool(_mode(r)) and not _functions(r), "Function calling config is set without function_declarations"),
    (_cached, "Tool config, tools and system instruction should not be set in the request when using cached content."),
    (_duplicate, "Duplicate function declaration found"),
    (lambda _, r: any(not _NAME.fullmatch(d.get("name") or "") for d in _functions(r)),
     "Invalid function name. Must start with a letter or an underscore."),
    (lambda m, r: version(m) >= (3, 0) and bool(generation(r).get("responseLogprobs")),
     "Logprobs is not enabled for this model"),
    (lambda m, r: bool(_OLD_GEMMA.match(m)) and _json(r), "JSON mode is not enabled for this model"),
    (lambda m, r: bool(_OLD_GEMMA.match(m)) and bool(r.get("systemInstruction")),
     "Developer instruction is not enabled for this model"),
    (lambda m, r: bool(_thinking(r)) and not thinks(m), "Thinking is not enabled for this model"),
    (lambda m, r: _thinking(r).get("thinkingLevel") == "MINIMAL" and bool(_NO_MINIMAL.match(m)),
     "Thinking level MINIMAL is not supported for this model."),
    (lambda m, r: _thinking(r).get("thinkingBudget") == 0 and ("2.5-pro" in m or version(m) >= (3, 0)),
     "Budget 0 is invalid. This model only works in thinking mode."),
    (_budget_out_of_range, "The thinking budget is out of range for this model"),
    (_asks_for("IMAGE", "AUDIO"),
     _MODALITIES + "TEXT"),
    (lambda m, r: "tts" in m and generation(r).get("responseModalities") != ["AUDIO"],
     _MODALITIES + "AUDIO"),
)  # fmt: skip


def refusal(model: str, request: Request) -> str | None:
    """Google's words against a well-formed request, or None."""
    broken = next((message for rule, message in RULES if rule(model, request)), None)
    return broken or _signatures(model, request.get("contents") or [])


def _signatures(model: str, contents: list[dict[str, Any]]) -> str | None:
    """The first call of each step of the current turn is signed, by us or by the dummy (translation.md B.6)."""
    current = _current_turn(contents)
    for i, content in enumerate(contents):
        for part in content.get("parts") or ():
            signature = part.get("thoughtSignature")
            if signature and "functionCall" in part and not _ours(signature):
                return "Thought signature is not valid"
        first = next((p for p in content.get("parts") or () if "functionCall" in p), None)
        if (
            first is not None
            and i > current
            and version(model) >= (3, 0)
            and not first.get("thoughtSignature")
        ):
            name = first["functionCall"].get("name")
            return (
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to "
                "work correctly, and missing thought_signature may lead to degraded model performance. Additional "
                f"data, function call `default_api:{name}` , position {i + 1}."
            )
    return None


def _current_turn(contents: list[dict[str, Any]]) -> int:
    """Where the user last said something that is no function's response."""
    for i in range(len(contents) - 1, -1, -1):
        parts = contents[i].get("parts") or ()
        if contents[i].get("role") != "model" and any("functionResponse" not in part for part in parts):
            return i
    return -1


def _ours(signature: str) -> bool:
    if signature in DUMMIES:
        return True
    try:
        raw = base64.b64decode(signature.replace("-", "+").replace("_", "/") + "==")
    except (binascii.Error, ValueError):
        return False
    return raw.startswith(SIGNATURE) or raw.decode("latin-1") in DUMMIES
