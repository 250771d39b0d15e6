"""Connector that knows whether a request went out on a connection that had carried others before."""

import ssl
from contextvars import ContextVar
from typing import TYPE_CHECKING
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler

from gateway.upstream.transport import IDLE_SECONDS

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

_was_reused: ContextVar[bool] = ContextVar("was_reused", default=False)


def was_reused() -> bool:
    """Return whether the last request of this task went out on a reused connection."""
    return _was_reused.get()


class Connector(aiohttp.TCPConnector):
    """aiohttp's connector without a limit: Admission limits requests, a full connector would let them wait."""

    def __init__(self, resolver: aiohttp.abc.AbstractResolver, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(
            limit=0, resolver=resolver, use_dns_cache=False, keepalive_timeout=IDLE_SECONDS, ssl=tls or True
        )
        self._used: WeakSet[ResponseHandler] = WeakSet()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: "list[Trace]",
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own signature
    ) -> "Connection":
        """Return a pooled connection or a new one, and note which of the two it is."""
        _was_reused.set(False)
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is None or not protocol.should_close:
                break
            # It has sent something while it waited. aiohttp would take that for the answer to the next request.
            connection.close()
        if protocol is not None:
            if protocol in self._used:
                _was_reused.set(True)
            else:
                self._used.add(protocol)
        return connection

    def close_idle(self) -> None:
        """Close the connections that wait for a request."""
        for waiting in self._conns.values():
            for protocol, _ in waiting:
                protocol.close()
        self._conns.clear()
