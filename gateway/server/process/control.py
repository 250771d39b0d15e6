"""Control socket of one instance, by which `gateway reload` asks for a reload and learns its outcome.

The unit's ExecReload= runs as the service's user, but without its credentials (https://github.com/systemd/systemd/issues/35227),
so that only the process itself can check a configuration that names some. A signal has no answer; hence the socket.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import msgspec
from msgspec import Struct

from gateway.observability.console import say

VARIABLE = "GATEWAY_CONTROL"
"""Environment variable with the path of the socket; without it there is none."""
_TIMEOUT = 300.0
"""Seconds for a reload, which may wait for a database."""


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Outcome(Struct):
    """Result of a reload."""

    changed: bool
    """False if the new configuration was refused."""
    message: str


@asynccontextmanager
async def control(path: str, reload: Callable[[], Awaitable[Outcome]]) -> AsyncIterator[None]:
    """Answer each connection to a Unix socket with a reload and its outcome. Without a path, do nothing.

    Only the user of the process, and root, may connect.
    """

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(msgspec.json.encode(await reload()))
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await _listen(answer, path) if path else None
    try:
        yield
    finally:
        if server is not None:
            server.close()
            with suppress(OSError):
                os.unlink(path)


async def _listen(answer: Answer, path: str) -> asyncio.Server | None:
    """Open the socket for the process's own user. Return None, and print why, if it cannot be opened."""
    before = os.umask(0o177)
    try:
        with suppress(FileNotFoundError):
            os.unlink(path)  # of a process that was killed
        return await asyncio.start_unix_server(answer, path)
    except OSError as error:
        say(
            f"{VARIABLE}: {path} cannot be opened, so `gateway reload` has no effect: {error.strerror or error}"
        )
        return None
    finally:
        os.umask(before)


def ask(path: str) -> Outcome:
    """Ask the process behind a control socket to reload, and return the outcome.

    Raises OSError if it does not answer.
    """
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(_TIMEOUT)
        sock.connect(path)
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    try:
        return msgspec.json.decode(answer, type=Outcome)
    except msgspec.DecodeError as error:
        raise OSError(f"{path}: no answer") from error
