"""Parts that the REST methods of the emulator share: the key of a request, its body, and answers in JSON."""

from typing import Any

import msgspec
from aiohttp import web

from gateway.emulator.errors import Refusal, RefusedError

VERSION = "/{version:v1(?:beta|alpha)?}"
"""Pattern of the API's versions, before the path of a method."""
NOT_FOUND = Refusal(404, "NOT_FOUND", "Requested entity was not found.")
_LARGEST_PAGE = 1000


def key_of(request: web.Request) -> str:
    """Return the API key of a request, "" without one."""
    return request.headers.get("x-goog-api-key") or request.query.get("key", "")


def decoded(data: bytes) -> dict[str, Any]:
    """Return a body's JSON object; an empty one for anything else."""
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return body if isinstance(body, dict) else {}


def reply(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return an answer in JSON."""
    data = msgspec.json.encode(body)
    return web.Response(body=data, status=status, content_type="application/json", headers=headers)


def refused(refusal: Refusal) -> web.Response:
    """Return Google's error."""
    return reply(refusal.body(), refusal.code)


def page(request: web.Request, items: list[Any], name: str, size: int = 50) -> dict[str, Any]:
    """Return a page of a list under its field; the last page has no token, and an empty list no field.

    Raises RefusedError for a page size or a page token that is no number. See https://google.aip.dev/158.
    """
    asked, start = request.query.get("pageSize", str(size)), request.query.get("pageToken", "0")
    if not asked.isdecimal() or not start.isdecimal():
        raise RefusedError("* page_size, page_token: no such page")
    end = int(start) + min(int(asked) or size, _LARGEST_PAGE)
    result: dict[str, Any] = {name: items[int(start) : end]} if items[int(start) :] else {}
    return {**result, "nextPageToken": str(end)} if end < len(items) else result
