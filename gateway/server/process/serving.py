"""The process of `gateway serve`, from configuration to exit code."""

import asyncio
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from gateway.config.model_table import OLD_DAYS, age, model_table
from gateway.config.sections import GatewayConfig
from gateway.console.process import Finding, Listener, Process
from gateway.errors import ConfigError
from gateway.observability.console import say
from gateway.observability.journal import ERROR
from gateway.observability.json_log import catch_all_exceptions
from gateway.plugin import SERVICES
from gateway.server.application import build_app
from gateway.server.connection.listeners import listen_admin, refusal
from gateway.server.connection.protocol import Runner
from gateway.server.plugin_life import PluginStartFailed
from gateway.server.process import allocator
from gateway.server.process.control import VARIABLE, Outcome, control
from gateway.server.process.lifecycle import (
    inherited_sockets,
    keep_watchdog_fed,
    notify,
    stop_listening,
    stop_signal,
)
from gateway.server.process.reload import AppSwitcher, Load, fault
from gateway.server.process.stand_in import ServingLock, stand_in
from gateway.server.process.watchdog import stuck_part
from gateway.server.stores import ledger_url, open_redis, without_password

_MEND = 2.0
"""Seconds between two looks at a faulty configuration."""
_FAULTY = "the configuration is faulty: every request is answered 503 until it is corrected"


Examine = Callable[[bool], Sequence[Finding]]
"""Runs the checks of `gateway doctor`, with True also those that ask Google."""


class Sockets(NamedTuple):
    """Listening sockets of systemd's; none outside of it."""

    clients: list[socket.socket]
    admins: list[socket.socket]


def serve(load: Load, *, ignore_inherited: bool, examine: Examine | None = None) -> int:
    """Serve until SIGTERM or SIGINT, then drain. Return the exit code.

    `load` reads the configuration, now and at each SIGHUP. Raises ConfigError if it is faulty at the start, unless
    systemd has the sockets and no other instance serves them: then every request is answered 503 until it is corrected.
    `examine` runs the checks of `gateway doctor`, for the console.
    """
    catch_all_exceptions()
    sockets = Sockets([], []) if ignore_inherited else Sockets(*inherited_sockets(os.environ))
    lock = ServingLock(os.environ)
    try:
        config, source = load()
        switcher = AppSwitcher(config, build_app(config, source), load)
        switcher.source = source
    except ConfigError as error:
        if not _may_stand_in(sockets, lock):
            raise
        switcher = _standing_in(error, load)
    _tune_garbage_collection()
    allocator.tune()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(switcher, load, sockets, lock, examine))


def _may_stand_in(sockets: Sockets, lock: ServingLock) -> bool:
    """Return whether a 503 helps clients: if systemd has the sockets, and no other instance serves them."""
    return bool(sockets.clients) and not lock.is_held_elsewhere()


def _standing_in(error: Exception, load: Load) -> AppSwitcher:
    """Print an error of the start, and return an application that answers 503."""
    say(f"gateway: {_FAULTY}{fault(error)}", ERROR)
    return AppSwitcher(GatewayConfig(), stand_in(), load)


def _tune_garbage_collection() -> None:
    """Exempt what the start allocated, and collect less often: requests leave hardly any cycles.

    Worth about 10 % of the requests per second in bench/run.py. A collection of the first generation takes 1 ms, one of
    the second 8: with the default of ten of the first, 5,000 streams that open would stop all others for 40 ms at once.
    """
    gc.collect()  # what imports have left in cycles: 0.2 MB
    gc.freeze()
    gc.set_threshold(10_000, 1, 1000)
    gc.enable()


