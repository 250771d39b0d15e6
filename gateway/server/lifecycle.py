"""Life and death of the process: telling systemd, and letting requests in progress end (robustness.md 5)."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Mapping

from aiohttp import web

from gateway.errors import Draining

_IDLE_GRACE = 2.0
"""Seconds in which keep-alive connections meet `Connection: close` instead of a closed door."""
_LAST_WORDS = 5.0
"""Seconds for error frames to reach clients whose requests are cut."""


class Drain:
    """Whether the process is going down, and what it still has to do."""

    def __init__(self) -> None:
        self.draining = False
        self.tasks: set[asyncio.Task[object]] = set()
        """Requests in progress, each in its task."""

    def expire(self) -> None:
        """End what is left; streams tell their clients (robustness.md P04)."""
        for task in self.tasks:
            task.cancel(Draining.CANCELLED)


DRAIN: web.AppKey[Drain] = web.AppKey("drain", Drain)


def notify(message: str) -> None:
    """Tell systemd (sd_notify(3)); without systemd there is nobody to tell."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.sendto(message.encode(), "\0" + address[1:] if address.startswith("@") else address)


ADMIN = "admin"
"""The name that systemd's socket unit gives the admin listener; any other is for clients."""


def inherited_sockets(environ: Mapping[str, str]) -> tuple[list[socket.socket], list[socket.socket]]:
    """Listening sockets passed by systemd (sd_listen_fds(3)), for clients and for the admin.

    None when they are meant for another process.
    """
    clients: list[socket.socket] = []
    admins: list[socket.socket] = []
    if environ.get("LISTEN_PID") == str(os.getpid()):
        names = environ.get("LISTEN_FDNAMES", "").split(":")
        for i in range(int(environ.get("LISTEN_FDS", "0"))):
            name = names[i] if i < len(names) else ""
            (admins if name == ADMIN else clients).append(socket.socket(fileno=3 + i))
    return clients, admins


async def keep_watchdog_fed(environ: Mapping[str, str]) -> None:
    """Tell systemd every third of WatchdogSec that the event loop turns; returns at once without a watchdog."""
    microseconds = int(environ.get("WATCHDOG_USEC", "0"))
    while microseconds:
        notify("WATCHDOG=1")
        await asyncio.sleep(microseconds / 3_000_000)


async def until_told_to_stop() -> None:
    """Return at SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    await stop.wait()


async def drain(front: web.AppRunner | None, runner: web.AppRunner, state: Drain, limit: float) -> None:
    """Stop listening, let requests end for `limit` seconds at most, then end the rest; a second signal hurries.

    `front` owns the listening sockets; without one another application has taken over, and only this one's work ends.

    Answers carry `Connection: close` meanwhile: closing a kept-alive connection under a client that is about
    to use it would lose a request (robustness.md 0.6).
    """
    state.draining = True
    if front is not None:
        notify("STOPPING=1")
        for site in list(front.sites):
            await site.stop()
    hurry = asyncio.ensure_future(until_told_to_stop() if front is not None else asyncio.Event().wait())
    await _until(lambda: not _connections(runner) or hurry.done(), min(limit, _IDLE_GRACE))
    await _until(lambda: not state.tasks or hurry.done(), limit)
    state.expire()
    await _until(lambda: not state.tasks, _LAST_WORDS)
    hurry.cancel()
    await runner.cleanup()
    if front is not None and front is not runner:
        await front.cleanup()


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for a condition, looking twenty times a second, for some seconds at most."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition() and loop.time() < end:  # noqa: ASYNC110 - what is awaited has no event of its own
        await asyncio.sleep(0.05)


def _connections(runner: web.AppRunner) -> int:
    return len(runner.server.connections) if runner.server is not None else 0
