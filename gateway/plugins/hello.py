"""Answers for paths that no other plugin serves: `hello` to people and monitors, an API error to an SDK.

A browser gets a page at `/` that says what is here.
"""

import hashlib
import re
from base64 import b64encode
from html import escape

from aiohttp import web

from gateway.exchange.unserved import unserved
from gateway.plugin import Plugin
from gateway.policy.api_paths import is_api_path

_OF_TOOLS = frozenset({"/docs", "/metrics", "/openapi.json", "/redoc", "/swagger", "/swagger.json"})
"""Paths that programs read, which would take `hello` for what they look for."""
_HTML = re.compile(r"(?:\A|,)\s*text/html\s*(?:;(?!\s*q=0(?:\.0*)?\s*(?:,|\Z))[^,]*)?(?:,|\Z)", re.IGNORECASE)
"""`text/html` among the media ranges of Accept, named as it is and not refused (RFC 9110, 12.5.1)."""
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem;color:#222;"
    "background:#fff}pre{padding:1rem;overflow-x:auto;background:#f3f3f3}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#262626}a{color:#9cf}}"
)
_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Hello(Plugin):
    """All other paths."""

    catch_all = True

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
        if path != "/":
            return web.Response(text="hello")
        if not _HTML.search(request.headers.get("Accept", "")):
            return web.Response(text="hello", headers={"Vary": "Accept"})
        headers = {**_HEADERS, "Vary": "Accept"}
        return web.Response(text=self._page(request), content_type="text/html", headers=headers)

    def _page(self, request: web.Request) -> str:
        """Return the page. Nothing on it needs a key, and every value of a request is escaped."""
        config = self.services.config
        scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
        keys = ["a Gemini API key"] if config.auth.passthrough else []
        keys += ["a key that this gateway has issued"] if config.pool.projects else []
        own = f"{scheme if scheme in ('http', 'https') else request.scheme}://{request.host}"
        status = "about to restart" if self.services.draining() else "ready"
        return page(own, status, " or ".join(keys), config.models.default, config.models.embeddings)


def page(own: str, status: str, keys: str, model: str, embeddings: str) -> str:
    """Return the page of a gateway with the address `own`. All values are texts, not markup."""
    own, status, keys, model, embeddings = map(escape, (own, status, keys, model, embeddings))
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'
    return f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex">
<title>hello</title>
<style>{_STYLE}</style>
<h1>hello</h1>
<p>This is an OpenAI-compatible gateway to Google Gemini. It is {status}.</p>
<p>Base URL for programs: <code>{own}/v1</code></p>
<p>API key: {keys or "none is accepted"}.</p>
<p>Models: <code>{model}</code> unless a request names another; <code>{embeddings}</code> for embeddings. The list, with
your key: <code>{own}/v1/models</code></p>
<pre>curl {own}/v1/chat/completions -H "Authorization: Bearer $API_KEY" -d '{body}'</pre>
</html>
"""


async def _allowed_methods(request: web.Request) -> set[str]:
    """Return the methods that other resources allow on this path; none if there is only the OPTIONS catch-all."""
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        if resource is not request.match_info.route.resource:
            allowed |= (await resource.resolve(request))[1]
    return allowed if allowed - {"OPTIONS"} else set()
