"""Rules on the turns of a request: roles, the order and number of calls and results, thought signatures.

The words are those of recorded errors; signatures are described at
https://ai.google.dev/gemini-api/docs/thought-signatures.
"""

import base64
import binascii
from typing import Any

from gateway.emulator.errors import RefusedError
from gateway.emulator.models import Model

Turns = list[dict[str, Any]]

SIGNATURE = b"signed by the emulator: "
"""The beginning of every signature that the emulator makes."""
DUMMIES = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
"""Texts that Google accepts in place of a signature."""
_SIGNED = {"functionCall", "toolCall", "toolResponse"}
"""Parts whose signature is checked."""
_CALL_FIRST = (
    "Please ensure that function call turn comes immediately after a user turn or after a function response "
    "turn."
)
_RESULT_FIRST = "Please ensure that function response turn comes immediately after a function call turn."
_AS_MANY = (
    "Please ensure that the number of function response parts is equal to the number of function call parts of the "
    "function call turn."
)
_UNSIGNED = (
    "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, "
    "and missing thought_signature may lead to degraded model performance. Additional data, function call "
    "`default_api:{name}` , position {position}. Please refer to "
    "https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
)


def check_turns(model: Model, contents: Turns) -> None:
    """Raise RefusedError for turns in a form or an order that Google refuses."""
    if not contents:
        raise RefusedError("* GenerateContentRequest.contents: contents is not specified")
    for i, content in enumerate(contents):
        if content.get("role", "user") not in ("user", "model"):
            raise RefusedError("Please use a valid role: user, model.")
        if not content.get("parts"):
            raise RefusedError(
                f"* GenerateContentRequest.contents[{i}].parts: contents.parts must not be empty."
            )
    _check_calls(contents)
    if contents[-1].get("role") == "model" and not model.prefill:
        raise RefusedError("Requests ending with a model turn are not supported.")


def _check_calls(contents: Turns) -> None:
    """Check that calls follow user turns, and that each call turn is followed by as many results."""
    due = 0
    for i, content in enumerate(contents):
        calls = sum("functionCall" in part for part in content["parts"])
        results = sum("functionResponse" in part for part in content["parts"])
        if calls and (i == 0 or contents[i - 1].get("role") == "model"):
            raise RefusedError(_CALL_FIRST)
        if results and not due:
            raise RefusedError(_RESULT_FIRST)
        if results != due:
            raise RefusedError(_AS_MANY)
        due = calls


def signature_refusal(model: Model, contents: Turns) -> str | None:
    """Return Google's message for a signature of another origin, or an unsigned first call of the current turn."""
    current = _current_turn(contents)
    for i, content in enumerate(contents):
        parts = content.get("parts") or ()
        calls = [part for part in parts if "functionCall" in part]
        uses = [part for part in parts if part.keys() & _SIGNED]
        if any(not _is_known(part["thoughtSignature"]) for part in uses if part.get("thoughtSignature")):
            return "Thought signature is not valid"
        if calls and i > current and model.requires_signatures and not calls[0].get("thoughtSignature"):
            return _UNSIGNED.format(name=calls[0]["functionCall"].get("name"), position=i + 1)
    return None


def _current_turn(contents: Turns) -> int:
    """Return the index of the last user content that is more than function responses; -1 if there is none."""
    for i in range(len(contents) - 1, -1, -1):
        parts = contents[i].get("parts") or ()
        if contents[i].get("role") != "model" and any("functionResponse" not in part for part in parts):
            return i
    return -1


def _is_known(signature: str) -> bool:
    """Return whether the emulator made the signature, or it is a dummy: as text, or in either base64 alphabet."""
    standard = signature.replace("-", "+").replace("_", "/")
    if standard.replace("/", "_") in DUMMIES:
        return True
    try:
        raw = base64.b64decode(standard + "==")
    except (binascii.Error, ValueError):
        return False
    return raw.startswith(SIGNATURE) or raw.decode("latin-1") in DUMMIES
