"""`RawClient`: a client of raw sockets, for requests and departures that no library makes."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from typing import Self
from urllib.parse import urlsplit


class RawClient:
    """One connection to a gateway. `async with await RawClient.open(base)`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, base: str) -> Self:
        """Return a connection to a base URL such as http://127.0.0.1:8080."""
        url = urlsplit(base)
        return cls(*await asyncio.open_connection(url.hostname, url.port))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def post(self, path: str, body: bytes, *headers: str) -> None:
        """Write a whole request."""
        lines = [f"POST {path} HTTP/1.1", "Host: gateway", "Content-Type: application/json", *headers]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode()
        await self.send(head + body)

    async def head(self) -> tuple[int, dict[str, str]]:
        """Return the status and the headers of the next response, by lower-case names."""
        text = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = text.strip().split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return int(first.split(" ")[1]), {name.lower(): value.strip() for name, _, value in pairs}

    async def response(self) -> tuple[int, dict[str, str], bytes]:
        """Return the next response, whose body has a length or chunks."""
        status, headers = await self.head()
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, b"".join([piece async for piece in self.chunks()])
        return status, headers, await self.reader.readexactly(int(headers.get("content-length", 0)))

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the chunks of a chunked body."""
        while size := int(await self.reader.readline(), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readline()

    async def ended(self) -> bool:
        """Wait for the gateway's end of the connection. Return whether it came without another byte."""
        try:
            return await self.reader.read(1) == b""
        except ConnectionResetError:
            return True

    def half_close(self) -> None:
        """End the sending half (FIN)."""
        self.writer.write_eof()

    def leave(self) -> None:
        """Close the connection (FIN)."""
        self.writer.close()

    def reset(self) -> None:
        """Reset the connection (RST)."""
        own: socket.socket = self.writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
