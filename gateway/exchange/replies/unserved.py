"""Refusals of requests that no surface serves, in the format of the API family that the client speaks."""

import re
from collections.abc import Mapping, Set
from urllib.parse import unquote

from aiohttp import web

from gateway.errors import BadRequest, GatewayError, MethodNotAllowed, NotFound, scrub
from gateway.exchange.context import ADDRESS
from gateway.exchange.replies.delivery import ERROR_RENDERER, UPGRADE_REQUIRED, ErrorRenderer
from gateway.policy.api_paths import Address, ApiPaths, Family, family_of_headers

API_PATHS: web.AppKey[ApiPaths] = web.AppKey("api_paths", ApiPaths)
"""The spellings of the application's paths."""
ERROR_FORMATS: web.AppKey[Mapping[Family, ErrorRenderer]] = web.AppKey("error_formats", Mapping)
"""Writers of the errors of each family; OpenAI's format for one that is absent."""

_MAX_PATH = 80
"""Characters of a path that an error message repeats."""
_NO_WEBSOCKET = "WebSockets are not served on this path: send the request with HTTP POST."
_BOTH = ("files", "batches")
"""APIs of OpenAI's under a path that Gemini's API has, too. They may be off."""


def family(request: web.Request) -> Family:
    """Return the API family that a request's path names, or else its headers."""
    return _address(request).family or family_of_headers(request.headers, request.rel_url.query)


def wants_websocket(request: web.Request) -> bool:
    """Return whether a request is a WebSocket's handshake (RFC 6455, 4.1)."""
    return "websocket" in request.headers.get("Upgrade", "").lower()


def unserved(request: web.Request, allowed: Set[str] = frozenset()) -> GatewayError:
    """Return the error for a path that nothing serves, or that takes only the `allowed` methods.

    It will be written in the format of the request's family. OPTIONS alone is answered on every path.
    """
    speaks = family(request)
    render = request.app[ERROR_FORMATS].get(speaks)
    if render is not None:
        request[ERROR_RENDERER] = render
    if "POST" in allowed and wants_websocket(request):
        # Codex takes this status for "use HTTP", for the rest of its session; after any other it tries again.
        return BadRequest(_NO_WEBSOCKET, status=UPGRADE_REQUIRED, code="upgrade_required")
    if allowed - {"OPTIONS"}:
        return MethodNotAllowed(frozenset(allowed))
    address = _address(request)
    message = f"Unknown request URL: {request.method} {_printable(unquote(address.original))}."
    noun = address.google.split("/")[3] if address.google and speaks == "openai" else ""
    if noun in _BOTH and not request.app[API_PATHS].serves(noun):
        message += f" OpenAI's {noun} API is not served. Gemini's is, with the key in `x-goog-api-key`."
    return NotFound(message)


def _address(request: web.Request) -> Address:
    return request.get(ADDRESS) or request.app[API_PATHS].read(request.rel_url.raw_path)


def _printable(path: str) -> str:
    """Return a decoded path, shortened, without secrets and characters that are unsafe in a message."""
    return re.sub(r"[^\w/.:@-]", "?", scrub(path)[:_MAX_PATH], flags=re.ASCII)
