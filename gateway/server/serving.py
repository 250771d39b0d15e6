"""One process from configuration to exit: sockets, READY, serving, drain."""

import asyncio
import errno
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from aiohttp import web
from msgspec.structs import replace

from gateway.config.diff import changes
from gateway.config.sections import GatewayConfig, ListenConfig
from gateway.config.source import Source, read_file
from gateway.errors import ConfigError
from gateway.plugin import SERVICES, Services
from gateway.server.admin import Admin
from gateway.server.application import build_app
from gateway.server.lifecycle import (
    DRAIN,
    Drain,
    drain,
    inherited_sockets,
    keep_watchdog_fed,
    notify,
    until_told_to_stop,
)
from gateway.server.protocol import Runner, Server

_BACKLOG = 4096
_FIXED = ("listen.", "admin.")
"""What was opened at the start."""

Load = Callable[[], tuple[GatewayConfig, Source]]


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


def serve(again: Load, *, ignore_inherited: bool) -> int:
    """Serve until SIGTERM or SIGINT, then drain. `again` reads the configuration, now and at each SIGHUP."""
    config, source = again()
    app = build_app(config, source)
    clients, admins = ([], []) if ignore_inherited else inherited_sockets(os.environ)
    _collect_seldom()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(AppSwitcher(config, app, again), clients, admins))


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


class AppSwitcher:
    """Listens, with the application of the day behind it: a reload puts another in its place, whole or not at all.

    New connections are the new application's. The old one answers what it has begun, asks its clients to connect
    anew, and ends.
    """

    def __init__(self, config: GatewayConfig, app: web.Application, again: Load) -> None:
        self.config = config
        self._opened = config
        """What listens was opened by this one, whatever was read since."""
        self.app = app
        self.front = Runner(web.Application())
        """Owns the listening sockets, and has no application of its own."""
        self._again = again
        self._runner = Runner(app)
        self._leaving: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()

    async def start(self, sockets: list[socket.socket]) -> str:
        """Begin; where it listens, for people. Raises OSError, and ConfigError of what only opening shows."""
        await self.front.setup()
        await self._runner.setup()
        self._stand_before(self._runner)
        return await _listen(self.front, self.config.listen, sockets)

    async def reload(self) -> None:
        """Read the configuration again. What is wrong with it is told, and changes nothing."""
        async with self._reloading:
            notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                told = await self._swap()
            except ConfigError as error:
                told = f"reload: nothing was changed\n{error}"
            except Exception as error:  # noqa: BLE001 - whatever opening brings about: the old one serves on
                told = f"reload: nothing was changed: {type(error).__name__}: {error}"
            print(told, file=sys.stderr)
            notify("READY=1")

    async def _swap(self) -> str:
        config, source = await asyncio.to_thread(self._again)
        app = build_app(config, source, self.app[SERVICES])
        runner = Runner(app)
        await runner.setup()
        found = list(changes(self.config, config))
        fixed = [one for one in changes(self._opened, config) if one.startswith(_FIXED)]
        self._stand_before(runner)
        leaving, drained = self._runner, self.app[DRAIN]
        self._leave(leaving, drained, self.config.drain)
        self.config, self.app, self._runner = config, app, runner
        lines = ["reload: done" if found else "reload: done; nothing differs", *(f"  {one}" for one in found)]
        return "\n".join([*lines, *(f"  {one.partition(':')[0]} needs a restart" for one in fixed)])

    async def stop(self) -> None:
        """Drain the application of the day, and those that are still leaving."""
        await drain(self.front, self._runner, self.app[DRAIN], self.config.drain)
        for task in list(self._leaving):
            task.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)

    def _stand_before(self, runner: Runner) -> None:
        assert isinstance(self.front.server, Server)  # noqa: S101 - our own runner makes it
        assert isinstance(runner.server, Server)  # noqa: S101
        self.front.server.successor = runner.server

    def _leave(self, runner: Runner, state: Drain, limit: float) -> None:
        task = asyncio.create_task(drain(None, runner, state, limit), name="leaving")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


async def _serve(serving: AppSwitcher, sockets: list[socket.socket], admins: list[socket.socket]) -> int:
    config = serving.config
    try:
        where = await serving.start(sockets)
    except OSError as error:
        print(f"cannot listen: {taken(error, config.listen)}", file=sys.stderr)
        await serving.stop()
        return 1
    try:
        admin = await _admin(lambda: serving.app[SERVICES], config, admins)
    except OSError as error:
        print(f"cannot listen for the admin: {error.strerror or error}", file=sys.stderr)
        await serving.stop()
        return 1
    notify(f"READY=1\nSTATUS=serving on {where}")
    print(f"gateway: serving on {where}" + (", and the admin" if admin is not None else ""), file=sys.stderr)
    watchdog = asyncio.create_task(keep_watchdog_fed(os.environ), name="watchdog")
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = asyncio.ensure_future(serving.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
    await until_told_to_stop()
    await serving.stop()
    if admin is not None:
        await admin.cleanup()
    watchdog.cancel()
    return 0


async def _admin(
    services: Callable[[], Services], config: GatewayConfig, sockets: list[socket.socket]
) -> web.AppRunner | None:
    """The admin listener, where the configuration wants one. Raises OSError when its address cannot be had."""
    wanted = config.admin
    if not sockets and wanted.port is None and wanted.unix is None:
        return None
    runner = web.AppRunner(Admin(services, wanted.token).app(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    if sockets:
        for inherited in sockets:
            await web.SockSite(runner, inherited).start()
    elif wanted.unix is not None:
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
