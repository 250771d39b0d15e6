"""One account of the memory that requests hold: bodies, downloaded files, answers in buffers, background work.

Sizes are estimates of what Python allocates, so each place that takes memory multiplies the bytes it sees by a factor
of its own. Requests of less than `LARGE` bytes may use the whole limit; larger ones use four fifths of it, so that a
few large requests do not shut out the many small ones. One client's requests together use half of the limit, except
that a single request may use more. What WebSockets hold between requests counts for that half from the first byte.
"""

import sys
from typing import Annotated

from msgspec import Meta, Struct

from gateway.errors import Overloaded

LARGE = 256 * 1024
"""Bytes from which on a request counts as large. A smaller answer or event is not counted."""
_FOR_LARGE = 0.8
"""Fraction of the limit that large requests may use."""
_FOR_CLIENT = 0.5
"""Fraction of the limit that the large requests and the WebSockets of one client may use together."""
_RETRY_AFTER = 2.0
"""Seconds."""

MemoryLimit = Annotated[
    int,
    Meta(
        ge=2**20,
        description="Bytes that requests may hold together: bodies and what decoding makes of them, downloaded files, "
        "answers in buffers, background responses. Further requests are answered 503. One client gets at most half.",
    ),
]


class MemoryAccount:
    """Bytes that all requests hold."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        """Held by requests in progress and by background work."""
        self.unsent = 0
        """Written to connections whose clients have not read it. Measured from time to time."""
        self.kept = 0
        """Of `used`: events of background responses that have ended, which no request in progress needs."""
        self.given_back = 0
        """Bytes that requests have given back since the start."""
        self.refused = 0
        """Requests that were answered 503."""
        self._by_owner: dict[str, int] = {}

    def open(self) -> "MemoryHold":
        """Return a hold without memory."""
        return MemoryHold(self)

    def of(self, owner: str) -> int:
        """Return the bytes of one client's large requests and WebSockets."""
        return self._by_owner.get(owner, 0)

    def check_large(self, hold: "MemoryHold", size: int) -> None:
        """Raise Overloaded unless a large request may hold `size` bytes in all."""
        others = self.used - hold.size
        if not others and not self.unsent and size <= max(hold.admitted * 2, self.limit):
            return
        if self.unsent + others + size > self.limit * _FOR_LARGE:
            raise self.refusal()
        self.check_share(hold, size)

    def check_share(self, hold: "MemoryHold", size: int) -> None:
        """Raise Overloaded unless the hold's owner may hold `size` bytes besides what else counts for it."""
        owned = self.of(hold.owner) - hold.owned
        if owned and owned + size > self.limit * _FOR_CLIENT:
            raise self.refusal()

    def refusal(self) -> Overloaded:
        """Count a refusal, and return the error for it."""
        self.refused += 1
        return Overloaded(
            "The gateway is overloaded: requests in progress hold all of its memory. Please try again later.",
            retry_after=_RETRY_AFTER,
        )

    def own(self, hold: "MemoryHold", owned: int) -> None:
        """Count `owned` bytes of a hold for its owner from now on."""
        total = self.of(hold.owner) + owned - hold.owned
        hold.owned = owned
        if total:
            self._by_owner[hold.owner] = total
        else:
            self._by_owner.pop(hold.owner, None)


class MemoryHold(Struct, eq=False):
    """Bytes that one request holds."""

    _account: MemoryAccount
    _owner: str = ""
    size: int = 0
    kept: int = 0
    """Bytes that are counted as kept."""
    owned: int = 0
    """Bytes that are counted for the owner: all of a large request, none of a small one."""
    is_shared: bool = False
    """Whether bytes count for the owner from the first one on: a client can have many such holds at once."""
    admitted: int = 0
    """Bytes of the body. Alone in the gateway, a request may grow to twice as much whatever the limit."""
    covered: int = 0
    """Bytes of encoded calls that are held already: with the body, with its files, or for calls that have ended.

    The next call uses them before it takes any.
    """

    @classmethod
    def uncounted(cls) -> "MemoryHold":
        """Return a hold that no limit applies to."""
        return cls(MemoryAccount(sys.maxsize))

    @property
    def owner(self) -> str:
        """The client: the id of an issued key, or an address."""
        return self._owner

    @owner.setter
    def owner(self, owner: str) -> None:
        owned = self.owned
        if owned:
            self._account.own(self, 0)
        self._owner = owner
        if owned:
            self._account.own(self, owned)

    def admit(self, size: int) -> None:
        """Take the bytes of a body. Raises Overloaded. A body alone in the gateway is always admitted."""
        if self.size + size > self.admitted:
            self.admitted = self.size + size
        self.take(size)

    def take(self, size: int) -> None:
        """Hold `size` more bytes. Raises Overloaded when the account is full."""
        account, total = self._account, self.size + size
        if total > LARGE:
            account.check_large(self, total)
            account.own(self, total)
        elif account.used + account.unsent + size > account.limit and account.used > self.size:
            raise account.refusal()
        elif self.is_shared:
            account.check_share(self, total)
            account.own(self, total)
        account.used += size
        self.size = total

    def keep(self) -> None:
        """Count everything as kept: no request in progress needs it any more."""
        self._account.kept += self.size - self.kept
        self.kept = self.size

    def take_encoded(self, size: int) -> None:
        """Hold the bytes of one more encoded call, as far as they are not covered. Raises Overloaded.

        Encoding makes no text longer than it was in the body, so one call of the whole body is held with the body.
        What a request sends more than once is not, such as the prompt of several choices.
        """
        missing = size - self.covered
        if missing > 0:
            self.take(missing)
        self.covered = max(0, -missing)

    def correct_encoded(self, expected: int, size: int) -> None:
        """Replace the expected size of a call by its own. Raises Overloaded. What is left covers later calls."""
        if size > expected:
            self.take_encoded(size - expected)
        else:
            self.covered += expected - size

    def give(self, size: int) -> None:
        """Give `size` bytes back."""
        self.size -= size
        if self.kept:
            self.kept -= size
            self._account.kept -= size
        self._account.used -= size
        self._account.given_back += size
        if self.owned:
            self._account.own(self, self.size if self.size > LARGE or self.is_shared else 0)

    def shrink(self, size: int) -> None:
        """Give back what is held above `size` bytes."""
        if self.size > size:
            self.give(self.size - size)

    def release(self) -> None:
        """Give everything back."""
        if self.size > 0:
            self.give(self.size)

    def handed_over(self) -> "MemoryHold":
        """Return a new hold of everything that this one held."""
        admitted = self.admitted
        successor = self.detached(self.size)
        successor.admitted, successor.covered = admitted, self.covered
        return successor

    def detached(self, size: int) -> "MemoryHold":
        """Return a new hold of `size` of these bytes, which counts for the owner as any request does."""
        part = MemoryHold(self._account)
        part._owner, part.size, part.admitted = self._owner, size, size
        self.size -= size
        self.admitted = min(self.admitted, self.size)
        self._account.own(self, self.size if self.size > LARGE or self.is_shared else 0)
        self._account.own(part, size if size > LARGE else 0)
        return part
