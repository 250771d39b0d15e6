"""Listening sockets for clients and for the admin API."""

import errno
import os
import socket

from aiohttp import web

from gateway.config.admin import AdminConfig
from gateway.config.sections import ConnectionsConfig, ListenConfig
from gateway.server.protocol import SHIPPED, Runner

_BACKLOG = 4096


async def listen(runner: Runner, config: ListenConfig, inherited: list[socket.socket]) -> str:
    """Accept clients on the inherited sockets, if any, otherwise as configured.

    Return the address for display. Raises OSError if the address is not available.
    """
    if inherited:
        for sock in inherited:
            await web.SockSite(runner, sock, backlog=_BACKLOG).start()
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
