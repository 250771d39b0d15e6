"""Bodies of clients that wait for `100 Continue` before they send them (RFC 9110, section 10.1.1)."""

from collections.abc import Callable
from typing import Any

from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.streams import StreamReader
from multidict import CIMultiDict, CIMultiDictProxy


class AwaitedBody:
    """Body of a request with `Expect: 100-continue`. Reading it sends `100 Continue`; a refusal comes before that."""

    def __init__(self, body: StreamReader, ask: Callable[[StreamReader], None]) -> None:
        self._body = body
        self._ask: Callable[[StreamReader], None] | None = ask

    @property
    def is_awaited(self) -> bool:
        """True while the client waits with its body."""
        return self._ask is not None and self._body.total_bytes == 0

    def __getattr__(self, name: str) -> Any:
        if self._ask is not None and name.startswith(("read", "iter")):
            self._ask(self._body)
            self._ask = None
        return getattr(self._body, name)


def is_awaited(message: RawRequestMessage) -> bool:
    """Return whether a client that sent `Expect` waits for `100 Continue`; HTTP/1.0 does not know it."""
    return message.version >= HttpVersion11 and message.headers["Expect"].lower() == "100-continue"


def without_expect(message: RawRequestMessage) -> RawRequestMessage:
    """Return a message without its `Expect`, which aiohttp would answer."""
    headers = CIMultiDict(message.headers)
    del headers["Expect"]
    return message._replace(headers=CIMultiDictProxy(headers))
