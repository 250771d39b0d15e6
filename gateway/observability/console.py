"""Messages on standard error for the person who starts the gateway: the address, a reload's outcome, a fault.

They are plain lines on a terminal. Where standard error is systemd's journal, or GATEWAY_LOG is `json`, each is a line
of JSON, in the form of the log: then nothing that the process writes is another text, see `json_streams`.

Standard error may be full, closed, or a pipe that is not read. `say` never raises and never waits for it: a message
that cannot be written is kept, and written when that is possible again.
"""

import asyncio
import atexit
import io
import os
import select
import sys
import time
from collections import deque
from collections.abc import Mapping
from typing import TextIO, cast

import msgspec

from gateway.observability.journal import INFO, NAMES, WARNING, is_journal, prefixed
from gateway.observability.redaction import printable, redacted_line

_STDERR = 2
_PIECE = select.PIPE_BUF
"""Bytes that a writable pipe takes at once, without waiting (pipe(7))."""
_MAX_KEPT = 100
"""Messages; the oldest are dropped."""
_RETRY = 1.0
"""Seconds between two tries."""
_MAX_LINE = 10_000
"""Characters of a foreign line; a longer one becomes several. The journal cuts lines of 48 KB."""
VARIABLE = "GATEWAY_LOG"
"""Environment variable: `json` or `text`. Without it, messages are JSON if standard error is the journal."""

_encode = msgspec.json.Encoder(enc_hook=str).encode


class Console:
    """Messages that are written to a file descriptor, at once or later."""

    def __init__(self, fd: int = _STDERR) -> None:
        self._fd = fd
        self._kept: deque[bytes] = deque(maxlen=_MAX_KEPT)
        self._retry: asyncio.TimerHandle | None = None

    def say(self, message: object) -> None:
        """Write a message and a line feed, now or, within a running loop, as soon as it can be written."""
        self._keep(f"{message}\n".encode(errors="backslashreplace"))

    def event(self, name: str, priority: int, **fields: object) -> None:
        """Write a line of JSON, without secrets, with its priority where the file is the journal."""
        clean = {key: str(value).encode(errors="backslashreplace").decode() for key, value in fields.items()}
        line = _encode({"time": round(time.time(), 3), "event": name, **clean})
        line = printable(redacted_line(line))
        self._keep((prefixed(line, priority) if is_journal(self._fd) else line) + b"\n")

    def _keep(self, line: bytes) -> None:
        self._kept.append(line)
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


def is_json(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether messages are lines of JSON. Raises ValueError for a GATEWAY_LOG that is unknown."""
    form = environ.get(VARIABLE, "")
    if form not in ("", "json", "text"):
        raise ValueError(f"{VARIABLE} is {form!r}: expected `json` or `text`")
    return form == "json" if form else is_journal(_STDERR, environ)


def say(message: object, priority: int = INFO) -> None:
    """Write a message for people to standard error, now or later. Never raises and never waits."""
    if isinstance(sys.stderr, _Lines):
        _console.event("message", priority, level=NAMES[priority], message=message)
    elif _is_no_file(sys.stderr):  # a program that embeds the gateway has put its own object there
        print(message, file=sys.stderr)
    else:
        _console.say(message)


def tell(name: str, priority: int, **fields: object) -> bool:
    """Write a line of the log outside of a running application. Return False where messages are plain lines."""
    if isinstance(sys.stderr, _Lines):
        _console.event(name, priority, **fields)
        return True
    return False


def json_streams(*, stdout: bool) -> None:
    """Make each line that anything writes to `sys.stderr`, or also to `sys.stdout`, a line of JSON.

    So do argparse, warnings, tracebacks, and libraries and plugins that print.
    """
    sys.stderr = _replaced("stderr", WARNING)
    if stdout or is_journal(1):
        sys.stdout = _replaced("stdout", INFO)


def _replaced(name: str, priority: int) -> TextIO:
    stream = _Lines(name, priority)
    atexit.register(stream.close)
    return cast("TextIO", stream)


class _Lines(io.TextIOBase):
    """Text stream whose lines are events."""

    def __init__(self, name: str, priority: int) -> None:
        super().__init__()
        self._name, self._priority = name, priority
        self._rest = ""

    def write(self, text: str) -> int:
        """Write the lines that are complete, and keep the rest."""
        *lines, self._rest = (self._rest + text).split("\n")
        while len(self._rest) > _MAX_LINE:
            lines.append(self._rest[:_MAX_LINE])
            self._rest = self._rest[_MAX_LINE:]
        for line in lines:
            if line.strip():
                level = NAMES[self._priority]
                _console.event("output", self._priority, level=level, stream=self._name, message=line)
        return len(text)

    def close(self) -> None:
        """Write the rest."""
        if not self.closed and self._rest:
            self.write("\n")
        super().close()

    def fileno(self) -> int:
        """Return the number of standard error: there all lines go."""
        return _STDERR

    def writable(self) -> bool:
        """Return True."""
        return True


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
