"""All Live sessions of the gateway: how many there may be, and those that have to end."""

import asyncio
from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from gateway.errors import GatewayError, Overloaded, RateLimited
from gateway.observability.statistics import OTHER, Statistics
from gateway.plugins.native.live.closing import Ending
from gateway.plugins.native.live.config import LiveConfig

_PRIVATE = 3000
"""Codes from here on are the applications' own (RFC 6455, 7.4.2)."""
_LOOK = 1.0
"""Seconds between two looks at all sessions: one timer for all is cheaper than one for each."""


class Watched(Protocol):
    """A session."""

    key: str
    """The client's API key, as a digest."""
    address: str
    ending: Ending

    def check_time(self, now: float) -> None:
        """End the session if it is too old, or silent."""

    def warn(self) -> None:
        """Tell the client that the session will end soon. Called more than once."""


class Sessions:
    """Sessions in progress."""

    def __init__(self, config: LiveConfig, statistics: Statistics, draining: Callable[[], bool]) -> None:
        self._config = config
        self._statistics = statistics
        self._draining = draining
        self._open: set[Watched] = set()
        self._counts: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, session: Watched) -> None:
        """Count a session. Raises Overloaded and RateLimited."""
        if (error := self._refusal(session)) is not None:
            raise error
        self._open.add(session)
        self._counts.update(_names(session))
        self._statistics.live_sessions += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK, self._look)

    def leave(self, session: Watched) -> None:
        """Count the end of a session, by the code of its close frame."""
        self._open.discard(session)
        self._counts.subtract(_names(session))
        for name in _names(session):
            if not self._counts[name]:
                del self._counts[name]
        self._statistics.live_sessions -= 1
        code = session.ending.code
        self._statistics.live_closed[str(code) if code < _PRIVATE else OTHER] += 1

    def _refusal(self, session: Watched) -> GatewayError | None:
        config = self._config
        key, *addresses = _names(session)
        if self._counts[key] >= config.per_client:
            return RateLimited(
                f"Rate limit reached for this API key: {config.per_client} Live sessions at once.",
                type="requests",
                retry_after=1,
            )
        shares = any(self._counts[name] >= max(1, config.sessions // 2) for name in addresses)
        if len(self._open) >= config.sessions or shares:
            return Overloaded(
                "The gateway is overloaded: it has no room for another Live session. Please try again later.",
                retry_after=2,
            )
        return None

    def _look(self) -> None:
        now, draining = monotonic(), self._draining()
        for session in list(self._open):
            if draining:
                session.warn()
            session.check_time(now)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_LOOK, self._look) if self._open else None


def _names(session: Watched) -> tuple[str, ...]:
    names = (f"key {session.key}",)
    return (*names, f"address {session.address}") if session.address else names
