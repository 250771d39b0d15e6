"""Replace the running application by one with a new configuration, without closing a socket."""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web

from gateway.config.diff import changes
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError
from gateway.observability.console import say
from gateway.plugin import SERVICES
from gateway.server.application import build_app
from gateway.server.lifecycle import DRAIN, Drain, drain, notify
from gateway.server.listeners import listen
from gateway.server.plugin_life import PluginStartFailed
from gateway.server.protocol import Runner, Server

_RESTART_ONLY = ("listen.", "admin.")
"""Settings whose sockets are opened at the start."""

Load = Callable[[], tuple[GatewayConfig, Source]]
"""Reads the configuration. Raises ConfigError."""


class AppSwitcher:
    """Owner of the listening sockets, in front of the current application.

    A reload starts a new application and directs new connections to it. The old one answers its requests in progress,
    closes kept-alive connections with `Connection: close`, and ends. If the new one cannot start, nothing changes.
    """

    def __init__(self, config: GatewayConfig, app: web.Application, load: Load) -> None:
        self.config = config
        self.app = app
        self._opened = config
        """The configuration by which the sockets were opened."""
        self._front = Runner(web.Application())
        """Runner of the sockets, without routes of its own."""
        self._load = load
        self._runner = Runner(app, config.connections)
        self._draining: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()

    async def start(self, inherited: list[socket.socket]) -> str:
        """Start listening and return the address for display.

        Raises OSError if the address is not available, ConfigError for faults that only opening a store shows.
        """
        await self._front.setup()
        await self._runner.setup()
        self._direct_to(self._runner)
        return await listen(self._front, self.config.listen, inherited)

    async def reload(self) -> None:
        """Read the configuration and switch to it. A fault is printed and changes nothing.

        Notifies systemd as Type=notify-reload expects (sd_notify(3)).
        """
        async with self._reloading:
            notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                message = await self._switch()
            except (ConfigError, PluginStartFailed) as error:
                message = f"reload: nothing was changed\n{error}"
            except Exception as error:  # noqa: BLE001 - plugins and drivers; the old application continues
                message = f"reload: nothing was changed: {type(error).__name__}: {error}"
            say(message)
            notify("READY=1")

    async def _switch(self) -> str:
        """Start the new application, drain the old one, and return what changed."""
        config, source = await asyncio.to_thread(self._load)
        app = build_app(config, source, self.app[SERVICES])
        runner = Runner(app, config.connections)
        try:
            await runner.setup()
        except BaseException:
            with suppress(Exception):  # the fault of the start is the one to report
                await runner.cleanup()  # what had started by then
            raise
        differences = list(changes(self.config, config))
        restart = [line for line in changes(self._opened, config) if line.startswith(_RESTART_ONLY)]
        self._direct_to(runner)
        self._drain_later(self._runner, self.app[DRAIN], self.config.drain)
        self.config, self.app, self._runner = config, app, runner
        head = "reload: done" if differences else "reload: done; nothing differs"
        lines = [head, *(f"  {line}" for line in differences)]
        return "\n".join([*lines, *(f"  {line.partition(':')[0]} needs a restart" for line in restart)])

    async def stop(self) -> None:
        """Drain the current application, and end those that are still draining."""
        await drain(self._front, self._runner, self.app[DRAIN], self.config.drain)
        for task in list(self._draining):
            task.cancel()
        await asyncio.gather(*self._draining, return_exceptions=True)

    def _direct_to(self, runner: Runner) -> None:
        assert isinstance(self._front.server, Server)  # noqa: S101 - Runner makes no other
        assert isinstance(runner.server, Server)  # noqa: S101
        self._front.server.successor = runner.server

    def _drain_later(self, runner: Runner, state: Drain, limit: float) -> None:
        task = asyncio.create_task(drain(None, runner, state, limit), name="drain of the old application")
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)
