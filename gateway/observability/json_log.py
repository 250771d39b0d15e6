"""Log of JSON lines on standard error, which systemd's journal reads.

Lines are queued, and written by a thread. A reader that stops costs lines, which are counted; it never delays a
request. The standard library's `logging` is connected by LogHandler, so that lines of plugins and libraries have the
same form.
"""

import asyncio
import logging
import os
import re
import select
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from queue import SimpleQueue
from typing import Any, NamedTuple

import msgspec
from msgspec import structs

from gateway.errors import scrub
from gateway.observability.console import tell
from gateway.observability.journal import ERROR, INFO, NAMES, WARNING, is_journal, prefixed
from gateway.observability.redaction import (
    may_hold_secret,
    printable,
    redacted,
    redacted_beginning,
    redacted_line,
)
from gateway.observability.request_log import RequestLog

_STDERR = 2
_PAUSE = 0.1
"""Seconds for which lines are gathered before they are written together."""
_MAX_QUEUED = 10_000
"""Lines; more are dropped."""
_CLOSE_TIMEOUT = 1.0
"""Seconds that closing waits for a reader that does not read."""
_MAX_FIELD = 256
"""Characters of a field that holds a client's text."""
_MAX_MESSAGE = 2000
"""Characters of a `logging` message."""
_MAX_TEXT = 10_000
"""Characters of a text of the gateway's own, such as a trace."""
_MAX_ITEMS = 50
"""Items of a list."""
_LONGEST_USUAL = 1000
"""Bytes of a line whose fields need not be looked at, each."""
_MAX_FRAMES = 30
_plain_id = re.compile(r"(?:req_)?[0-9a-f-]*").fullmatch
"""Matches the gateway's own ids and nginx's: no secret has only their characters."""


class Event(NamedTuple):
    """A kind of line beside those of requests."""

    name: str
    fields: tuple[str, ...]
    priority: int | None
    """Priority in the journal; None where the line's `level` says it."""
    meaning: str


EVENTS = (
    Event("message", ("level", "message"), None,
          "A message that is a plain line on a terminal: the start, a reload, a mistake in the configuration."),
    Event("log", ("logger", "level", "message", "trace"), None,
          "A record of Python's `logging`, from a plugin (`gateway.plugins.NAME`) or a library."),
    Event("crash", ("request_id", "trace", "plugin", "handler"), ERROR,
          "An unexpected exception in a handler: its type and the place of each frame, without its text. Without a"
          " `request_id`: the exception that ends the process."),
    Event("team", ("message",), WARNING, "News of the ledger, issued keys or Redis, mostly of a failure or its end."),
    Event("pool", ("project", "key", "reason", "until", "message"), WARNING,
          "Google refuses a key of the pool, or the operator has put it back. `key` is empty for a whole project;"
          " `until` is the time until which it is not used."),
    Event("admin", ("level", "operator", "how", "what", "on", "detail"), None,
          "A change by an operator: who, signed in how (`token`, `cookie`, `header`), did what (`key.revoke`), on which"
          " key or project. `session.refused` is a wrong admin token, with the address."),
    Event("state", ("message",), WARNING, "Trouble with a state file."),
    Event("traces", ("message",), WARNING, "Trouble with OpenTelemetry."),
    Event("log_lines_dropped", ("count",), WARNING, "Lines that were dropped because standard error was not read."),
    Event("output", ("level", "stream", "message"), None,
          "A line that a library or a plugin has printed, or Python itself (`stream`: `stdout` or `stderr`)."),
)  # fmt: skip
_PRIORITIES = {event.name: event.priority for event in EVENTS}
_LEVELS = {name: number for number, name in NAMES.items()}

_encoder = msgspec.json.Encoder()


