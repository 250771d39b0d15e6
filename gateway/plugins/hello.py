"""Answers for paths that no other plugin serves: `hello` in a browser, an API error for an SDK."""

from aiohttp import web

from gateway.exchange.unserved import unserved
from gateway.plugin import Plugin
from gateway.policy.api_paths import is_api_path


class Hello(Plugin):
    """All other paths."""

    catch_all = True

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/{path:.*}", self.greet)]

    async def greet(self, request: web.Request) -> web.Response:
        """Answer `hello`. Raises MethodNotAllowed on paths of other methods, NotFound on API paths."""
        allowed = await _allowed_methods(request)
        if allowed or is_api_path(request.rel_url.raw_path) or request.method not in ("GET", "HEAD"):
            raise unserved(request, allowed)
        return web.Response(text="hello")


async def _allowed_methods(request: web.Request) -> set[str]:
    """Return the methods that other resources allow on this path; none if there is only the OPTIONS catch-all."""
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        if resource is not request.match_info.route.resource:
            allowed |= (await resource.resolve(request))[1]
    return allowed if allowed - {"OPTIONS"} else set()
