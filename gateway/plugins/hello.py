"""What nobody else answers: `hello` for people, honest errors where an SDK would read it (design.md 1.1, 9)."""

import re

from aiohttp import web

from gateway.errors import MethodNotAllowed, NotFound
from gateway.plugin import Plugin

API_NOUNS = frozenset({
    "assistants", "audio", "batches", "chat", "completions", "conversations", "count_tokens", "edits",
    "embeddings", "files", "fine_tuning", "generations", "images", "input_tokens", "messages", "models",
    "moderations", "realtime", "responses", "speech", "threads", "transcriptions", "translate",
    "translations", "uploads", "vector_stores", "videos",
})  # fmt: skip
"""A path that ends in one of these belongs to an API, whatever stands before it."""

_VERSION = re.compile(r"v1[a-z]*")


class Hello(Plugin):
    """Every other path."""

    catch_all = True

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/{path:.*}", self.greet)]

    async def greet(self, request: web.Request) -> web.Response:
        """`hello`, or 404, or 405 with what is allowed."""
        allowed = await _allowed_methods(request)
        if allowed:
            raise MethodNotAllowed(frozenset(allowed))
        if is_api_path(request.path) or request.method not in ("GET", "HEAD"):
            raise NotFound(f"Unknown request URL: {request.method} {_shown(request.path)}.")
        return web.Response(text="hello")


def is_api_path(path: str) -> bool:
    """Whether a client would parse what it gets here."""
    segments = [segment for segment in path.split("/") if segment]
    return any(_VERSION.fullmatch(s) for s in segments) or (bool(segments) and segments[-1] in API_NOUNS)


async def _allowed_methods(request: web.Request) -> set[str]:
    """Methods that other resources take on this path; OPTIONS alone is everywhere, and means nothing."""
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        if resource is not request.match_info.route.resource:
            allowed |= (await resource.resolve(request))[1]
    return allowed if allowed - {"OPTIONS"} else set()


def _shown(path: str) -> str:
    """The path as far as it is safe to repeat."""
    return re.sub(r"[^\w/.:@-]", "?", path[:80], flags=re.ASCII)
