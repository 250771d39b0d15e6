"""`gateway check`: check a configuration, and whether its stores can be used, without serving."""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterable

from gateway.cli.arguments import add_config
from gateway.config.load import NO_FILE, load
from gateway.config.sections import GatewayConfig
from gateway.errors import ConfigError
from gateway.server.application import PLUGINS, build_app, try_plugins
from gateway.server.plugin_loader import missing_api
from gateway.server.store_files import all_states, file_states


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--config`, `--stores` and `--deep`."""
    add_config(parser)
    parser.add_argument(
        "--stores",
        action="store_true",
        help="print the version of each store, ask PostgreSQL too, and fail if one cannot be read "
        "(a SQLite file of a newer gateway fails always)",
    )
    parser.add_argument(
        "--deep",
        action="store_true",
        help="also start and end each plugin, with stores in memory and folders that are deleted",
    )


def run(options: argparse.Namespace) -> int:
    """Print `FILE: ok`. Return 2 without a file.

    Raises ConfigError with every mistake, and for stores with which the start would fail.
    """
    config, source = load(options.config)
    if source.file == NO_FILE:
        message = f"{NO_FILE}: name it with --config, or write one with `gateway init`"
        print(f"gateway check: {message}", file=sys.stderr)
        return 2
    app = build_app(config, source)
    states = all_states(config) if options.stores else list(file_states(config, os.environ))
    faults = [
        source.fault(("ledger", "url") if state.name == "ledger" else ("state", "file"), state.fault)
        for state in states
        if state.kind == "newer" or (options.stores and state.kind)
    ]
    if faults:
        raise ConfigError(tuple(faults))
    if options.deep:
        asyncio.run(try_plugins(app, source))
    print(f"{source.file}: ok")
    plugins = app[PLUGINS]
    if message := missing_api(plugins) or _left_out(entry.name for entry in plugins):
        print(f"note: {message}", file=sys.stderr)
    if options.stores:
        print("\n".join(map(str, states)) or "no stores: everything is kept in memory")
    return 0


def _left_out(active: Iterable[str]) -> str:
    """Return a sentence that names the plugins of the shipped list that are not active; "" if all are."""
    shipped = dict.fromkeys(GatewayConfig().plugins)
    for name in active:
        shipped.pop(name, None)
    if not shipped:
        return ""
    return (
        f"not served, because `plugins` replaces the shipped list and leaves them out: {', '.join(shipped)}"
    )
