"""Replace the running application by one with a new configuration, without closing a socket."""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web

from gateway.config.diff import changes
from gateway.config.load import NO_FILE, beside
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.console.process import RESTART_ONLY, Checked
from gateway.errors import ConfigError
from gateway.observability.console import say
from gateway.observability.journal import ERROR, NOTICE
from gateway.plugin import SERVICES
from gateway.server.application import build_app
from gateway.server.connection.listeners import listen
from gateway.server.connection.protocol import Runner, Server
from gateway.server.plugin_life import PluginStartFailed
from gateway.server.process.control import Outcome
from gateway.server.process.lifecycle import DRAIN, Drain, drain, notify

Load = Callable[[], tuple[GatewayConfig, Source]]
"""Reads the configuration. Raises ConfigError."""


class AppSwitcher:
    """Owner of the listening sockets, in front of the current application.

    A reload starts a new application and directs connections to it, idle ones included. The old one answers its
    requests in progress, and ends. If the new one cannot start, nothing changes.
    """

    def __init__(self, config: GatewayConfig, app: web.Application, load: Load) -> None:
        self.config = config
        self.app = app
        self.opened = config
        """The configuration by which the sockets were opened."""
        self._front = Runner(web.Application())
        """Runner of the sockets, without routes of its own."""
        self._load = load
        self.source = Source("", NO_FILE)
        """Source of the configuration in use."""
        self.loaded = time.time()
        self._runner = Runner(app, config.connections)
        self._draining: dict[asyncio.Task[None], Drain] = {}
        self._reloading = asyncio.Lock()

    @property
    def protocol_factory(self) -> Server:
        """Makes the protocol of a connection to the current application."""
        return _server(self._runner)

    def check(self, text: str) -> Checked:
        """Check a configuration in YAML as a reload would, without its stores. Blocks."""

        def read() -> tuple[GatewayConfig, Source]:
            source = Source(text, "yaml")
            return beside(self.source, source.decode(GatewayConfig)), source

        return self._checked(read)

    def on_disk(self) -> Checked:
        """Check the configuration as it is now on disk. Blocks."""
        return self._checked(self._load)

    def _checked(self, read: Load) -> Checked:
        try:
            config, source = read()
            build_app(config, source)
        except ConfigError as error:
            return Checked(error.faults, [], self._waiting(self.config))
        return Checked((), list(changes(self.config, config)), self._waiting(config))

    def _waiting(self, config: GatewayConfig) -> list[str]:
        """Return the settings that a configuration has otherwise than the open sockets: they wait for a restart."""
        names = [line.partition(":")[0] for line in changes(self.opened, config)]
        return [name for name in names if name.startswith(RESTART_ONLY)]

    async def start(self, inherited: list[socket.socket]) -> str:
        """Start listening and return the address for display.

        Raises OSError if the address is not available, ConfigError for faults that only opening a store shows.
        """
        await self._front.setup()
        try:
            await self._runner.setup()
        except (ConfigError, PluginStartFailed):
            await _clean_up(self._runner)
            await _clean_up(self._front)
            raise
        self._direct_to(self._runner)
        return await listen(self._front, self.config.listen, inherited)

    @property
    def stands_in(self) -> bool:
        """True while the application is a stand-in for one whose configuration is faulty."""
        return SERVICES not in self.app

    async def mend(self, every: float) -> None:
        """Try the configuration every few seconds until it replaces the stand-in. Each fault is printed once."""
        printed = None
        while True:
            await asyncio.sleep(every)
            async with self._reloading:
                if not self.stands_in:
                    return
                outcome = await self._attempt()
            if outcome.message != printed:
                printed = outcome.message
                say(printed, NOTICE if outcome.changed else ERROR)
            if outcome.changed:
                return

    async def reload(self) -> Outcome:
        """Read the configuration and switch to it. A fault is printed and changes nothing.

        Notifies systemd as Type=notify-reload expects (sd_notify(3)).
        """
        async with self._reloading:
            notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
            outcome = await self._attempt()
            say(outcome.message, NOTICE if outcome.changed else ERROR)
            notify("READY=1")
            return outcome

    async def _attempt(self) -> Outcome:
        """Switch to the configuration as it is now. A fault changes nothing."""
        try:
            return Outcome(True, await self._switch())
        except Exception as error:  # noqa: BLE001 - plugins and drivers; the old application continues
            return Outcome(False, f"reload: nothing was changed{fault(error)}")

    async def _switch(self) -> str:
        """Start the new application, drain the old one, and return what changed."""
        config, source = await asyncio.to_thread(self._load)
        app = build_app(config, source, self.app.get(SERVICES))
        runner = Runner(app, config.connections)
        try:
            await runner.setup()
        except BaseException:
            await _clean_up(runner)
            raise
        if self.stands_in:
            self.opened = self.config = config
        differences = list(changes(self.config, config))
        restart = self._waiting(config)
        self._direct_to(runner)
        self._drain_later(self._runner, self.app[DRAIN], self.config.drain)
        self.config, self.app, self._runner = config, app, runner
        self.source, self.loaded = source, time.time()
        head = "reload: done" if differences else "reload: done; nothing differs"
        lines = [head, *(f"  {line}" for line in differences)]
        return "\n".join([*lines, *(f"  {name} needs a restart" for name in restart)])

    async def stop(self) -> None:
        """Drain the current application and those that are still draining, and clean all of them up."""
        await drain(self._front, self._runner, self.app[DRAIN], self.config.drain, self._draining)
        for state in self._draining.values():
            state.hurry.set()
        await asyncio.gather(*self._draining, return_exceptions=True)

    def _direct_to(self, runner: Runner) -> None:
        """Let a runner answer new connections, and those of the current one as soon as they are idle."""
        _server(self._front).successor = _server(runner)
        if runner is not self._runner:
            _server(self._runner).successor = _server(runner)
            _server(self._runner).hand_over()

    def _drain_later(self, runner: Runner, state: Drain, limit: float) -> None:
        task = asyncio.create_task(drain(None, runner, state, limit), name="drain of the old application")
        self._draining[task] = state
        task.add_done_callback(self._draining.pop)


def fault(error: Exception) -> str:
    """Return the end of a message about an error of the start: the configuration's mistakes, or type and text."""
    if isinstance(error, ConfigError):
        return f"\n{error}"
    return f": {error}" if isinstance(error, PluginStartFailed) else f": {type(error).__name__}: {error}"


def _server(runner: Runner) -> Server:
    assert isinstance(runner.server, Server)  # noqa: S101 - Runner makes no other
    return runner.server


async def _clean_up(runner: Runner) -> None:
    """End what had started of a runner whose start failed. The fault of the start is the one to report."""
    with suppress(Exception):
        await runner.cleanup()
