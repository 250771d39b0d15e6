"""Phrases that a pattern matches, and the places of Google's messages where a client can write them."""

from collections.abc import Iterator
from itertools import product
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

_CATEGORIES = {sre.CATEGORY_DIGIT: "1", sre.CATEGORY_WORD: "a", sre.CATEGORY_SPACE: " "}
_MOST = 60
RPC = "type.googleapis.com/google.rpc."


def examples(pattern: str) -> list[str]:
    """Return texts that a pattern matches: one for each combination of its alternatives, 60 at most."""
    return list(
        dict.fromkeys(text for text, _ in zip(_texts(parser.parse(pattern)), range(_MOST), strict=False))
    )


def _texts(items: Any) -> Iterator[str]:
    return ("".join(pieces) for pieces in product(*(list(_piece(op, value)) for op, value in items)))


def _piece(op: Any, value: Any) -> Iterator[str]:
    if op is sre.LITERAL:
        yield chr(value)
    elif op is sre.IN:
        yield _member(value)
    elif op is sre.ANY:
        yield "x"
    elif op is sre.BRANCH:
        for alternative in value[1]:
            yield from _texts(alternative)
    elif op is sre.SUBPATTERN:
        yield from _texts(value[3])
    elif op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
        least, most, inner = value
        yield from (text * max(1, least) for text in _texts(inner))
        if not least and most == 1:
            yield ""
    elif op is sre.AT:
        yield ""
    else:
        raise NotImplementedError(op)


def _member(value: Any) -> str:
    op, first = value[0]
    if op is sre.CATEGORY:
        return _CATEGORIES.get(first, "x")
    return chr(first if op is sre.LITERAL else first[0])


class Refusal(NamedTuple):
    """An error of Google's: status, message and details."""

    status: int
    message: str
    details: tuple[Any, ...] = ()

    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.status, "message": self.message, "status": "X"}
        return {"error": error | ({"details": list(self.details)} if self.details else {})}


def _mistake(field: str, text: str) -> Refusal:
    violation = {"field": field, "description": text} if field else {"description": text}
    return Refusal(400, text, ({"@type": RPC + "BadRequest", "fieldViolations": [violation]},))


def _unknown(name: str, at: str) -> Refusal:
    where = f" at '{at}'" if at else ""
    return _mistake(at, f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.')


def planted(phrase: str) -> dict[str, Refusal]:
    """Return Google's refusals of requests that hold a phrase, by the place where the client wrote it.

    Evidence: zed-industries/zed#44875 (names), simonw/llm-gemini#49 (values), crmne/ruby_llm#521 (bytes),
    charmbracelet/crush#995 (MIME types), googleapis/python-genai#71 (addresses), googleapis/python-genai#1218 (files).
    """
    closed = f"x\" at 'a': Cannot find field.\n{phrase}\n{phrase}"
    enum = "(type.googleapis.com/google.ai.generativelanguage.v1beta.ThinkingConfig.ThinkingLevel)"
    unknown, root = _unknown(phrase, "generation_config.image_config"), _unknown(phrase, "")
    both = Refusal(400, f"{unknown.message}\n{root.message}", (*unknown.details, *root.details))
    quota = {"quotaId": "GenerateRequestsPerMinute", "quotaDimensions": {"model": phrase}}
    return {
        "a name": unknown,
        "a name of the request": root,
        "names": both,
        "a name that closes its quotes": _unknown(closed, "generation_config.image_config"),
        "a name that closes its quotes, of the request": _unknown(closed, ""),
        "a value": _mistake("generation_config.thinking_config.thinking_level",
                            f"Invalid value at 'generation_config.thinking_config.thinking_level' {enum}, \"{phrase}\""),
        "a number's text": _mistake("generation_config.seed",
                                    f"Invalid value at 'generation_config.seed' (TYPE_INT32), \"{closed}\""),
        "bytes": _mistake("contents[0].parts[0].inline_data.data",
                          "Invalid value at 'contents[0].parts[0].inline_data.data' (TYPE_BYTES), Base64 decoding failed "
                          f'for "{phrase}"'),
        "a MIME type": Refusal(400, f"Unsupported MIME type: {phrase}"),
        "an address": Refusal(400, f"Invalid or unsupported file uri: {phrase}"),
        "a file": Refusal(403, f"You do not have permission to access the File {phrase} or it may not exist."),
        "a model": Refusal(404, f"models/{phrase} is not found for API version v1beta, or is not supported for "
                                "generateContent. Call ListModels to see the list of available models."),
        "a quota's model": Refusal(429, f"You exceeded your current quota, model: {phrase}\nPlease retry in 1s.",
                                   ({"@type": RPC + "QuotaFailure", "violations": [quota]},)),
        "a localized message": Refusal(400, "Request contains an invalid argument.", (
            {"@type": RPC + "LocalizedMessage", "locale": "en-US", "message": phrase},
            {"@type": RPC + "ErrorInfo", "reason": "INVALID", "metadata": {"value": phrase, "reason": phrase}},
            {"@type": RPC + "DebugInfo", "reason": phrase, "detail": phrase})),
    }  # fmt: skip
