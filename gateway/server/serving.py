"""The process of `gateway serve`, from configuration to exit code."""

import asyncio
import gc
import logging
import os
import signal
import socket
import time

from gateway.config.model_table import OLD_DAYS, age, model_table
from gateway.observability.console import say
from gateway.observability.json_log import catch_all_exceptions
from gateway.plugin import SERVICES
from gateway.server import allocator
from gateway.server.admin import Admin
from gateway.server.application import build_app
from gateway.server.lifecycle import inherited_sockets, keep_watchdog_fed, notify, stop_signal
from gateway.server.listeners import listen_admin, refusal
from gateway.server.plugin_life import PluginStartFailed
from gateway.server.reload import AppSwitcher, Load
from gateway.server.watchdog import stuck_part


def serve(load: Load, *, ignore_inherited: bool) -> int:
    """Serve until SIGTERM or SIGINT, then drain. Return the exit code.

    `load` reads the configuration, now and at each SIGHUP. Raises ConfigError if it is faulty at the start.
    """
    catch_all_exceptions()
    config, source = load()
    app = build_app(config, source)
    clients, admins = ([], []) if ignore_inherited else inherited_sockets(os.environ)
    _tune_garbage_collection()
    allocator.tune()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(AppSwitcher(config, app, load), clients, admins))


def _tune_garbage_collection() -> None:
    """Exempt what the start allocated, and collect less often: requests leave hardly any cycles.

    Worth about 10 % of the requests per second in bench/run.py.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 100)


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


async def _serve(switcher: AppSwitcher, clients: list[socket.socket], admins: list[socket.socket]) -> int:
    config = switcher.config
    try:
        address = await switcher.start(clients)
    except OSError as error:
        say(f"cannot listen: {refusal(error, config.listen)}")
        await switcher.stop()
        return 1
    except PluginStartFailed as error:
        say(error)
        await switcher.stop()
        return 1
    try:
        admin_app = Admin(lambda: switcher.app[SERVICES], config.admin.token).app()
        admin = await listen_admin(admin_app, config.admin, admins, config.connections)
    except OSError as error:
        say(f"cannot listen for admin requests: {error.strerror or error}")
        await switcher.stop()
        return 1
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = asyncio.ensure_future(switcher.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    # Before READY=1: the default action of a signal that follows it at once would end the process.
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
    stop = stop_signal()
    notify(f"READY=1\nSTATUS=serving on {address}")
    say(f"gateway: serving on {address}" + (", and the admin API" if admin else ""))
    log_table_age(time.time())
    watchdog = asyncio.create_task(
        keep_watchdog_fed(os.environ, lambda: stuck_part(switcher.app[SERVICES]), say), name="watchdog"
    )
    await stop.wait()
    await switcher.stop()
    if admin is not None:
        await admin.cleanup()
    watchdog.cancel()
    return 0
