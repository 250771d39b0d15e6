"""Reads a request's JSON body."""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from aiohttp import web
from msgspec import Raw

from gateway.conversation.invalid import not_json, place_of, undecodable
from gateway.errors import BadRequest, TooLarge
from gateway.exchange.offload import HEAVY, offload
from gateway.gemini import json_shape

T = TypeVar("T")

TOO_LARGE = "The request body is larger than `limits.body` allows."
_ENCODINGS = ("", "identity")
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode


class Body(msgspec.Struct, frozen=True):
    """A JSON object as it was received: its bytes, and its fields undecoded."""

    data: bytes
    fields: dict[str, Raw]

    @property
    def heavy(self) -> bool:
        """True for a body so large that it is decoded and translated in a thread."""
        return len(self.data) > HEAVY

    def decode(self, decoder: Callable[[bytes], T]) -> T:
        """Return the decoded body. Raises BadRequest with the path of the first field that is wrong."""
        try:
            return decoder(self.data)
        except msgspec.ValidationError as error:
            raise undecodable(*place_of(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise not_json(error) from None


async def read_body(request: web.Request) -> Body:
    """Return the JSON object that a client sent, whatever its Content-Type says.

    Raises TooLarge over `limits.body`, and BadRequest for anything that is not a JSON object.
    """
    check_encoding(request)
    data = await read_bytes(request)
    return await offload(len(data) > HEAVY, parse, data)


def check_encoding(request: web.Request) -> None:
    """Raise BadRequest (415) for a compressed body (RFC 9110, section 15.5.16)."""
    if request.headers.get("Content-Encoding", "").lower() not in _ENCODINGS:
        raise BadRequest(
            "Content-Encoding is not supported: send the body uncompressed.",
            status=415,
            code="unsupported_encoding",
        )


async def read_bytes(request: web.Request) -> bytes:
    """Return the bytes that a client sent. Raises TooLarge over `limits.body`."""
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise TooLarge(TOO_LARGE) from error


def parse(data: bytes) -> Body:
    """Return a JSON object whose shape has been checked. Raises BadRequest for anything else."""
    json_shape.check(data)
    try:
        fields = _decode_fields(data)
        json_shape.check_text(data, fields)
        return Body(data, fields)
    except msgspec.ValidationError:
        raise BadRequest("The request body must be a JSON object.", code="invalid_type") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(error) from None
