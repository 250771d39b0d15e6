"""One process from configuration to exit: sockets, READY, serving, drain."""

import asyncio
import errno
import gc
import os
import socket
import sys
from pathlib import Path

from aiohttp import web
from msgspec.structs import replace

from gateway.config.model import GatewayConfig, ListenConfig
from gateway.config.source import Source, read_file
from gateway.plugin import SERVICES
from gateway.server.admin import Admin
from gateway.server.app import build_app
from gateway.server.lifecycle import (
    DRAIN,
    drain,
    inherited_sockets,
    keep_watchdog_fed,
    notify,
    until_told_to_stop,
)
from gateway.server.protocol import Runner

_BACKLOG = 4096


def load(
    path: Path, *, listen: tuple[str, int] | None = None, upstream: str | None = None
) -> tuple[GatewayConfig, Source]:
    """The file's configuration, with what the command line overrides. Raises ConfigError."""
    source = read_file(path)
    config = source.decode(GatewayConfig)
    if listen is not None:
        config = replace(config, listen=ListenConfig(*listen))
    if upstream is not None:
        config = replace(config, upstream=replace(config.upstream, base_url=upstream))
    return config, source


def serve(config: GatewayConfig, source: Source, *, ignore_inherited: bool) -> int:
    """Serve until SIGTERM or SIGINT, then drain. The exit code."""
    app = build_app(config, source)
    sockets = [] if ignore_inherited else inherited_sockets(os.environ)
    _collect_seldom()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(app, config, sockets))


def _collect_seldom() -> None:
    """What the start built never dies, and a request leaves hardly a cycle: a tenth more requests (bench)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 100)


def _loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    """uvloop's, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop


async def _serve(app: web.Application, config: GatewayConfig, sockets: list[socket.socket]) -> int:
    runner = Runner(app)
    await runner.setup()
    try:
        where = await _listen(runner, config.listen, sockets)
    except OSError as error:
        await runner.cleanup()
        print(f"cannot listen: {taken(error, config.listen)}", file=sys.stderr)
        return 1
    try:
        admin = await _admin(app, config)
    except OSError as error:
        await runner.cleanup()
        print(f"cannot listen for the admin: {error.strerror or error}", file=sys.stderr)
        return 1
    notify(f"READY=1\nSTATUS=serving on {where}")
    print(f"gateway: serving on {where}", file=sys.stderr)
    watchdog = asyncio.create_task(keep_watchdog_fed(os.environ), name="watchdog")
    await until_told_to_stop()
    await drain(runner, app[DRAIN], config.drain)
    if admin is not None:
        await admin.cleanup()
    watchdog.cancel()
    return 0


async def _admin(app: web.Application, config: GatewayConfig) -> web.AppRunner | None:
    """The admin listener, where the configuration wants one. Raises OSError when its address cannot be had."""
    wanted = config.admin
    if wanted.port is None and wanted.unix is None:
        return None
    runner = web.AppRunner(
        Admin(lambda: app[SERVICES], wanted.token).app(), access_log=None, shutdown_timeout=1
    )
    await runner.setup()
    if wanted.unix is not None:
        await web.UnixSite(runner, wanted.unix).start()
        os.chmod(wanted.unix, 0o660)
    else:
        await web.TCPSite(runner, wanted.host, wanted.port).start()
    return runner


async def _listen(runner: Runner, config: ListenConfig, sockets: list[socket.socket]) -> str:
    """Start accepting, on inherited sockets first; where that is, for people."""
    if sockets:
        for inherited in sockets:
            await web.SockSite(runner, inherited, backlog=_BACKLOG).start()
        return "a socket of systemd's"
    if config.unix is not None:
        await web.UnixSite(runner, config.unix, backlog=_BACKLOG).start()
        return config.unix
    await web.TCPSite(runner, config.host, config.port, backlog=_BACKLOG).start()
    host, port = runner.addresses[0][:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def taken(error: OSError, config: ListenConfig) -> str:
    """Why a socket cannot be had, and what to do about it."""
    if config.unix is None and error.errno == errno.EADDRINUSE:
        return (
            f"port {config.port} on {config.host} is taken by another program: "
            f"stop it, or choose another with --listen {config.host}:PORT"
        )
    return error.strerror or str(error)
