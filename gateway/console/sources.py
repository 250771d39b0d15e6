"""Sources of the admin API: the current services, the process around them, and the audit of changes."""

import asyncio
import logging
from collections.abc import Callable
from time import time
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from aiohttp import web

from gateway.console.fleet import Fleet
from gateway.console.operators import Operator
from gateway.console.process import Process
from gateway.errors import BadRequest, GatewayError, LedgerUnavailable, NotFound
from gateway.exchange.replies.delivery import json_response
from gateway.plugin import Services

if TYPE_CHECKING:
    from sqlalchemy import Engine

T = TypeVar("T")
OPERATOR: web.RequestKey[Operator] = web.RequestKey("operator", Operator)
"""The operator who sent a request."""
_MAX_PAGE = 500
_PAGE = 100


class Sources:
    """The parts of the gateway that endpoints read and change."""

    def __init__(self, services: Callable[[], Services], process: Process) -> None:
        self._services = services
        self.process = process
        self.fleet = Fleet(process.shared or (lambda: None))
        """The other processes."""

    @property
    def services(self) -> Services:
        """The services of the current application, which a reload replaces."""
        return self._services()

    @property
    def engine(self) -> "Engine":
        """The ledger's database. Raises NotFound if there is none."""
        engine = self.engine_or_none
        if engine is None:
            raise NotFound("This gateway has no ledger: set ledger.url or pool.projects.", code="no_ledger")
        return engine

    def require_ledger(self) -> None:
        """Raise NotFound if there is no ledger."""
        _ = self.engine

    @property
    def engine_or_none(self) -> "Engine | None":
        """The ledger's database, if there is one."""
        ledger = self.services.exchange.accounting.ledger
        # store.ledger.Ledger is the only implementation
        return ledger.engine if ledger is not None else None  # type: ignore[attr-defined]

    async def read(self, query: Callable[..., T], *arguments: Any) -> T:
        """Call a function of `store.ledger` with the database, in a thread."""
        return await asyncio.to_thread(query, self.engine, *arguments)

    async def key_names(self) -> dict[str, str]:
        """Return the names of all issued keys by their ids."""
        from gateway.store.ledger.client_keys import issued

        return {key.id: key.name for key in await self.read(issued)}

    async def audit(self, request: web.Request, what: str, target: str = "", detail: str = "") -> None:
        """Log a change by an operator, and write it into the ledger if there is one. Never raises."""
        operator = request[OPERATOR]
        self.services.observed.event(
            "admin",
            level="info",
            operator=operator.name,
            how=operator.how,
            what=what,
            **({"on": target} if target else {}),
            **({"detail": detail} if detail else {}),
        )
        if (engine := self.engine_or_none) is None:
            return
        from gateway.store.ledger.audit import AuditEntry, add

        try:
            entry = AuditEntry(time(), operator.name, operator.how, what, target, detail)
            await asyncio.to_thread(add, engine, entry)
        except Exception as error:  # noqa: BLE001 - of the database; the change was made, and the log has it
            unexpected(error)


def answer(value: Any, status: int = 200) -> web.Response:
    """Return a JSON answer."""
    return json_response(msgspec.json.encode(value), {}, status)


def unexpected(error: Exception) -> GatewayError:
    """Return the error for the client, and log what happened."""
    logger = logging.getLogger("gateway.server")
    if type(error).__module__.startswith("sqlalchemy."):  # which may not be installed
        reason = str(getattr(error, "orig", None) or type(error).__name__).partition("\n")[0]
        logger.error("the admin API cannot use the ledger's database: %s", reason)
        return LedgerUnavailable(f"The ledger's database cannot be used: {reason}")
    logger.error("the admin API failed", exc_info=error)
    return GatewayError("Internal gateway error; see the gateway's log.")


def page_size(request: web.Request) -> int:
    """Return `limit` of a request's query. Raises BadRequest."""
    return number(request, "limit", _PAGE, 1, _MAX_PAGE)


def number(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    """Return a whole number of a request's query. Raises BadRequest."""
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 16 and least <= int(text) <= most):
        raise BadRequest(f"Invalid '{name}': expected a whole number from {least} to {most}.", param=name)
    return int(text)


def seconds(request: web.Request, name: str, default: float) -> float:
    """Return a time of a request's query, in seconds since 1970. Raises BadRequest."""
    try:
        return float(request.query[name]) if name in request.query else default
    except ValueError:
        raise BadRequest(f"Invalid '{name}': expected seconds since 1970.", param=name) from None


def cursor(request: web.Request) -> tuple[float, str] | None:
    """Return the place of a page in a list by time, as `cursor` of a request names it. Raises BadRequest."""
    text = request.query.get("cursor")
    if text is None:
        return None
    at, _, name = text.partition("_")
    try:
        return float.fromhex(at), name
    except ValueError:
        raise BadRequest("Invalid 'cursor': repeat what `next` said.", param="cursor") from None


def cursor_text(place: tuple[float, str] | None) -> str | None:
    """Return a place as a cursor."""
    return f"{place[0].hex()}_{place[1]}" if place is not None else None
