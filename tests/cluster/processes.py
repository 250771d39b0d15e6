"""Processes and ports that both drivers use."""

import asyncio
import socket
from contextlib import suppress


def free_port() -> int:
    """Return a TCP port of loopback that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


async def reachable(port: int) -> None:
    """Wait until something listens on a port of loopback. Raises TimeoutError after 20 seconds."""
    async with asyncio.timeout(20):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)
