"""Listening sockets for clients and for the admin API."""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from time import monotonic, sleep
from typing import TypeVar

from aiohttp import web

from gateway.config.admin import AdminConfig
from gateway.config.sections import ConnectionsConfig, ListenConfig
from gateway.server.connection.protocol import SHIPPED, Runner

_BACKLOG = 4096
_BURST = 1e-4
"""Seconds after a connection in which another one belongs to the same burst."""
_TURN = 1e-5
"""Seconds for which a burst is left to another instance; Linux adds 50 µs (prctl(2), PR_SET_TIMERSLACK)."""
P = TypeVar("P")


class SharedSite(web.SockSite):
    """A site on a socket that another instance may accept from as well.

    Many clients connect at once, nginx for example after a restart, and keep their connections. The first instance to
    wake would accept all of them, and the other would have nothing to do.
    """

    async def start(self) -> None:
        await web.BaseSite.start(self)
        server = self._runner.server
        assert server is not None  # noqa: S101 - `setup` has made it
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(in_turn(server), sock=self._sock, backlog=self._backlog)


def in_turn(new: Callable[[], P]) -> Callable[[], P]:
    """Return a factory of protocols that pauses before each but the first of a burst, so that others may accept."""
    last = float("-inf")

    def accept() -> P:
        nonlocal last
        if monotonic() - last < _BURST:
            sleep(_TURN)
        protocol = new()
        last = monotonic()
        return protocol

    return accept


async def listen(runner: Runner, config: ListenConfig, inherited: list[socket.socket]) -> str:
    """Accept clients on the inherited sockets, if any, otherwise as configured.

    Return the address for display. Raises OSError if the address is not available.
    """
    if inherited:
        for sock in inherited:
            await SharedSite(runner, sock, backlog=_BACKLOG).start()
        return "a socket of systemd"
    if config.unix is not None:
        await web.UnixSite(runner, config.unix, backlog=_BACKLOG).start()
        return config.unix
    await web.TCPSite(runner, config.host, config.port, backlog=_BACKLOG).start()
    host, port = runner.addresses[0][:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def listen_admin(
    app: web.Application,
    config: AdminConfig,
    inherited: list[socket.socket],
    limits: ConnectionsConfig = SHIPPED,
) -> Runner | None:
    """Accept admin requests on the inherited sockets, if any, otherwise as configured.

    Return None if no admin listener is configured. Raises OSError if the address is not available.
    """
    if not inherited and config.port is None and config.unix is None:
        return None
    runner = Runner(app, limits)
    await runner.setup()
    if inherited:
        for sock in inherited:
            await web.SockSite(runner, sock).start()
    elif config.unix is not None:
        await web.UnixSite(runner, config.unix).start()
        os.chmod(config.unix, 0o660)
    else:
        await web.TCPSite(runner, config.host, config.port).start()
    return runner


def refusal(error: OSError, config: ListenConfig) -> str:
    """Return why the address is not available and what to do about it."""
    if config.unix is None and error.errno == errno.EADDRINUSE:
        return (
            f"port {config.port} on {config.host} is in use by another program: "
            f"stop it, or choose another port with --listen {config.host}:PORT"
        )
    return error.strerror or str(error)
