"""`gateway reload`: let the running gateway take over its configuration, and print what came of it."""

import argparse
import os
import sys
from pathlib import Path

from gateway.server.process.control import VARIABLE, ask

EX_CONFIG = 78
"""sysexits.h"""
_FOLDER = Path("/run/gateway")
"""RuntimeDirectory= of the service, with a control socket of each instance (systemd/gateway@.service)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="print nothing that the service's log says, too")


def run(options: argparse.Namespace) -> int:
    """Ask each instance of this machine, or the one of GATEWAY_CONTROL. Return 78 if the configuration was refused."""
    paths = _control_sockets()
    if not paths:
        print(
            f"no gateway runs as a service here: {_FOLDER} has no socket. Elsewhere, send SIGHUP to the process.",
            file=sys.stderr,
        )
        return 1
    codes = [_reload(path, quiet=options.quiet) for path in paths]
    return max(codes)


def _control_sockets() -> list[str]:
    if path := os.environ.get(VARIABLE):
        return [path]
    return sorted(str(path) for path in _FOLDER.glob("*.sock"))


def _reload(path: str, *, quiet: bool) -> int:
    try:
        outcome = ask(path)
    except OSError as error:
        print(f"the gateway does not answer on {path}: {error.strerror or error}", file=sys.stderr)
        return 1
    if not quiet:
        print(outcome.message, file=sys.stdout if outcome.changed else sys.stderr)
    return 0 if outcome.changed else EX_CONFIG
