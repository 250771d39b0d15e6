"""CORS on every answer (design.md 1.1, 10): aiohttp-cors for the registered routes, a signal for the rest."""

from collections.abc import Awaitable, Callable

import aiohttp_cors
from aiohttp import web

from gateway.config.sections import CorsConfig

_ANY_METHOD = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
Signal = Callable[[web.Request, web.StreamResponse], Awaitable[object]]


def serve_routes(app: web.Application, config: CorsConfig) -> Signal:
    """Preflights and headers on every route registered so far, by aiohttp-cors; what sets the headers is returned."""
    options = aiohttp_cors.ResourceOptions(
        allow_credentials=False, expose_headers="*", allow_headers="*", allow_methods="*", max_age=86400
    )
    cors = aiohttp_cors.setup(app, defaults=dict.fromkeys(config.origins, options))
    for route in list(app.router.routes()):
        if route.method not in ("*", "HEAD", "OPTIONS"):
            cors.add(route)
    theirs: Signal = app.on_response_prepare.pop()
    return theirs


def allow(config: CorsConfig, request: web.Request, response: web.StreamResponse) -> None:
    """What aiohttp-cors cannot: errors, unknown paths, requests without an Origin; where it echoes one, the star."""
    headers = response.headers
    if "*" in config.origins:
        headers["Access-Control-Allow-Origin"] = "*"
        return
    headers["Vary"] = "Origin"
    origin = request.headers.get("Origin")
    if origin in config.origins:
        headers["Access-Control-Allow-Origin"] = origin


async def preflight(request: web.Request) -> web.Response:
    """`OPTIONS` on any path: what aiohttp-cors does not answer itself."""
    asked = request.headers.get("Access-Control-Request-Headers", "")
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": _ANY_METHOD,
            # A star does not cover Authorization (Fetch standard, CORS-safelisting), so echo when asked.
            "Access-Control-Allow-Headers": asked or "*, Authorization",
            "Access-Control-Max-Age": "86400",
        },
    )
