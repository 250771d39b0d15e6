"""Refusal of requests at their first bytes, and the measurements behind it.

A refused request costs a hundredth of an answered one: its head is searched for three words, nothing is parsed, and an
answer of prepared bytes is written. So a gateway that gets five times the requests that it can answer goes on to answer
nearly as many as without the others.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path, PurePosixPath
from time import monotonic

from gateway.errors import GatewayError, openai_error
from gateway.policy.load.memory import MemoryAccount
from gateway.policy.load.overload import Overload
from gateway.server.process.allocator import trim

_PERIOD = 0.25
"""Seconds between two looks at the process's memory."""
_TRIM_EVERY = 40
"""Looks between two requests to the C library to give free memory back to the system."""
_MUCH_RETAINED = 0.25
"""Share of the account from which on memory that is retained at rest is asked back, too."""
_REPORT = 60.0
"""Seconds between two log lines about refusals."""
DISCARD = 1.0
"""Seconds for which the rest of a refused request is discarded, so that the client can read the answer first."""
_MOST_HEAD = 65536
_PAGE = os.sysconf("SC_PAGE_SIZE")
_HEALTH = (b"GET /healthz", b"GET /readyz", b"GET /metrics", b"HEAD /healthz", b"HEAD /readyz")
"""Requests that are never refused."""
_WITHOUT_BODY = (b"GET ", b"HEAD ", b"OPTIONS ", b"DELETE ")


def _answer(*, close: bool) -> bytes:
    error = GatewayError(
        "The gateway is overloaded. Please try again later.", status=503, code="gateway_overloaded"
    )
    body = openai_error(error)
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nServer: gemini-gateway\r\n"
        "Retry-After: 1\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: Retry-After\r\n"
        f"Content-Length: {len(body)}\r\n"
    )
    return f"{head}{'Connection: close' + chr(13) + chr(10) if close else ''}\r\n".encode() + body


_KEPT, CLOSED = _answer(close=False), _answer(close=True)


class Gate:
    """Looks at the first bytes of each request of one server."""

    def __init__(self, overload: Overload, loop: asyncio.AbstractEventLoop) -> None:
        self._overload = overload
        self._loop = loop
        self._turn_began = 0.0
        """Arrival of the first request of this turn of the loop; 0 before."""

    def refusal(self, data: bytes) -> bytes | None:
        """Return the answer to a new request that begins with `data` and is refused; None if it is not refused.

        After the answer CLOSED, the connection is to be closed.
        """
        now = monotonic()
        if not self._turn_began:
            self._turn_began = now
            self._loop.call_soon(self._turn_ended)
        overload = self._overload
        if overload.admits_all(now) or data.startswith(_HEALTH):
            return None
        if overload.refusal(now, has_body=not data.startswith(_WITHOUT_BODY)) is None:
            return None
        return _KEPT if _is_whole(data) and not overload.closes_connections else CLOSED

    def begin(self) -> int:
        """Count a request that is begun; see `Overload.begin`."""
        return self._overload.begin(self._turn_began)

    def end(self, generation: int) -> None:
        """Count a request that has ended."""
        self._overload.end(generation)

    def _turn_ended(self) -> None:
        now = monotonic()
        self._overload.turn_ended(now - self._turn_began, now)
        self._turn_began = 0.0


def _is_whole(data: bytes) -> bool:
    """Return whether data is exactly one request of HTTP/1.1 after which the connection can stay open."""
    end = data.find(b"\r\n\r\n", 0, _MOST_HEAD)
    if end < 0:
        return False
    head = data[:end].lower()
    if b" http/1.1\r\n" not in head or b"\r\nconnection: close" in head or b"\r\ntransfer-encoding:" in head:
        return False
    start = head.find(b"\r\ncontent-length:")
    if start < 0:
        return len(data) == end + 4
    length = head[start + 17 :].partition(b"\r\n")[0].strip()
    return length.isdigit() and len(data) == end + 4 + int(length)


@asynccontextmanager
async def watched_memory(
    overload: Overload, account: MemoryAccount, stored: Callable[[], int] = int
) -> AsyncIterator[None]:
    """Keep `overload.memory_share` up to date while the context is open, and log refusals.

    `stored` returns the bytes that the stores hold.
    """
    overload.most_memory = memory_limit()
    task = asyncio.create_task(_watch(overload, account, stored), name="memory")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _watch(overload: Overload, account: MemoryAccount, stored: Callable[[], int]) -> None:
    looks, refusals = 0, _Refusals(overload, account)
    with suppress(OSError), open("/proc/self/statm", "rb", buffering=0) as file:  # noqa: ASYNC230 - not a disk
        while True:
            size = int(os.pread(file.fileno(), 200, 0).split()[1]) * _PAGE
            overload.measure(size, stored(), account)
            refusals.report(monotonic())
            if overload.closes_connections or overload.retained_memory > account.limit * _MUCH_RETAINED:
                if looks % _TRIM_EVERY == 0:
                    await asyncio.to_thread(trim)
                looks += 1
            await asyncio.sleep(_PERIOD)


class _Refusals:
    """Log lines about refused requests, at most one a minute."""

    def __init__(self, overload: Overload, account: MemoryAccount) -> None:
        self._overload = overload
        self._account = account
        self._reported = overload.refused.copy()
        self._next = 0.0

    def report(self, now: float) -> None:
        """Log how many requests were refused since the last line, why, and the memory now."""
        overload, account = self._overload, self._account
        if now < self._next or overload.refused == self._reported:
            return
        counts = overload.refused - self._reported
        self._reported, self._next = overload.refused.copy(), now + _REPORT
        logging.getLogger("gateway.server").warning(
            "overload: %d requests refused for memory, %d for the event loop; memory share %.2f: process %d MB of %d,"
            " %d MB at its start, stores %d MB, retained %d MB; requests hold %d MB of %d, unsent %d MB",
            counts["memory"],
            counts["loop"],
            overload.memory_share,
            *(
                size // 10**6
                for size in (
                    overload.resident_memory,
                    overload.most_memory,
                    overload.base_memory,
                    overload.stored_memory,
                    overload.retained_memory,
                    account.used,
                    account.limit,
                    account.unsent,
                )
            ),
        )


def memory_limit(own: str = "/proc/self/cgroup", root: str = "/sys/fs/cgroup") -> int:
    """Return the bytes that the system gives this process: of the machine, or of its control groups if they are fewer.

    systemd's `MemoryMax` and `MemoryHigh` are `memory.max` and `memory.high` of the unit's group; above the second the
    process is slowed down (https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files).
    """
    limits = [os.sysconf("SC_PHYS_PAGES") * _PAGE]
    with suppress(OSError, UnicodeDecodeError):
        names = [line[3:] for line in Path(own).read_text().splitlines() if line.startswith("0::")]
        for name in names[:1]:
            group = PurePosixPath(name.strip("/"))
            for directory in (group, *group.parents):
                limits += _limits(Path(root, directory))
    return min(limits)


def _limits(group: Path) -> list[int]:
    """Return the limits of one control group in bytes; `max` stands for none."""
    limits = []
    for name in ("memory.max", "memory.high"):
        with suppress(OSError, ValueError):
            limits.append(int((group / name).read_text()))
    return limits
