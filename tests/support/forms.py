"""Forms as clients send them."""

import asyncio
from collections.abc import Mapping, Sequence

from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader
from aiohttp.test_utils import make_mocked_request
from msgspec import structs

from gateway.exchange.context import CONTEXT, dry_context
from gateway.policy.clients.access import Client
from gateway.policy.load.memory import MemoryAccount

BOUNDARY = "d4b2a0c1e3f54a6b8c7d9e0f1a2b3c4d"
"""As long as httpx's."""
Field = tuple[str, str | bytes] | tuple[str, str | bytes, str] | tuple[str, str | bytes, str, str]
"""Name, value, file name and type."""


def form(fields: Sequence[Field], boundary: str = BOUNDARY) -> bytes:
    """Return the body of a form."""
    parts = []
    for name, value, *about in fields:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'
        head += f'; filename="{about[0]}"' if about and about[0] else ""
        head += f"\r\nContent-Type: {about[1]}" if len(about) > 1 else ""
        parts.append(head.encode() + b"\r\n\r\n" + (value if isinstance(value, bytes) else value.encode()))
    return b"".join(part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()


def posted(
    pieces: Sequence[bytes],
    content_type: str = f"multipart/form-data; boundary={BOUNDARY}",
    account: MemoryAccount | None = None,
    *,
    ends: bool = True,
    headers: Mapping[str, str] | None = None,
) -> web.Request:
    """Return a request whose body has arrived in these pieces; its memory is the account's."""
    loop = asyncio.get_running_loop()
    body = StreamReader(BaseProtocol(loop), 2**30, loop=loop)
    body._protocol.transport = asyncio.Transport()
    for piece in pieces:
        body.feed_data(piece)
    if ends:
        body.feed_eof()
    request = make_mocked_request(
        "POST", "/", {"Content-Type": content_type, **(headers or {})}, payload=body
    )
    if account is not None:
        context = structs.replace(dry_context(Client("", "")), memory=account.open())
        request[CONTEXT] = context
    return request
