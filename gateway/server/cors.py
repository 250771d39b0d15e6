"""Cross-origin resource sharing (Fetch standard, https://fetch.spec.whatwg.org/#http-cors-protocol).

aiohttp-cors answers preflights of registered routes. The rest is here: the headers of every answer, errors, unknown
paths, and requests without `Origin`, on which some clients expect `Access-Control-Allow-Origin: *`, too. Credentials
are never allowed.
"""

import aiohttp_cors
from aiohttp import web

from gateway.config.sections import CorsConfig

_MAX_AGE = 86400
"""Seconds for which a browser may cache a preflight; Firefox allows no more (MDN, Access-Control-Max-Age)."""
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_HEADERS = "*, Authorization"
"""A wildcard does not cover Authorization (https://fetch.spec.whatwg.org/#cors-non-wildcard-request-header-name)."""
_READABLE = frozenset(
    {
        "cache-control",
        "content-language",
        "content-length",
        "content-type",
        "expires",
        "last-modified",
        "pragma",
    }
)
"""Headers that every page may read (https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name)."""
ALLOW_ORIGIN = "Access-Control-Allow-Origin"


def allow_any_origin(response: web.StreamResponse) -> None:
    """Let every page read a response, for answers that are written without a configuration."""
    response.headers[ALLOW_ORIGIN] = "*"


class Cors:
    """CORS of one application."""

    def __init__(self, config: CorsConfig) -> None:
        self._origins = frozenset(config.origins)
        self.allows_any = "*" in self._origins

    def add_to(self, app: web.Application) -> None:
        """Enable CORS on the routes registered so far, and answer OPTIONS on all other paths."""
        options = aiohttp_cors.ResourceOptions(
            allow_credentials=False,
            expose_headers="*",
            allow_headers="*",
            allow_methods="*",
            max_age=_MAX_AGE,
        )
        cors = aiohttp_cors.setup(app, defaults=dict.fromkeys(self._origins, options))
        for route in list(app.router.routes()):
            if route.method not in ("*", "HEAD", "OPTIONS"):
                cors.add(route)
        app.on_response_prepare.pop()  # `expose` and `allow` do what it does, also on paths that have no route
        app.router.add_route("OPTIONS", "/{preflight:.*}", self._preflight)

    def expose(self, response: web.StreamResponse) -> None:
        """List the headers of a response, all of which the page may read. For requests with `Origin`."""
        names = {name.lower() for name in response.headers}
        response.headers["Access-Control-Expose-Headers"] = ", ".join(sorted(names - _READABLE))

    def allow(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add the allowed origin to a response."""
        if self.allows_any:
            allow_any_origin(response)  # in place of the origin, which aiohttp-cors repeats
            return
        _vary_by_origin(response)
        origin = request.headers.get("Origin")
        if origin in self._origins:
            response.headers[ALLOW_ORIGIN] = origin

    async def preflight_instead_of_error(self, request: web.Request) -> web.Response | None:
        """Return the answer for a preflight that aiohttp-cors refused, or None if the refusal stands.

        aiohttp-cors requires `Origin` and a method that is served. Where every origin is allowed, neither matters.
        """
        return await self._preflight(request) if request.method == "OPTIONS" and self.allows_any else None

    async def _preflight(self, request: web.Request) -> web.Response:
        requested = request.headers.get("Access-Control-Request-Headers", "")
        return web.Response(
            status=204,
            headers={
                "Access-Control-Allow-Methods": _METHODS,
                "Access-Control-Allow-Headers": requested or _HEADERS,
                "Access-Control-Max-Age": str(_MAX_AGE),
            },
        )


def _vary_by_origin(response: web.StreamResponse) -> None:
    """Add `Origin` to `Vary` (RFC 9110, 12.5.5), keeping the names that are there."""
    names = [name.strip() for value in response.headers.getall("Vary", ()) for name in value.split(",")]
    if not {"*", "origin"} & {name.lower() for name in names}:
        response.headers["Vary"] = ", ".join([*filter(None, names), "Origin"])
