"""Answers for paths that no other plugin serves: `hello` to people and monitors, an API error to an SDK.

A browser gets a page at `/` that says what is here.
"""

import re
from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from gateway.exchange.replies.unserved import unserved
from gateway.exchange.replies.web_page import language
from gateway.plugin import Plugin
from gateway.plugins.hello.page import TEXTS, Facts, page
from gateway.policy.api_paths import is_api_path

_OF_TOOLS = frozenset({"/docs", "/metrics", "/openapi.json", "/redoc", "/swagger", "/swagger.json"})
"""Paths that programs read, which would take `hello` for what they look for."""
_HTML = re.compile(r"(?:\A|,)\s*text/html\s*(?:;(?!\s*q=0(?:\.0*)?\s*(?:,|\Z))[^,]*)?(?:,|\Z)", re.IGNORECASE)
"""`text/html` among the media ranges of Accept, named as it is and not refused (RFC 9110, 12.5.1)."""
_ADDRESS = re.compile(r"https?://[^\s/?#@]+/?")
_EXAMPLE = "https://gateway.example.com"
_ROBOTS = "User-agent: *\nDisallow: /\n"
"""A gateway has nothing for search engines (RFC 9309)."""


class Hello(Plugin):
    """All other paths."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        """Options of `plugins.hello`."""

        page: Annotated[
            bool, Meta(description="Whether a browser gets a page at `/` instead of `hello`.")
        ] = True
        url: Annotated[
            str,
            Meta(
                max_length=300,
                description=f"Address of the gateway on that page, such as `{_EXAMPLE}`, "
                "in place of the Host that the browser named.",
            ),
        ] = ""
        contact: Annotated[
            str,
            Meta(
                max_length=100,
                description="Who issues keys, such as a name or an email address, for that page.",
            ),
        ] = ""

    catch_all = True

    def check(self) -> None:
        """Raise ValueError if `url` is not the address of a server."""
        url = self.config.url
        if url and not _ADDRESS.fullmatch(url):
            raise ValueError(
                f"url: expected 'https://' and a host, without a path, such as {_EXAMPLE}, not {url!r}."
            )

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/{path:.*}", self.greet)]

    async def greet(self, request: web.Request) -> web.Response:
        """Answer `hello`, or at `/` the page for a browser.

        Raises MethodNotAllowed on paths of other methods, NotFound on API paths and on those of tools.
        """
        allowed, path = await _allowed_methods(request), request.rel_url.raw_path
        if allowed or is_api_path(path) or path in _OF_TOOLS or request.method not in ("GET", "HEAD"):
            raise unserved(request, allowed)
        if path == "/favicon.ico":
            return web.Response(status=204, headers={"Cache-Control": "max-age=86400"})
        if path == "/robots.txt":
            return web.Response(text=_ROBOTS)
        if path != "/" or not self.config.page:
            return web.Response(text="hello")
        if not _HTML.search(request.headers.get("Accept", "")):
            return web.Response(text="hello", headers={"Vary": "Accept"})
        return page(self._facts(request), language(request, TEXTS))

    def _facts(self, request: web.Request) -> Facts:
        config = self.services.config
        scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
        scheme = scheme if scheme in ("http", "https") else request.scheme
        return Facts(
            address=self.config.url.rstrip("/") or f"{scheme}://{request.host}",
            draining=self.services.draining(),
            passthrough=config.auth.passthrough,
            issued=bool(config.pool.projects),
            contact=self.config.contact,
            usage="key" in config.plugins and bool(config.pool.projects),
            model=config.models.default,
        )


async def _allowed_methods(request: web.Request) -> set[str]:
    """Return the methods that other resources allow on this path; none if there is only the OPTIONS catch-all."""
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        if resource is not request.match_info.route.resource:
            allowed |= (await resource.resolve(request))[1]
    return allowed if allowed - {"OPTIONS"} else set()
