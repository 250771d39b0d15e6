"""Tool results: a tool's text as the object that `functionResponse.response` must be.

Gemini keeps it as a google.protobuf.Struct, whose numbers are doubles
(https://protobuf.dev/reference/protobuf/google.protobuf/#value), and reads a key `$ref` as the name of a file beside
the response (https://ai.google.dev/gemini-api/docs/function-calling#multimodal). A text that such an object would
change, or that Gemini would refuse as one, goes whole as `{"output": "<text>"}`.
"""

import re
from typing import Literal

import msgspec
from msgspec import Raw

from gateway.errors import BadRequest
from gateway.gemini import json_shape

_LONG_TEXT = 2**16
"""Characters of a JSON text whose values are not made to check it."""
_MOST_NUMBERS = 1000
"""Numbers of many digits in one text that are compared with their doubles. A text with more stays text."""
_REFERENCE = re.compile(rb'"(?:\$|\\u0024)(?:r|\\u0072)(?:e|\\u0065)(?:f|\\u0066)"[ \t\r\n]*:')
"""A key `$ref`, in any of JSON's spellings. A text inside a string that looks like one counts, too."""
_LONG_NUMBER = re.compile(rb"-?[0-9.]{16,}(?:[eE][+-]?[0-9]+)?|-?[0-9.]{1,15}[eE][+-]?[0-9]+")
"""A number that may have more digits than a double keeps, which are 15, or a larger exponent."""


def response_of(text: str) -> Raw:
    """Return a tool's text as the object that Gemini wants.

    An object goes as it is and an array under `output`; everything else is text under `output`.
    """
    kind = json_kind(text)
    if kind in ("object", "array") and _is_kept(data := text.encode()):
        return Raw(data if kind == "object" else b'{"output":' + data + b"}")
    return as_text(text)


def as_text(text: str) -> Raw:
    """Return a tool's text as an object that holds it whole."""
    return Raw(b'{"output":' + msgspec.json.encode(text) + b"}")


_check_json = msgspec.json.Decoder(Raw).decode
"""Checks a JSON text without making its values, of which there may be millions. It takes numbers such as 1e999."""


def json_kind(text: str) -> Literal["object", "array", "other", "text"]:
    """Return whether a text is a JSON object, an array, another JSON value, or no JSON.

    JSON that is nested deeper than Google's parser takes, has too many values or a long number, counts as text.
    """
    try:
        data = bytes(_check_json(text))
        json_shape.check(data)
        if json_shape.has_long_number(data):
            return "text"
        if len(text) < _LONG_TEXT:
            msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, BadRequest):
        return "text"
    return "object" if data.startswith(b"{") else "array" if data.startswith(b"[") else "other"


def _is_kept(data: bytes) -> bool:
    """Return whether Gemini takes a JSON value, and keeps its numbers."""
    if _REFERENCE.search(data) is not None:
        return False
    numbers = _LONG_NUMBER.findall(json_shape.without_strings(data))
    return len(numbers) <= _MOST_NUMBERS and all(map(_is_double, numbers))


def _is_double(number: bytes) -> bool:
    """Return whether a double keeps a JSON number: an integer exactly, another one in its shortest spelling."""
    value = float(number)
    if value in (float("inf"), float("-inf")):
        return False
    if number.strip(b"-").isdigit():
        return int(value) == int(number)
    return _decimal(repr(value)) == _decimal(number.decode())


def _decimal(number: str) -> tuple[str, int]:
    """Return the digits of a number, and the place of its decimal point. Equal numbers have equal ones."""
    mantissa, _, exponent = number.strip("-").lower().partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = int(exponent or 0) - len(fraction)
    significant = digits.rstrip("0")
    return significant, point + len(digits) - len(significant) if significant else 0
