"""Guards the admin listener: who asks, from which page, under which name; errors in OpenAI's format; headers."""

import re
from collections.abc import Collection
from time import time

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.console.operators import LONGEST, Operator, Operators
from gateway.console.sources import OPERATOR, unexpected
from gateway.errors import BadRequest, Forbidden, GatewayError, NotFound, Unauthorized
from gateway.exchange.incoming.client_address import client_address
from gateway.exchange.replies.delivery import error_response

READING = ("GET", "HEAD")
OWN_HEADER = "X-Console"
"""Sent by the pages' script with each change. A form of another page cannot set it."""
BUILD_HEADER = "x-console-build"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_PORT = re.compile(r":[0-9]{1,5}\Z")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob: data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
DISABLED = (
    "The admin API is disabled: admin.token is not set. Set it to {env: NAME} or {credential: NAME}, and restart the "
    "gateway."
)


class Guard:
    """Middleware of the admin listener."""

    __middleware_version__ = 1
    """aiohttp's mark of a middleware that takes (request, handler)."""

    def __init__(self, operators: Operators, hosts: Collection[str], build: str) -> None:
        self._operators = operators
        self._hosts = _LOOPBACK | {_without_port(host.lower()) for host in hosts}
        self._build = build
        self.open: set[tuple[str, str]] = set()
        """Methods, and paths as they are registered, that need no operator."""

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Check the request, answer errors in OpenAI's format, and set the headers of every answer."""
        try:
            self._admit(request)
            response = await handler(request)
        except GatewayError as error:
            response = error_response(error)
        except web.HTTPException as error:
            response = error_response(_of_http(request, error))
        except ConnectionError:
            raise  # the client has left
        except Exception as error:  # noqa: BLE001 - of the database; the log has its type and its places
            response = error_response(unexpected(error))
        return response

    def secure(self, request: web.Request) -> bool:
        """Return whether the browser speaks HTTPS, as far as it is known here."""
        return request.secure or request.headers.get("X-Forwarded-Proto") == "https"

    def is_exposed(self, request: web.Request) -> bool:
        """Return whether the browser came under another name than the loopback's, without TLS."""
        return not self.secure(request) and _host(request) not in _LOOPBACK

    def set_cookie(self, request: web.Request, response: web.StreamResponse, value: str) -> None:
        """Set the cookie of a session; "" removes it. Its own value says when it ends."""
        response.set_cookie(
            cookie_name(request), value, max_age=int(LONGEST) if value else 0, path="/", httponly=True,
            samesite="Strict", secure=self.secure(request),
        )  # fmt: skip

    def _admit(self, request: web.Request) -> None:
        """Raise GatewayError for a request that may not be answered, and set its operator."""
        resource = request.match_info.route.resource
        path = resource.canonical if resource is not None else ""
        if path == "/metrics":
            return
        operator: Operator | None
        if request.headers.get("Authorization"):
            # A page of another name cannot know a token, so that neither Host nor Origin matters.
            operator = self._by_token(request)
        else:
            is_open = (request.method, path) in self.open
            operator = None if is_open else self._by_browser(request)
            self._check_host(request)
            if request.method not in READING:
                check_origin(request)
            if operator is None:
                return
        request[OPERATOR] = operator
        if operator.may == "read" and request.method not in READING:
            raise Forbidden(f"{operator.name} may only read: admin.tokens says so.", code="read_only")

    def _by_token(self, request: web.Request) -> Operator:
        """Return the holder of a bearer token. Raises Unauthorized, RateLimited."""
        # Bytes that are not UTF-8 are surrogates in the header's text.
        header = request.headers["Authorization"].encode("utf-8", "surrogateescape")
        token = header.removeprefix(b"Bearer ").strip()
        if not self._operators.any:
            raise Unauthorized(DISABLED, code="no_admin_token")
        operator = self._operators.by_token(token, client_address(request), time())
        if operator is None:
            raise Unauthorized("Incorrect admin token provided.", code="invalid_admin_token")
        return operator

    def _by_browser(self, request: web.Request) -> Operator:
        """Return the operator whom a proxy or a cookie names. Raises Unauthorized."""
        if not self._operators.any:
            raise Unauthorized(DISABLED, code="no_admin_token")
        operator = self._operators.by_proxy(request.headers, str(request.remote or ""))
        if operator is None and (cookie := request.cookies.get(cookie_name(request))):
            operator = self._operators.by_cookie(cookie, time())
        if operator is None:
            raise Unauthorized(
                "No admin token provided: send `Authorization: Bearer YOUR_TOKEN`, or sign in.",
                code="signed_out",
            )
        return operator

    def _check_host(self, request: web.Request) -> None:
        """Raise BadRequest for a name that is not the console's: a page there may have pointed it at this address."""
        if _host(request) not in self._hosts:
            raise BadRequest(
                "The console is not served under this name: open it as 127.0.0.1 or localhost, or add the name to "
                "admin.hosts.",
                status=421,
                code="foreign_host",
            )

    async def finish(self, request: web.Request, response: web.StreamResponse) -> None:
        """Set the headers of an answer that is about to be sent (`on_response_prepare`)."""
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers[BUILD_HEADER] = self._build
        operator = request.get(OPERATOR)
        if operator is not None and operator.renewed and cookie_name(request) not in response.cookies:
            self.set_cookie(request, response, operator.renewed)


def cookie_name(request: web.Request) -> str:
    """Return the name of the session's cookie, which has the port that the browser asked.

    Browsers send a cookie to all ports of a name (RFC 6265, 8.5): two consoles behind tunnels would end each other's
    sessions.
    """
    port = _PORT.search(request.headers.get("Host", ""))
    return f"gw_console_{port[0][1:]}" if port is not None else "gw_console"


def check_origin(request: web.Request) -> None:
    """Raise Forbidden for a change that another page may have caused.

    Browsers say where a request comes from (https://www.w3.org/TR/fetch-metadata/); older ones send Origin.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin", "")
    is_own = site == "same-origin" or (
        site is None and origin.partition("://")[2] == request.headers.get("Host")
    )
    if not is_own or request.headers.get(OWN_HEADER) != "1":
        raise Forbidden(
            f"A change needs the header `{OWN_HEADER}: 1` and must come from the console's own pages. Programs send "
            "`Authorization: Bearer YOUR_TOKEN` instead.",
            code="cross_site",
        )


def _host(request: web.Request) -> str:
    """Return the name by which a browser came, without its port; "" for none."""
    return _without_port(request.headers.get("Host", "").lower())


def _without_port(host: str) -> str:
    return _PORT.sub("", host)


def _of_http(request: web.Request, error: web.HTTPException) -> GatewayError:
    """Return the gateway's error for one of aiohttp's."""
    if error.status == 404:
        return NotFound(f"Unknown request URL: {request.method} {request.path[:80]}.", code="unknown_url")
    return BadRequest(error.reason, status=error.status, code="invalid_request")
