"""One JSON line for each exchange, on standard error, where journald reads.

Lines are gathered and written by a thread: a stopped reader costs lines, which are counted, never a request
(robustness.md P14).
"""

import asyncio
import os
import threading
import time
from collections import deque
from contextlib import suppress

import msgspec

from gateway.observability.request_log import RequestLog

_STDERR = 2
_PAUSE = 0.1
"""Seconds in which lines gather before they are written at once."""
_MOST_WAITING = 10_000
_LAST_PATIENCE = 1.0
_LONGEST_FIELD = 256

_encoder = msgspec.json.Encoder()


class JsonLog:
    """Takes records at any time; writes to a file descriptor without ever blocking the loop."""

    def __init__(self, fd: int = _STDERR) -> None:
        self._fd = fd
        self._lines: deque[bytes] = deque()
        self._writer: threading.Thread | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.dropped = 0
        """Lines, since the start."""
        self._told = 0
        """How many of them the log itself says."""

    def exchange(self, record: RequestLog) -> None:
        """One exchange is over."""
        record.path = _shortened(record.path)
        record.requested_model = _shortened(record.requested_model or "") or None
        self._add(b'{"time":%.3f,"event":"exchange",' % time.time() + _encoder.encode(record)[1:])

    def event(self, name: str, **fields: object) -> None:
        """Something an operator should know of."""
        head = {"time": round(time.time(), 3), "event": name}
        self._add(_encoder.encode(head | fields))

    async def close(self) -> None:
        """Write what is left; a reader that stays stopped is not waited for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._written()
        self._start_writing()
        await self._written()

    def _add(self, line: bytes) -> None:
        if len(self._lines) >= _MOST_WAITING:
            self.dropped += 1
            return
        self._lines.append(line)
        if self._timer is None:
            with suppress(RuntimeError):  # of another thread: it goes with the next line
                self._timer = asyncio.get_running_loop().call_later(_PAUSE, self._flush)

    def _flush(self) -> None:
        self._timer = None
        if self._writer is not None and self._writer.is_alive():
            self._timer = asyncio.get_running_loop().call_later(_PAUSE, self._flush)
        else:
            self._start_writing()

    def _start_writing(self) -> None:
        """In a thread of its own: one that nobody waits for at exit, should the reader be stopped."""
        self._writer = threading.Thread(target=_write, args=(self._fd, self._take()), daemon=True)
        self._writer.start()

    async def _written(self) -> None:
        """Wait for the writer, for a second at most."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _LAST_PATIENCE
        while self._writer is not None and self._writer.is_alive() and loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.005)  # a thread's end has no event

    def _take(self) -> bytes:
        if news := self.dropped - self._told:
            self._lines.append(_encoder.encode({"event": "log_lines_dropped", "count": news}))
            self._told += news
        text = b"\n".join([*self._lines, b""])
        self._lines.clear()
        return text


def _write(fd: int, data: bytes) -> None:
    """All of it; when nobody can read any more there is no better place to say so."""
    with suppress(OSError):
        while data:
            data = data[os.write(fd, data) :]


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_FIELD else text[:_LONGEST_FIELD] + "…"
