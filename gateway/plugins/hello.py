"""Answers for paths that no other plugin serves: `hello` in a browser, an API error for an SDK."""

import re

from aiohttp import web

from gateway.errors import MethodNotAllowed, NotFound, scrub
from gateway.plugin import Plugin

API_NOUNS = frozenset({
    "assistants", "audio", "batches", "chat", "completions", "conversations", "count_tokens", "edits",
    "embeddings", "files", "fine_tuning", "generations", "images", "input_tokens", "messages", "models",
    "moderations", "realtime", "responses", "speech", "threads", "transcriptions", "translate",
    "translations", "uploads", "vector_stores", "videos",
})  # fmt: skip
"""Last path segments of API endpoints, under any prefix."""

_VERSION = re.compile(r"v1[a-z]*")
_MAX_PATH = 80
"""Characters of a path that an error message repeats."""


class Hello(Plugin):
    """All other paths."""

    catch_all = True

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/{path:.*}", self.greet)]

    async def greet(self, request: web.Request) -> web.Response:
        """Answer `hello`. Raises MethodNotAllowed on paths of other methods, NotFound on API paths."""
        allowed = await _allowed_methods(request)
        if allowed:
            raise MethodNotAllowed(frozenset(allowed))
        if is_api_path(request.path) or request.method not in ("GET", "HEAD"):
            raise NotFound(f"Unknown request URL: {request.method} {_printable(request.path)}.")
        return web.Response(text="hello")


def is_api_path(path: str) -> bool:
    """Return whether a client of this path expects JSON."""
    segments = [segment for segment in path.split("/") if segment]
    return any(_VERSION.fullmatch(s) for s in segments) or (bool(segments) and segments[-1] in API_NOUNS)


async def _allowed_methods(request: web.Request) -> set[str]:
    """Return the methods that other resources allow on this path; none if there is only the OPTIONS catch-all."""
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        if resource is not request.match_info.route.resource:
            allowed |= (await resource.resolve(request))[1]
    return allowed if allowed - {"OPTIONS"} else set()


def _printable(path: str) -> str:
    """Return the path, shortened, without characters that are unsafe in a message."""
    return re.sub(r"[^\w/.:@-]", "?", scrub(path)[:_MAX_PATH], flags=re.ASCII)
