"""Plain messages on standard error for the person who starts the gateway: the address, a reload's outcome, a fault.

Standard error may be full, closed, or a pipe that is not read. `say` never raises and never waits for it: a message
that cannot be written is kept, and written when that is possible again.
"""

import asyncio
import io
import os
import select
import sys
from collections import deque
from typing import TextIO

_STDERR = 2
_PIECE = select.PIPE_BUF
"""Bytes that a writable pipe takes at once, without waiting (pipe(7))."""
_MAX_KEPT = 100
"""Messages; the oldest are dropped."""
_RETRY = 1.0
"""Seconds between two tries."""


class Console:
    """Messages that are written to a file descriptor, at once or later."""

    def __init__(self, fd: int = _STDERR) -> None:
        self._fd = fd
        self._kept: deque[bytes] = deque(maxlen=_MAX_KEPT)
        self._retry: asyncio.TimerHandle | None = None

    def say(self, message: object) -> None:
        """Write a message and a line feed, now or, within a running loop, as soon as it can be written."""
        self._kept.append(f"{message}\n".encode(errors="backslashreplace"))
        self._write_kept()

    def _write_kept(self) -> None:
        self._retry = None
        while self._kept:
            rest = self._written(self._kept.popleft())
            if rest:
                self._kept.appendleft(rest)
                self._try_later()
                return

    def _written(self, message: bytes) -> bytes:
        """Write what standard error takes now. Return the rest."""
        try:
            while message and select.select((), (self._fd,), (), 0)[1]:
                message = message[os.write(self._fd, message[:_PIECE]) :]
        except (OSError, ValueError):  # a full disk, a closed reader, a closed file
            return message
        return message

    def _try_later(self) -> None:
        try:
            self._retry = self._retry or asyncio.get_running_loop().call_later(_RETRY, self._write_kept)
        except RuntimeError:  # no loop: the process is about to end, or has not begun to serve
            return


_console = Console()


def say(message: object) -> None:
    """Write a message for people to standard error, now or later. Never raises and never waits."""
    if _is_no_file(sys.stderr):  # a program that embeds the gateway has put its own object there
        print(message, file=sys.stderr)
    else:
        _console.say(message)


def _is_no_file(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.fileno() < 0
    except io.UnsupportedOperation:
        return True
    except (OSError, ValueError):  # it is closed
        return False


def occupy_standard_files() -> None:
    """Open /dev/null in place of standard input, output and error that are closed.

    Otherwise the next file that is opened has their number, and receives what is meant for them.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is `fd`
