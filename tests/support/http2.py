"""A client of HTTP/2 that sends what a test wants: frames of RFC 9113, headers in literal form (RFC 7541, section 6.2.2)."""

import asyncio
import ssl
import struct
from pathlib import Path
from typing import Self

DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1
CANCEL = 8
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return a frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def header_block(fields: dict[str, str]) -> bytes:
    """Return fields of fewer than 127 characters each, without compression."""
    block = b""
    for name, value in fields.items():
        block += b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
    return block


class H2:
    """One connection. `async with H2(port, certificate, host) as client`."""

    def __init__(self, port: int, certificate: Path, host: str) -> None:
        self._port, self._certificate, self._host = port, certificate, host
        self._next = 1
        self.frames: list[tuple[int, int, bytes]] = []
        """Kind, stream and payload of what was received."""

    async def __aenter__(self) -> Self:
        context = ssl.create_default_context(cafile=str(self._certificate))
        context.set_alpn_protocols(["h2"])
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=context, server_hostname=self._host
        )
        assert self._writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        self._writer.write(_PREFACE + frame(SETTINGS, 0, 0, b""))
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self._writer.transport.abort()

    async def ask(self, path: str, key: str, body: bytes) -> int:
        """Send a request. Return its stream."""
        stream, self._next = self._next, self._next + 2
        fields = {
            ":method": "POST", ":scheme": "https", ":path": path, ":authority": self._host,
            "authorization": f"Bearer {key}", "content-type": "application/json", "content-length": str(len(body)),
        }  # fmt: skip
        self._writer.write(frame(HEADERS, END_HEADERS, stream, header_block(fields)))
        self._writer.write(frame(DATA, END_STREAM, stream, body))
        await self._writer.drain()
        return stream

    async def reset(self, stream: int) -> None:
        """Cancel a request."""
        self._writer.write(frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL)))
        await self._writer.drain()

    async def _read(self) -> None:
        while True:
            head = await self._reader.readexactly(9)
            length, (kind, flags, stream) = int.from_bytes(head[:3]), struct.unpack(">BBI", head[3:])
            self.frames.append((kind, stream, await self._reader.readexactly(length)))
            if kind == SETTINGS and not flags & ACK:
                self._writer.write(frame(SETTINGS, ACK, 0, b""))
