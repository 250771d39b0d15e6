"""Requests as bytes, gateways without a pool, and searches for keys in what a gateway writes."""

import asyncio
import base64
import secrets
from contextlib import suppress
from urllib.parse import quote, urlsplit

HEAD = b"Host: x\r\nAuthorization: Bearer AQ.k\r\n"
"""Headers that every raw request needs."""


def canary(prefix: str = "AQ.") -> str:
    """Return a key that occurs nowhere else."""
    return prefix + secrets.token_urlsafe(30)


def leaks(text: str | bytes, *keys: str) -> list[str]:
    """Return the runs of 8 characters, and the encoded forms, of the keys that a text holds."""
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return [form for key in keys for form in _forms(key) if form.encode() in data]


def _forms(key: str) -> list[str]:
    """Return each run of 8 characters after the public prefix, the key as in URLs, and the three alignments of base64."""
    start = max(key.find("."), key.rfind("-gw-") + 3) + 1 if key.startswith(("AQ.", "sk-gw-")) else 0
    runs = [key[i : i + 8] for i in range(start, len(key) - 7)]
    encoded = [base64.b64encode(bytes(shift) + key.encode()).decode()[4 : len(key)] for shift in range(3)]
    return [*runs, quote(key, safe=""), *encoded]


async def raw(base: str, *pieces: bytes, seconds: float = 20) -> bytes:
    """Send bytes on a connection of their own, and return all that comes back until the gateway closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(base).port)
    await _send(writer, pieces)
    answer = b""
    try:
        async with asyncio.timeout(seconds):
            while piece := await reader.read(65536):
                answer += piece
    except ConnectionError:
        pass
    finally:
        writer.close()
    return answer


async def answered(base: str, *pieces: bytes, seconds: float = 20) -> bytes:
    """Send bytes, and return the first answer as soon as it is complete.

    b"" if the connection is closed before; without its body if that comes in chunks.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(base).port)
    sending = asyncio.create_task(_send(writer, pieces))
    try:
        async with asyncio.timeout(seconds):
            head = await reader.readuntil(b"\r\n\r\n")
            fields = head.lower().split(b"\r\n")
            length = next((int(field[15:]) for field in fields if field.startswith(b"content-length:")), 0)
            return head + await reader.readexactly(length)
    except (ConnectionError, asyncio.IncompleteReadError):
        return b""
    finally:
        sending.cancel()
        writer.close()


async def _send(writer: asyncio.StreamWriter, pieces: tuple[bytes, ...]) -> None:
    with suppress(
        ConnectionError
    ):  # refused while it was still being sent: the answer may be there all the same
        for piece in pieces:
            writer.write(piece)
            await writer.drain()


def post(path: str, body: bytes, *headers: bytes) -> bytes:
    """Return a complete request that closes its connection."""
    lines = b"".join(header + b"\r\n" for header in headers)
    return (
        b"POST %s HTTP/1.1\r\n" % path.encode()
        + HEAD
        + lines
        + b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )


def status(answer: bytes) -> int:
    """Return the status of an answer, 0 if there is none."""
    line = answer.partition(b"\r\n")[0].split()
    return int(line[1]) if len(line) > 1 else 0
