"""Endpoints of a browser's session: sign in, look who is signed in, sign out."""

from time import time
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from gateway.config.admin import May
from gateway.console.endpoint import Done, Endpoint
from gateway.console.guard import DISABLED, Guard, cookie_name
from gateway.console.operators import Operators
from gateway.console.sources import OPERATOR, Sources, answer
from gateway.errors import RateLimited, Unauthorized
from gateway.exchange.incoming.client_address import client_address
from gateway.exchange.incoming.request_body import read_body

ENDED = "ended"
"""Names ended sessions among the processes."""


class SignIn(Struct, forbid_unknown_fields=True):
    """Body of `POST /console/session`."""

    token: Annotated[str, Meta(max_length=4096)]


class SignedIn(Struct, frozen=True):
    """The session that has begun."""

    name: str
    may: May
    expires: float
    """Seconds since 1970."""


class Session(Struct, frozen=True):
    """The operator of this browser."""

    name: str
    may: May
    how: str
    """`cookie`, `header` (a proxy has signed the operator in) or `token`."""
    expires: float | None
    build: str
    """Names the state of the pages' files."""
    exposed: bool
    """The browser came over the network without TLS: anybody on the way can read the session."""
    instance: str
    shared: bool
    """Whether the console shows other instances, too: `state.redis` is set."""


_decode = msgspec.json.Decoder(SignIn).decode


class Sessions:
    """Begins and ends sessions."""

    def __init__(self, operators: Operators, guard: Guard, sources: Sources, build: str) -> None:
        self._operators = operators
        self._guard = guard
        self._sources = sources
        self._build = build
        sources.fleet.on(ENDED, self._ended_elsewhere)

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        path = "/console/session"
        return [
            Endpoint("POST", path, self.begin, "Sign in.", body=SignIn, answer=SignedIn, access="everybody"),
            Endpoint("GET", "/console/enter/{ticket}", self.enter,
                     "Sign in by a ticket that the gateway has printed, and go to the pages.",
                     status=303, media="text/plain", access="everybody"),
            Endpoint("GET", path, self.show, "Show who is signed in.", answer=Session),
            Endpoint("DELETE", path, self.end, "Sign out.", answer=Done, access="everybody"),
        ]  # fmt: skip

    async def begin(self, request: web.Request) -> web.Response:
        """Set the cookie of a new session. Raises Unauthorized, RateLimited."""
        if not self._operators.any:
            raise Unauthorized(DISABLED, code="no_admin_token")
        token = (await read_body(request)).decode(_decode).token.strip().encode("utf-8", "surrogatepass")
        address = client_address(request)
        try:
            operator = self._operators.by_token(token, address, time())
        except RateLimited:
            self._refused(address)
            raise
        if operator is None:
            self._refused(address)
            raise Unauthorized("Incorrect admin token provided.", code="invalid_admin_token")
        cookie, expires = self._operators.begin_session(operator, time())
        request[OPERATOR] = operator
        await self._sources.audit(request, "session.begin", detail=address)
        response = answer(SignedIn(operator.name, operator.may, expires))
        self._guard.set_cookie(request, response, cookie)
        return response

    async def enter(self, request: web.Request) -> web.Response:
        """Set the cookie of a new session for a valid ticket. In any case the pages follow, and ask who it is."""
        response = web.Response(status=303, headers={"Location": "/"})
        operator = self._operators.by_ticket(request.match_info["ticket"], time())
        if operator is not None:
            cookie, _ = self._operators.begin_session(operator, time())
            request[OPERATOR] = operator
            await self._sources.audit(request, "session.begin", detail="ticket")
            self._guard.set_cookie(request, response, cookie)
        return response

    def _refused(self, address: str) -> None:
        self._sources.services.observed.event(
            "admin", level="warning", what="session.refused", detail=address
        )

    async def show(self, request: web.Request) -> web.Response:
        """Answer with the operator of the request."""
        operator = request[OPERATOR]
        exposed, fleet = self._guard.is_exposed(request), self._sources.fleet
        return answer(
            Session(
                operator.name, operator.may, operator.how, operator.expires, self._build, exposed,
                fleet.name, fleet.has_others,
            )
        )  # fmt: skip

    async def _ended_elsewhere(self, values: dict[str, Any]) -> None:
        self._operators.forget(str(values["number"]), float(values["expires"]))

    async def end(self, request: web.Request) -> web.Response:
        """End the session and remove its cookie."""
        if ended := self._operators.end_session(request.cookies.get(cookie_name(request), "")):
            number, expires = ended
            await self._sources.fleet.remember(ENDED, number, expires)
            await self._sources.fleet.tell(ENDED, number=number, expires=expires)
        response = answer(Done())
        self._guard.set_cookie(request, response, "")
        return response