class JsonLog:
    """Queue of log lines for a file descriptor. Its methods never block and may be called from any thread."""

    def __init__(self, fd: int = _STDERR) -> None:
        self._fd = fd
        self._in_journal = is_journal(fd)
        self._lines: deque[bytes] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer: threading.Thread | None = None
        self._handed: SimpleQueue[bytes | None] = SimpleQueue()
        """Lines for the writer; None ends it."""
        self._given = self._done = 0
        """Numbers of handed over and of written pieces. The writer alone counts the second."""
        self._timer: asyncio.TimerHandle | None = None
        self.dropped = 0
        """Lines dropped since the start."""
        self._torn = False
        """Whether the last line was begun and not ended, because the disk was full."""
        self._reported = 0
        """Dropped lines that a `log_lines_dropped` line has counted."""

    def exchange(self, record: RequestLog) -> RequestLog:
        """Add the line of a finished request. Return the record as it is logged: its texts may be shortened."""
        line = _encoder.encode(record)
        if len(line) > _LONGEST_USUAL or not _is_usual(record):
            record = shortened(record)
            line = redacted_line(_encoder.encode(record))
        priority = WARNING if record.status >= 500 or (record.error and record.status == 200) else INFO
        now = int(time.time() * 1000 + 0.5)  # a float takes longer to format
        self._add(b'{"time":%d.%03d,"event":"exchange",' % divmod(now, 1000) + line[1:], priority)
        return record

    def event(self, name: str, **fields: object) -> None:
        """Add a line of another kind."""
        head: dict[str, object] = {"time": round(time.time(), 3), "event": name}
        line = _encoder.encode(head | fields)
        if len(line) > _LONGEST_USUAL:
            line = _encoder.encode(head | {key: _bounded(value, _MAX_TEXT) for key, value in fields.items()})
        line = redacted_line(line)
        self._add(line, _PRIORITIES.get(name) or _LEVELS.get(str(fields.get("level")), WARNING))

    async def close(self) -> None:
        """Write the queued lines. Waits for a reader for a second at most."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._written()
        self._start_writing()
        await self._written()
        self._handed.put(None)
        self._loop = self._writer = None

    def _add(self, line: bytes, priority: int) -> None:
        if len(self._lines) >= _MAX_QUEUED:
            self.dropped += 1
            return
        self._lines.append(prefixed(line, priority) if self._in_journal else line)
        if self._timer is not None:
            return
        try:
            self._loop = asyncio.get_running_loop()
            self._timer = self._loop.call_later(_PAUSE, self._flush)
        except RuntimeError:  # another thread, or no loop: then close() writes the line
            if self._loop is not None:
                with suppress(RuntimeError):  # the loop has been closed meanwhile
                    self._loop.call_soon_threadsafe(self._schedule)

    def _schedule(self) -> None:
        if self._timer is None and self._loop is not None:
            self._timer = self._loop.call_later(_PAUSE, self._flush)

    def _flush(self) -> None:
        self._timer = None
        if self._is_busy:
            self._timer = asyncio.get_running_loop().call_later(_PAUSE, self._flush)
        else:
            self._start_writing()

    def _start_writing(self) -> None:
        """Write in a daemon thread: the process can exit while a stopped reader blocks it."""
        self._given += 1
        self._handed.put(self._take())
        if self._writer is None or not self._writer.is_alive():
            self._writer = threading.Thread(target=self._write_all, daemon=True)
            self._writer.start()

    @property
    def _is_busy(self) -> bool:
        """Whether the writer has not ended what it was given."""
        return self._given != self._done and self._writer is not None and self._writer.is_alive()

    def _write_all(self) -> None:
        """Write all that is handed over, in a thread."""
        while (data := self._handed.get()) is not None:
            try:
                self._write(data)
            finally:
                self._done += 1

    def _write(self, data: bytes) -> None:
        """Write lines in a thread. Count those that a full disk or a closed reader loses."""
        if self._torn:
            data = b"\n" + data
        try:
            while data:
                data = data[self._write_some(data) :]
        except OSError:
            self.dropped += data.count(b"\n")

    def _write_some(self, data: bytes) -> int:
        """Write what the file takes. Wait for the reader of a pipe, also of one that does not block."""
        try:
            written = os.write(self._fd, data)
            self._torn = data[written - 1 : written] != b"\n"
            return written
        except BlockingIOError:
            select.select((), (self._fd,), (), _CLOSE_TIMEOUT)
            return 0

    async def _written(self) -> None:
        """Wait for the writer, for a second at most."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _CLOSE_TIMEOUT
        while self._is_busy and loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.005)  # a thread sets no event of a loop

    def _take(self) -> bytes:
        """Return the queued lines, and a line about those dropped since the last one."""
        if news := self.dropped - self._reported:
            line = _encoder.encode({
                "time": round(time.time(), 3), "event": "log_lines_dropped", "count": news
            })  # fmt: skip
            self._lines.append(prefixed(line, WARNING) if self._in_journal else line)
            self._reported += news
        lines: list[bytes] = []
        while self._lines:  # other threads may add lines meanwhile
            lines.append(self._lines.popleft())
        return b"\n".join([*map(printable, lines), b""])


def _is_usual(record: RequestLog) -> bool:
    """Return whether the texts of a record are short, and cannot contain a secret: they are fewer than the line's."""
    if (
        record.notes
        or record.adjusted
        or record.fallbacks
        or record.failures
        or record.unknown_reason
        or record.cause
        or record.error
        or record.refused_by
    ):
        return False
    if not (_plain_id(record.request_id) or _are_usual(record.request_id)):
        return False
    return _are_usual(
        record.method, record.path, record.model, record.requested_model, record.client, record.key,
        record.surface, record.project, record.api, record.hedge, record.cached,
    )  # fmt: skip


