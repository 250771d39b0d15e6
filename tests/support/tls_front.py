"""A proxy that ends TLS in front of a gateway, for clients that speak nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support.certificates import Authority


@asynccontextmanager
async def encrypted(base: str, folder: Path) -> AsyncIterator[dict[str, Any]]:
    """Google's SDK for Python opens WebSockets over TLS only: the `http_options` for a proxy of `base` that ends TLS."""
    authority, port = Authority(folder), int(base.rpartition(":")[2])
    tasks: set[asyncio.Task[None]] = set()

    async def copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(2**16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        for work in (copied(reader, inner_writer), copied(inner_reader, writer)):
            task = asyncio.ensure_future(work)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(forward, "127.0.0.1", 0, ssl=authority.server("127.0.0.1"))
    address = server.sockets[0].getsockname()
    try:
        yield {
            "base_url": f"https://127.0.0.1:{address[1]}",
            "async_client_args": {"ssl": authority.trusting()},
        }
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
