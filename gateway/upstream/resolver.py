"""DNS for the way to Google: known addresses serve on while a name server is slow or dead.

A lookup runs in a thread of its own, one for each name at a time. The event loop's default threads do other work, and
a name server that hangs would occupy all of them.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import Struct

from gateway.policy.ssrf import behind_nat64, is_public

_FRESH = 30.0
"""Seconds for which an answer is used without another lookup; `getaddrinfo` does not tell the record's own time."""
_PAUSE = 5.0
"""Seconds between two lookups of a name whose last lookup failed, while its old addresses serve."""
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

logger = logging.getLogger("gateway.upstream")


class PrivateAddressError(OSError):
    """DNS names a private address for a public host."""


class _Addresses(Struct):
    """The last good answer for a name."""

    results: list[ResolveResult]
    until: float
    """Time of the next lookup, by the monotonic clock."""


_Name = tuple[str, int, socket.AddressFamily]


class Resolver(AbstractResolver):
    """Resolver with a memory. `refuses(host)` says whether private addresses are refused for a host."""

    def __init__(self, refuses: Callable[[str], bool]) -> None:
        self._refuses = refuses
        self._known: dict[_Name, _Addresses] = {}
        self._lookups: dict[_Name, asyncio.Future[list[ResolveResult]]] = {}
        self._began: dict[_Name, float] = {}
        """Begin of each lookup in progress."""
        self._failing = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host: those that are known at once, even if they are looked up again.

        Raises OSError: `socket.gaierror`, or PrivateAddressError.
        """
        name = (host, port, family)
        known = self._known.get(name)
        if known is not None and monotonic() < known.until:
            return known.results
        lookup = self._lookups.get(name) or self._look_up(name)
        if known is not None:
            return known.results
        return await asyncio.shield(lookup)

    def is_stuck(self, seconds: float) -> bool:
        """Return whether one lookup has taken so long. A name is looked up once at a time, so all wait for it."""
        return any(monotonic() - since > seconds for since in self._began.values())

    async def close(self) -> None:
        """Do nothing: the threads end with their lookups."""

    def _look_up(self, name: _Name) -> "asyncio.Future[list[ResolveResult]]":
        """Begin a lookup in a daemon thread, which does not keep the process from exiting."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[ResolveResult]] = loop.create_future()
        future.add_done_callback(lambda done: self._finished(name, done))
        self._lookups[name] = future
        self._began[name] = monotonic()

        def work() -> None:
            result: list[ResolveResult] | Exception
            try:
                result = _addresses(*name)
                self._check(name[0], result)
            except Exception as error:  # noqa: BLE001 - raised where the lookup is awaited
                result = error
            with suppress(RuntimeError):  # the loop has been closed meanwhile
                loop.call_soon_threadsafe(_settle, future, result)

        threading.Thread(target=work, name="dns", daemon=True).start()
        return future

    def _check(self, host: str, results: list[ResolveResult]) -> None:
        """Raise PrivateAddressError for an answer that would send a key into the own network."""
        if self._refuses(host) and not all(is_public(behind_nat64(result["host"])) for result in results):
            raise PrivateAddressError(
                "the answer is a private address, which would receive the keys; set upstream.private_addresses if it "
                "is meant"
            )

    def _finished(self, name: _Name, done: "asyncio.Future[list[ResolveResult]]") -> None:
        """Keep a good answer. After a failure, keep the old one; without one, the next request looks again."""
        del self._lookups[name], self._began[name]
        if done.cancelled():
            return
        error = done.exception()
        if error is None:
            self._known[name] = _Addresses(done.result(), monotonic() + _FRESH)
        elif name in self._known:
            self._known[name].until = monotonic() + _PAUSE
        self._report(name[0], error)

    def _report(self, host: str, error: BaseException | None) -> None:
        """Log the first failure, and the end of failures."""
        if error is not None and not self._failing:
            logger.warning("DNS for %s failed: %s", host, error)
        elif error is None and self._failing:
            logger.warning("DNS for %s answers again", host)
        self._failing = error is not None


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    """Return the answer of the system's resolver. Blocks. Raises socket.gaierror."""
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host, host=str(address[0]), port=port, family=kind, proto=protocol, flags=_NUMERIC
        )
        for kind, _, protocol, _, address in infos
    ]


def _settle(future: "asyncio.Future[list[ResolveResult]]", result: list[ResolveResult] | Exception) -> None:
    if future.done():  # cancelled, because the loop ends
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