@lru_cache(512)
def _are_usual(*texts: str | None) -> bool:
    """Return whether none of some texts is long or can contain a secret. Most requests differ in their ids alone."""
    shown = [text for text in texts if text]
    return max(map(len, shown), default=0) <= _MAX_FIELD and not may_hold_secret("\n".join(shown))


def shortened(record: RequestLog) -> RequestLog:
    """Return a record whose texts and lists have the lengths of the log."""
    fields = structs.asdict(record).items()
    return RequestLog(**{name: _bounded(value, _MAX_FIELD) for name, value in fields})


def _bounded(value: Any, limit: int) -> Any:
    """Return a field's value with texts of at most `limit` characters, and at most 50 items of a list."""
    if isinstance(value, str):
        return redacted_beginning(value, limit) if len(value) > limit else value
    if isinstance(value, list):
        rest = [f"+{len(value) - _MAX_ITEMS}"] if len(value) > _MAX_ITEMS else []
        return [_bounded(item, limit) for item in value[:_MAX_ITEMS]] + rest
    return value


class LogHandler(logging.Handler):
    """Handler of the standard library's `logging` that adds each record as a `log` line.

    A line has the logger, the level, the message (shortened, without keys) and, for an exception, its type and the
    place of each frame. The exception's own text is left out, because it may quote a client.
    """

    def __init__(self, log: JsonLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Add a line for the record. Never raises."""
        fields: dict[str, object] = {"logger": record.name, "level": record.levelname.lower()}
        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001 - arguments that do not fit the format, or their own __str__
            message = f"{str(record.msg)[:_MAX_FIELD]} (cannot be formatted: {type(error).__name__})"
        if record.name == "asyncio":  # its further lines show exceptions, whose text may quote a client
            message = message.partition("\n")[0]
        fields["message"] = redacted_beginning(message, _MAX_MESSAGE)
        if record.exc_info is not None and record.exc_info[1] is not None:
            fields["trace"] = trace_of(record.exc_info[1])
        self._log.event("log", **fields)


_handlers: list[LogHandler] = []
"""One for each running application, the newest last."""


@contextmanager
def captured_logging(log: JsonLog) -> Iterator[None]:
    """Send records of all loggers to `log`: of plugins and about models from INFO, of libraries from WARNING.

    At a reload two applications overlap; each record goes to the newest that still runs.
    """
    for name in ("gateway.plugins", "gateway.models"):
        logging.getLogger(name).setLevel(logging.INFO)
    handler = LogHandler(log)
    _handlers.append(handler)
    _connect_newest()
    try:
        yield
    finally:
        _handlers.remove(handler)
        _connect_newest()


def catch_all_exceptions() -> None:
    """Send exceptions that nothing catches to `logging`: those of threads, of destructors, and of the process itself.

    Python's own hooks write the exception's text, which may quote a client, past the log.
    """
    threading.excepthook = lambda raised: _report_uncaught("a thread", raised.exc_value)
    sys.unraisablehook = lambda raised: _report_uncaught("a destructor or callback", raised.exc_value)
    sys.excepthook = lambda _, error, __: _write_fatal(error)


def _report_uncaught(place: str, error: BaseException | None) -> None:
    if error is None or isinstance(error, SystemExit):
        return
    if _handlers:
        logging.getLogger("gateway").error("uncaught exception in %s", place, exc_info=error)
    elif not tell("crash", ERROR, trace=trace_of(error), handler=place):
        os.write(_STDERR, f"uncaught exception in {place}: {trace_of(error)}\n".encode())


def _write_fatal(error: BaseException) -> None:
    """Write the exception that ends the process, with its text."""
    text = "".join(traceback.format_exception(error))
    if not tell("crash", ERROR, trace=text[-_MAX_TEXT:]):
        os.write(_STDERR, redacted(text).encode())


def _connect_newest() -> None:
    logging.captureWarnings(bool(_handlers))
    root = logging.getLogger()
    for handler in [entry for entry in root.handlers if isinstance(entry, LogHandler)]:
        root.removeHandler(handler)
    if _handlers:
        root.addHandler(_handlers[-1])


def trace_of(error: BaseException) -> str:
    """Return the exception's type and the place of each frame, innermost first. Its text may quote a client."""
    frames = [
        f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)
    ]
    return scrub("\n".join([type(error).__name__, *reversed(frames[-_MAX_FRAMES:])]))
