"""An application for a process that must not end although its configuration is faulty: it answers 503 to everything.

Under systemd the listening sockets outlive the process. If each start failed, clients would wait in the backlog, and
after some starts systemd would give up the sockets, too (systemd.socket(5), TriggerLimitBurst=).
"""

import fcntl
import os
from collections.abc import Mapping
from contextlib import suppress

from aiohttp import web

from gateway.errors import GatewayError
from gateway.exchange.replies.delivery import error_response
from gateway.server.cors import allow_any_origin
from gateway.server.process.lifecycle import DRAIN, Drain

_LOCK = "serving.lock"
"""File in RUNTIME_DIRECTORY, which the instances of a machine share. Each that serves holds a shared lock on it."""


def stand_in() -> web.Application:
    """Return an application that answers 503 with Retry-After to every request."""
    app = web.Application()
    app[DRAIN] = Drain()
    app.router.add_route("*", "/{path:.*}", _refuse)
    return app


async def _refuse(_: web.Request) -> web.Response:
    message = "The gateway's configuration is faulty, and its log says where. Please try again later."
    response = error_response(GatewayError(message, status=503, code="gateway_misconfigured", retry_after=5))
    allow_any_origin(response)
    return response


class ServingLock:
    """Tells the other instances that this one serves, until it is released or the process ends."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        folder = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        self._fd = -1
        if folder:
            with suppress(OSError):  # without it, instances do not know of each other
                self._fd = os.open(f"{folder}/{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def is_held_elsewhere(self) -> bool:
        """Return whether another instance serves. Only for an instance that does not."""
        if self._fd < 0:
            return False
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        return False

    def hold(self) -> None:
        """Tell the others that this instance serves."""
        if self._fd >= 0:
            with suppress(OSError):
                fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def release(self) -> None:
        """Tell the others that it does not serve any more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
