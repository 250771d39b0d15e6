"""Requests of the admin API of the running gateway, for commands."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from gateway.config.admin import AdminConfig

SYSTEMD_SOCKET = "/run/gateway-admin.sock"
"""The listener of an installed service (systemd/gateway-admin.socket), which its configuration does not name."""
_TIMEOUT = 10.0


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection over a Unix socket."""

    def __init__(self, path: str, host: str = "admin") -> None:
        super().__init__(host, timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(self._path)


def post(config: AdminConfig, path: str, body: Any) -> str | None:
    """Send a request to the configured listener, or to the installed service's. Return None, or why it failed."""
    if config.token is None:
        return "the admin API is disabled: set admin.token"
    headers = {"Authorization": f"Bearer {config.token.reveal()}", "Content-Type": "application/json"}
    connection = _connection(config)
    if connection is None:
        return "there is no admin listener: set admin.port or admin.unix"
    try:
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        return f"the gateway does not answer: {error}"
    finally:
        connection.close()
    return None if response.status == 200 else _message(answer, response.status)


def _connection(config: AdminConfig) -> http.client.HTTPConnection | None:
    if config.port is not None:
        return http.client.HTTPConnection(config.host, config.port, timeout=_TIMEOUT)
    path = config.unix or SYSTEMD_SOCKET
    return UnixConnection(path) if config.unix or Path(path).exists() else None


def _message(answer: bytes, status: int) -> str:
    try:
        return str(json.loads(answer)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the gateway answered {status}"
