"""`gateway health`: ask the gateway on this machine whether it accepts requests, as HEALTHCHECK of a container does."""

import argparse
import http.client
import json
import sys
from pathlib import Path

from gateway.cli.admin_client import UnixConnection
from gateway.cli.arguments import add_config, add_listen, reachable
from gateway.config.load import load
from gateway.config.sections import ListenConfig

_SYSTEMD_SOCKET = Path("/run/gateway.sock")
"""The listener of an installed service (systemd/gateway.socket), which its configuration does not name."""
_TIMEOUT = 5.0
"""Seconds."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    add_listen(parser, "address to ask, in place of `listen`")


def run(options: argparse.Namespace) -> int:
    """Print the state and return 0 if the gateway accepts requests, 1 if not. Raises ConfigError."""
    config, _ = load(options.config, listen=options.listen, lazy_secrets=True)
    fault = None
    for place, connection in _listeners(config.listen, is_named=options.listen is not None):
        try:
            status, state = _ready(connection)
        except (OSError, http.client.HTTPException) as error:
            fault = fault or f"{place} does not answer: {error}"
            continue
        if status == 200 or (status == 404 and "health" not in config.plugins):
            print(f"{place}: {state if status == 200 else 'alive; the plugin `health` is off'}")
            return 0
        fault = f"{place} answers {status}: {state}"
        break
    print(f"gateway health: {fault}", file=sys.stderr)
    return 1


def _listeners(config: ListenConfig, *, is_named: bool) -> list[tuple[str, http.client.HTTPConnection]]:
    """Return the configured listener, and that of systemd unless the command line names an address."""
    if config.unix is not None:
        return [(config.unix, UnixConnection(config.unix, "gateway"))]
    host = reachable(config.host)
    result = [(f"{host}:{config.port}", http.client.HTTPConnection(host, config.port, timeout=_TIMEOUT))]
    if not is_named and _SYSTEMD_SOCKET.exists():
        result.append((str(_SYSTEMD_SOCKET), UnixConnection(str(_SYSTEMD_SOCKET), "gateway")))
    return result


def _ready(connection: http.client.HTTPConnection) -> tuple[int, str]:
    """Return the status of `GET /readyz` and the state in its body."""
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    try:
        state = str(json.loads(body)["status"])
    except (ValueError, KeyError, TypeError):
        state = response.reason
    return response.status, state
