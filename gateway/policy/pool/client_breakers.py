"""Circuit breakers of one project for one model: one for all clients, and one for each client whose calls fail.

A client can make Google fail, with a prompt that ends in a 500 for instance. Its failures alone keep only the client
itself away from the project.
"""

from gateway.policy.bounded import BoundedMapping
from gateway.policy.pool.breaker import Breaker

_FAILURES = 5
"""Failures in a row before a project cools down for a model."""
_MOST_OF_ONE = 3
"""Of these, those that one client may contribute to the breaker of all clients."""
_OPEN_FIRST, _OPEN_LONGEST = 1.0, 30.0
"""Seconds for which a breaker opens: the first time, and at most."""
_MAX_CLIENTS = 64
"""Clients with failures that are remembered."""


class ClientBreakers:
    """Breakers of all clients together (`shared`) and of single clients. The client "" has no breaker of its own."""

    __slots__ = ("_counted", "own", "shared")

    def __init__(self) -> None:
        self.shared = Breaker(_FAILURES, _OPEN_FIRST, _OPEN_LONGEST)
        self.own: BoundedMapping[str, Breaker] | None = None
        """Of clients whose calls have failed; None before the first."""
        self._counted: dict[str, int] = {}
        """Failures of each client since the last success of any."""

    def remaining(self, client: str, now: float) -> float:
        """Return the seconds for which a client is kept away."""
        own = self.own.get(client) if self.own else None
        return max(self.shared.cooldown.remaining(now), own.cooldown.remaining(now) if own is not None else 0)

    def failed(
        self, client: str, now: float, jitter: float, *, may_open: bool, connection: bool = False
    ) -> None:
        """Count a failure. One of the connection is no client's doing and counts for all."""
        if client:
            if self.own is None:
                self.own = BoundedMapping(_MAX_CLIENTS)
            own = self.own.get(client)
            if own is None:
                own = self.own[client] = Breaker(_FAILURES, _OPEN_FIRST, _OPEN_LONGEST)
            own.failed(now, jitter, may_open=may_open)
            if not connection:
                counted = self._counted.get(client, 0)
                if counted >= _MOST_OF_ONE or len(self._counted) > _FAILURES:
                    return
                self._counted[client] = counted + 1
        self.shared.failed(now, jitter, may_open=may_open)

    def succeeded(self, client: str) -> None:
        """Close the breaker of all clients and that of the client. Others' own breakers stay as they are."""
        shared = self.shared
        if shared.failures or shared.openings:
            shared.succeeded()
        if self.own is not None:
            self.own.pop(client, None)
            self._counted.clear()
