"""Start and stop of the process: systemd's protocols and the drain of requests in progress."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateway.errors import Draining
from gateway.exchange.running_tasks import RunningTasks

_IDLE_GRACE = 2.0
"""Seconds in which clients of kept-alive connections can receive `Connection: close` before they are closed."""
ENDING = "ending its last requests"
"""Status of a process that takes no more requests (sd_notify(3)); `gateway roll` waits for it."""
_ERROR_GRACE = 5.0
"""Seconds for error events to reach clients whose streams are cut."""

ADMIN = "admin"
"""FileDescriptorName= of the admin listener's socket unit; sockets of any other name are for clients."""


class Drain:
    """Whether an application is stopping, and its requests in progress."""

    def __init__(self) -> None:
        self.draining = False
        self.hurry = asyncio.Event()
        """Set when nothing more is waited for."""
        self.tasks = RunningTasks()
        """One task per request, and background work."""

    def expire(self) -> None:
        """Cancel what is left; streams end with an error event."""
        for task in self.tasks:
            task.cancel(Draining.CANCELLED)


DRAIN: web.AppKey[Drain] = web.AppKey("drain", Drain)


def notify(message: str) -> None:
    """Send a message to systemd (sd_notify(3)). Does nothing outside systemd, or when systemd does not listen."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    flags = socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | flags) as sock:
        sock.sendto(message.encode(), "\0" + address[1:] if address.startswith("@") else address)


def inherited_sockets(environ: Mapping[str, str]) -> tuple[list[socket.socket], list[socket.socket]]:
    """Return systemd's listening sockets (sd_listen_fds(3)): those for clients, and those for the admin API.

    Both lists are empty if the sockets are meant for another process.
    """
    clients: list[socket.socket] = []
    admins: list[socket.socket] = []
    if environ.get("LISTEN_PID") == str(os.getpid()):
        names = environ.get("LISTEN_FDNAMES", "").split(":")
        for i in range(int(environ.get("LISTEN_FDS", "0"))):
            name = names[i] if i < len(names) else ""
            (admins if name == ADMIN else clients).append(socket.socket(fileno=3 + i))
    return clients, admins


async def keep_watchdog_fed(
    environ: Mapping[str, str], stuck: Callable[[], str | None], report: Callable[[str], None]
) -> None:
    """Notify systemd's watchdog three times per WatchdogSec, until cancelled. Returns at once without a watchdog.

    It runs in the event loop, so that a blocked loop is noticed. `stuck` names a part of the process that does not go
    on and that only a restart repairs; then the watchdog is not fed, and `report` says why.
    """
    microseconds = int(environ.get("WATCHDOG_USEC", "0"))
    reported = None
    while microseconds:
        part = stuck()
        if part is None:
            notify("WATCHDOG=1")
        elif part != reported:
            report(f"watchdog: {part}; systemd will restart the gateway")
        reported = part
        await asyncio.sleep(microseconds / 3_000_000)


def stop_signal(stop: asyncio.Event | None = None) -> asyncio.Event:
    """Return an event that the next SIGTERM or SIGINT sets: the given one, or a new one."""
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    return stop


async def stop_listening(runner: web.AppRunner) -> None:
    """Accept no more connections."""
    for site in list(runner.sites):
        await site.stop()


async def drain(
    front: web.AppRunner | None,
    runner: web.AppRunner,
    state: Drain,
    limit: float,
    others: Collection[object] = (),
) -> None:
    """Stop listening, wait `limit` seconds at most for requests, then cancel the rest. A second signal skips the wait.

    `front` owns the listening sockets. It is None after a reload: the sockets stay open for the new application.
    `others` are the drains of former applications that have not ended: the wait is for them, too.

    Answers carry `Connection: close` meanwhile. Closing an idle connection at once would lose a request that the
    client is just sending on it (RFC 9112, 9.6). One that was idle for two seconds is closed, so that no request gets
    an answer by this configuration however long others last. So is, two seconds after its end, that of an answer whose
    headers were sent before the drain: a proxy may send its next request at once.
    """
    state.draining = True
    hurry = state.hurry
    if front is not None:
        stop_signal(hurry)
        notify("STOPPING=1")
        await stop_listening(front)
    if front is None:
        await _until(lambda: not _connections(runner) or hurry.is_set(), min(limit, _IDLE_GRACE))
        await _until(lambda: not state.tasks or hurry.is_set(), limit)
    else:
        await _until_all_is_closed(runner, state, others, limit)
    state.expire()
    await _until(lambda: not state.tasks, _ERROR_GRACE)
    await runner.cleanup()
    if front is not None and front is not runner:
        await front.cleanup()


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    """Poll a condition twenty times per second, for some seconds at most."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition() and loop.time() < end:  # noqa: ASYNC110 - no event exists for these conditions
        await asyncio.sleep(0.05)


async def _until_all_is_closed(
    runner: web.AppRunner, state: Drain, others: Collection[object], limit: float
) -> None:
    """Wait for requests and connections, for `limit` seconds at most, and close those that are idle for two seconds.

    Each answer closes its connection meanwhile. So one that is idle twice was idle all the time.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + limit

    def is_over() -> bool:
        return state.hurry.is_set() or not (state.tasks or _connections(runner) or others)

    idle = _idle(runner)
    while not is_over() and loop.time() < end:
        await _until(is_over, min(_IDLE_GRACE, end - loop.time()))
        still_idle = _idle(runner)
        for connection in still_idle & idle:
            connection.force_close()
        idle = still_idle
        notify(f"STATUS={ENDING}")


def _idle(runner: web.AppRunner) -> set[RequestHandler]:
    """Return the connections between two requests."""
    every = runner.server.connections if runner.server is not None else ()
    return {connection for connection in every if getattr(connection, "is_idle", False)}


def _connections(runner: web.AppRunner) -> int:
    return len(runner.server.connections) if runner.server is not None else 0
