"""Errors about a field of the client's request, in the words of OpenAI's API."""

import re
from collections.abc import Iterable

import msgspec

from gateway.errors import BadRequest, scrub

_LONGEST = 40
"""Characters of a client's value that an error repeats."""
_LONGEST_SEARCHED = 1000
"""Characters of a value that are searched for keys: a value may be as long as a body."""
_LONGEST_MESSAGE = 300
_PLACE = re.compile(r" - at `(\$|key in \$)(.*)`$")
"""The end of a message of msgspec: the path of the value, below `$`."""
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_TYPE = re.compile(r"Expected `([a-z| ]+)`, got `([a-z]+)`$")
_LIMIT = re.compile(r"Expected `(int|float)` (>=|<=|>|<) (\S+)$")
_POSITION = re.compile(r"\(byte (\d+)\)$")
"""The end of msgspec's messages, such as "JSON is malformed: invalid character (byte 6)"; positions count from 0."""
_KINDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a decimal",
    "bool": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
"""msgspec's names of JSON types, and OpenAI's."""


class UnknownShape(BadRequest):
    """A value of another shape than the surface's. Another vendor's dialect may have it: see `foreign`."""


def missing(param: str) -> UnknownShape:
    """Return the error for a required parameter that is not there."""
    return UnknownShape(
        f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
    )


def unsupported_value(value: str, supported: Iterable[str], param: str) -> UnknownShape:
    """Return the error for a value that is none of the supported ones."""
    known = ", ".join(f"'{name}'" for name in supported)
    return UnknownShape(
        f"Invalid value: '{scrub(value[:_LONGEST_SEARCHED])[:_LONGEST]}'. Supported values are: {known}.",
        param=param,
        code="invalid_value",
    )


def too_long(param: str, most: int, length: int) -> BadRequest:
    """Return the error for an array with too many items."""
    return BadRequest(
        f"Invalid '{param}': array too long. Expected an array with maximum length {most}, "
        f"but got an array with length {length} instead.",
        param=param,
        code="array_above_max_length",
    )


def empty_array(param: str) -> BadRequest:
    """Return the error for an array without items."""
    return BadRequest(
        f"Invalid '{param}': empty array. Expected an array with minimum length 1, "
        "but got an empty array instead.",
        param=param,
        code="empty_array",
    )


def place_of(error: msgspec.ValidationError) -> tuple[str, str]:
    """Return msgspec's message without its place, and the path of the value; "" is the whole."""
    message = str(error)
    place = _PLACE.search(message)
    if place is None:
        return message, ""
    return message[: place.start()], place[2].lstrip(".")


def mismatch(error: msgspec.ValidationError, at: str) -> UnknownShape:
    """Return the error for a value at a path that its type does not fit."""
    message, place = place_of(error)
    inner = undecodable(message, at + ("." if place and not place.startswith("[") else "") + place)
    return UnknownShape(inner.message, param=inner.param, code=inner.code)


def undecodable(message: str, param: str) -> BadRequest:
    """Return the error for a value that msgspec cannot decode; `message` is msgspec's, without the place."""
    if field := _MISSING.match(message):
        return missing(f"{param}.{field[1]}" if param else field[1])
    if types := _TYPE.match(message):
        expected = [_KINDS.get(kind, kind) for kind in types[1].split(" | ") if kind != "null"]
        return BadRequest(
            f"Invalid type for '{param or 'body'}': expected {_either(expected)}, "
            f"but got {_KINDS.get(types[2], types[2])} instead.",
            param=param or None,
            code="invalid_type",
        )
    if limit := _LIMIT.match(message):
        kind = "integer" if limit[1] == "int" else "decimal"
        low = limit[2].startswith(">")
        bound = limit[3].removesuffix(".0")
        return BadRequest(
            f"Invalid '{param}': {kind} {'below minimum' if low else 'above maximum'} value. "
            f"Expected a value {limit[2]} {bound}.",
            param=param,
            code=f"{kind}_{'below_min' if low else 'above_max'}_value",
        )
    if message == "Expected `array` of length >= 1":
        return empty_array(param)
    return BadRequest(
        f"Invalid value for '{param or 'body'}': {message[:_LONGEST_MESSAGE]}", param=param or None
    )


def _either(kinds: list[str]) -> str:
    """Return `a`, `one of a or b`, or `one of a, b, or c`, as OpenAI's API lists types."""
    if len(kinds) < 2:
        return kinds[0] if kinds else "null"
    if len(kinds) == 2:
        return f"one of {kinds[0]} or {kinds[1]}"
    return f"one of {', '.join(kinds[:-1])}, or {kinds[-1]}"


def not_json(error: Exception) -> BadRequest:
    """Return the error for a body that msgspec cannot decode, with the position of the first wrong byte if known."""
    at = _POSITION.search(str(error))
    place = f": byte {at[1]} is wrong" if at else ""
    return BadRequest(f"The request body is not valid JSON{place}.", code="invalid_json")
