"""`gateway console`: print the way into the operators' console."""

import argparse
import socket
from pathlib import Path

from gateway.cli.admin_client import SYSTEMD_SOCKET
from gateway.cli.arguments import add_config
from gateway.config.admin import AdminConfig
from gateway.config.load import load

_PORT = 8081
"""Port of the operator's own machine in the printed command."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)


def run(options: argparse.Namespace) -> int:
    """Print the address of the console, and how to reach it. Return 1 if there is no way in."""
    config, _ = load(options.config, lazy_secrets=True)
    lines = way_in(config.admin, socket.gethostname())
    print("\n".join(lines))
    return 0 if config.admin.secrets() or config.admin.trust is not None else 1


def way_in(admin: AdminConfig, machine: str) -> list[str]:
    """Return the lines for an operator who is at a shell of the machine."""
    if not admin.secrets() and admin.trust is None:
        return [
            "Nobody can sign in: set admin.token in the configuration, then restart the gateway:",
            "  admin: {port: 8081, token: {env: ADMIN_TOKEN}}",
        ]
    path = admin.unix or (SYSTEMD_SOCKET if admin.port is None and Path(SYSTEMD_SOCKET).exists() else None)
    if path is None and admin.port is None:
        return ["There is no admin listener: set admin.port or admin.unix, then restart the gateway."]
    lines = _over_ssh(path, admin, machine)
    names = [".".join(setting) for setting in admin.secrets()]
    return [*lines, f"Sign in with the token of {' or '.join(names)}."] if names else lines


def _over_ssh(path: str | None, admin: AdminConfig, machine: str) -> list[str]:
    url = f"http://127.0.0.1:{_PORT}/"
    if path is not None:
        return [f"On your own machine:  ssh -L {_PORT}:{path} root@{machine}", f"Then open:            {url}"]
    if admin.host not in ("127.0.0.1", "::1", "localhost"):
        return [f"Open:  http://{admin.host}:{admin.port}/  (add the name that you use to admin.hosts)"]
    return [
        f"On this machine, open:       http://127.0.0.1:{admin.port}/",
        f"From another one:            ssh -L {_PORT}:127.0.0.1:{admin.port} {machine}, then {url}",
    ]