def _loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    """Return uvloop's event loop if it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop


def log_table_age(at: float) -> None:
    """Log the date of the table of models and prices; a warning if it is old."""
    log, table, days = logging.getLogger("gateway.models"), model_table(), age(at)
    if days > OLD_DAYS:
        log.warning(
            "the table of models and prices is %d days old: update the gateway, or compare the table with "
            "`gateway models --compare` and https://ai.google.dev/gemini-api/docs/pricing",
            days,
        )
    else:
        log.info("the table of models and prices is of %s, %d days old", table.date, days)


async def _serve(
    switcher: AppSwitcher, load: Load, sockets: Sockets, lock: ServingLock, examine: Examine | None
) -> int:
    try:
        address = await switcher.start(sockets.clients)
    except OSError as error:
        say(f"cannot listen: {refusal(error, switcher.config.listen)}", ERROR)
        await switcher.stop()
        return 1
    except PluginStartFailed as error:
        if not _may_stand_in(sockets, lock):
            say(error, ERROR)
            return 1
        switcher = _standing_in(error, load)
        address = await switcher.start(sockets.clients)
    except ConfigError as error:
        if not _may_stand_in(sockets, lock):
            raise
        switcher = _standing_in(error, load)
        address = await switcher.start(sockets.clients)
    watchdog = asyncio.create_task(
        keep_watchdog_fed(os.environ, lambda: _stuck(switcher), partial(say, priority=ERROR)), name="watchdog"
    )
    # Before READY=1: the default action of a signal that follows it at once would end the process.
    _reload_at_sighup(switcher)
    stop = stop_signal()
    async with control(os.environ.get(VARIABLE, ""), switcher.reload):
        if switcher.stands_in:
            notify(f"READY=1\nSTATUS={_FAULTY}")
            await _mended(switcher, stop)
        try:
            admin = await _listen_admin(switcher, sockets.admins, address, examine)
        except OSError as error:
            say(f"cannot listen for admin requests: {error.strerror or error}", ERROR)
            await switcher.stop()
            return 1
        if not stop.is_set():
            lock.hold()
            notify(f"READY=1\nSTATUS=serving on {address}")
            say(f"gateway: serving on {address}" + (", and the admin API" if admin else ""))
            say_where(switcher.config)
        await stop.wait()
    lock.release()
    if admin is not None and sockets.admins:
        await stop_listening(admin)  # another instance accepts on the same sockets
    await switcher.stop()
    if admin is not None:
        await admin.cleanup()
    watchdog.cancel()
    return 0


def say_where(config: GatewayConfig) -> None:
    """Say which file or database the ledger is, and how old the table of models is."""
    ledger = ledger_url(config, os.environ)
    if ledger is not None:
        say(f"gateway: the ledger is {without_password(ledger)}")
    log_table_age(time.time())


def _stuck(switcher: AppSwitcher) -> str | None:
    return None if switcher.stands_in else stuck_part(switcher.app[SERVICES])


def _reload_at_sighup(switcher: AppSwitcher) -> None:
    reloads: set[asyncio.Task[Outcome]] = set()

    def reload() -> None:
        task = asyncio.ensure_future(switcher.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


async def _mended(switcher: AppSwitcher, stop: asyncio.Event) -> None:
    """Wait until the configuration is in order, or the process shall stop."""
    tasks = [asyncio.ensure_future(switcher.mend(_MEND)), asyncio.ensure_future(stop.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


async def _listen_admin(
    switcher: AppSwitcher, inherited: list[socket.socket], address: str, examine: Examine | None
) -> Runner | None:
    """Start the admin listener, except beside a stand-in, which has no services to show."""
    if switcher.stands_in:
        return None
    config = switcher.config
    admin = config.admin
    if not inherited and admin.port is None and admin.unix is None:
        return None
    from gateway.console.app import Admin  # with all endpoints, a tenth of a start

    own = "a socket of systemd" if inherited else admin.unix or f"http://{admin.host}:{admin.port}"
    process = Process(
        time.time(),
        (Listener("clients", address), Listener("admin", own)),
        lambda: (switcher.config, switcher.source, switcher.loaded),
        switcher.check,
        switcher.on_disk,
        switcher.reload,
        lambda: switcher.protocol_factory,
        lambda: open_redis(switcher.config, switcher.source, say),
        examine,
        lambda: switcher.opened,
    )
    app = Admin(lambda: switcher.app[SERVICES], admin, process).app()
    return await listen_admin(app, config.admin, inherited, config.connections)
