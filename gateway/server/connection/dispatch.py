"""The short way from a connection to a handler.

aiohttp resolves each request by a walk over the router's index, and wraps its handler in one function per middleware.
Here, a route without variables is found by its method and path, and its middlewares are wrapped once. Every other
request goes aiohttp's way, as all do where the application runs without `server.protocol`.
"""

from collections.abc import Awaitable, Callable, Iterator
from functools import update_wrapper
from inspect import isfunction
from operator import attrgetter
from re import Pattern
from typing import Any, Self

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware


class Request(web.Request):
    """aiohttp's request, whose attributes are read without a call, and in which a look-up that fails raises nothing.

    aiohttp computes each attribute at its first use, and keeps it in a dict.
    """

    method = property(attrgetter("_method"))
    headers = property(attrgetter("_headers"))
    rel_url = property(attrgetter("_rel_url"))
    content = property(attrgetter("_payload"))
    writer = property(attrgetter("_payload_writer"))
    protocol = property(attrgetter("_protocol"))

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of a key. The inherited method catches a KeyError."""
        return self._state.get(key, default)


class Dispatcher:
    """Handler of all requests of an application."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._otherwise: Callable[[web.Request], Awaitable[web.StreamResponse]] = app._handle  # noqa: SLF001
        self._exact = {
            (route.method, path): (route, _wrapped(app, route.handler)) for path, route in _exact_routes(app)
        }

    def __call__(self, request: web.Request) -> Awaitable[web.StreamResponse]:
        """Return what answers a request."""
        entry = self._exact.get((request.method, request.rel_url.raw_path))
        if entry is None or hdrs.EXPECT in request.headers:
            return self._otherwise(request)
        route, handler = entry
        request._match_info = _Match.of(route, self._app)  # noqa: SLF001
        return handler(request)


class _Match(web.UrlMappingMatchInfo):
    """Result of resolving a route without variables."""

    __slots__ = ()

    @classmethod
    def of(cls, route: web.AbstractRoute, app: web.Application) -> Self:
        """Return the same as aiohttp's constructor, `add_app` and `freeze`."""
        self = cls.__new__(cls)
        self._route, self._apps, self._current_app, self._frozen = route, [app], app, True
        return self


def _wrapped(app: web.Application, handler: Handler) -> Handler:
    """Return a handler inside the application's middlewares, the first of which is the outermost."""
    for middleware in reversed(app.middlewares):
        handler = update_wrapper(_inside(middleware, handler), handler)
    return handler


def _inside(middleware: Middleware, handler: Handler) -> Handler:
    """Return a handler inside one middleware. `partial` would copy a dict for each request."""
    call: Middleware = middleware if isfunction(middleware) else middleware.__call__
    return lambda request: call(request, handler)


def _exact_routes(app: web.Application) -> Iterator[tuple[str, web.AbstractRoute]]:
    """Yield the routes without variables that are found whatever else a request is.

    That is none with applications inside this one, which may be chosen by the host. A route that comes after a pattern
    for the same path is left to aiohttp, and so is one for every method.
    """
    patterns: list[Pattern[str]] = []
    paths: set[str] = set()
    for resource in app.router.resources():
        if not isinstance(resource, web.PlainResource | web.DynamicResource):
            return
    for resource in app.router.resources():
        info = resource.get_info()
        path = info.get("path", "")
        if "pattern" in info:
            patterns.append(info["pattern"])
        elif not ("%" in path or path in paths or any(pattern.fullmatch(path) for pattern in patterns)):
            paths.add(path)
            yield from ((path, route) for route in resource if route.method != "*")
