"""Download of files that messages link to, with three checks against server-side request forgery.

1. The URL, and that of each redirect (`policy.ssrf.check_url`).
2. The address that the socket connects to (`is_public`), so that a DNS answer that changes gains nothing.
3. The type and the size of the response.
See https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html.
"""

import asyncio
import base64
import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from gateway.conversation.media_types import is_unspecified, named, sniff
from gateway.errors import BadRequest, GatewayError, forget_frames
from gateway.gemini.wire import Blob
from gateway.policy.load.memory import MemoryHold
from gateway.policy.ssrf import MediaConfig, check_url, is_public

_UNREACHABLE = "it cannot be reached"
"""The same text for refused, closed, unknown and private addresses: it must not reveal the network."""
_TYPES = re.compile(
    r"image/(png|jpeg|jpg|webp|gif|bmp|heic|heif)|application/(pdf|json)|text/(plain|csv|html|xml|css|rtf|javascript)"
    r"|audio/[\w.+-]{1,40}|video/[\w.+-]{1,40}"
)
_ALIASES = {"image/jpg": "image/jpeg"}
_SNIFFED = (
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/gif",
    "image/bmp",
    "image/heic",
    "application/pdf",
)
_PIECE = 48 * 1024
"""Bytes that are encoded at once: a multiple of 3, so that the pieces of base64 can be joined."""
_COPIES = 3
"""Bytes that one byte of a file takes: base64 is longer by a third, and exists twice (pieces, or the encoded call)."""

AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]


class _Refused(OSError):
    """The address is not public."""


class _Failure(Exception):
    """A download failed; the text is for the client."""


class _Request:
    """The downloads of one request: how much they may hold together."""

    def __init__(self, config: MediaConfig, memory: MemoryHold) -> None:
        self._config = config
        self._memory = memory
        self._size = 0

    def expect(self, size: int) -> None:
        """Raise _Failure if `size` more bytes of one file cannot be taken."""
        if size > self._config.bytes:
            raise _Failure(f"it is larger than {self._config.bytes} bytes")
        if self._size + size > self._config.total:
            raise _Failure(f"the files of the request are larger than {self._config.total} bytes together")

    def arrived(self, size: int) -> None:
        """Count bytes. Raises _Failure over the limits of the request, and Overloaded."""
        self.expect(size)
        self._memory.take(size * _COPIES)
        self._memory.covered += size * 4 // 3
        self._size += size


class MediaFetcher:
    """Downloader. An async context manager. `resolver`, `public` and `allowed` are replaced in tests on loopback."""

    def __init__(
        self,
        config: MediaConfig,
        *,
        resolver: AbstractResolver | None = None,
        public: Callable[[str], bool] = is_public,
        allowed: Callable[[str, tuple[str, ...]], URL] = check_url,
    ) -> None:
        self._config = config
        self._resolver = resolver
        self._public = public
        self._allowed = allowed
        self._session: aiohttp.ClientSession | None = None
        self._places = asyncio.Semaphore(config.concurrent)
        self._clients: dict[str, tuple[asyncio.Semaphore, int]] = {}
        """Places of each client that has requests with downloads, and how many those are."""

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=0,
            resolver=self._resolver,
            use_dns_cache=False,
            force_close=True,
            socket_factory=self._socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            headers={"User-Agent": "gemini-gateway", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=self._config.seconds),
            read_bufsize=_PIECE,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch(self, urls: Mapping[str, str], memory: MemoryHold | None = None) -> dict[str, Blob]:
        """Return the file of each URL. `urls` maps a URL to the JSON path that contains it.

        What arrives is accounted for in `memory`, whose owner has places of its own. Raises BadRequest for the first
        file that fails, with its path as `param`, and Overloaded; the other downloads are then cancelled.
        """
        if len(urls) > self._config.files:
            raise BadRequest(
                f"The request links to {len(urls)} files; this gateway downloads at most {self._config.files} for one "
                "request (media.files).",
                param=list(urls.values())[self._config.files],
                code="invalid_image_url",
            )
        hold = memory if memory is not None else MemoryHold.uncounted()
        request = _Request(self._config, hold)
        try:
            async with self._places_of(hold.owner) as places, asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._download(url, path, request, places))
                    for url, path in urls.items()
                ]
        except* GatewayError as errors:
            first = forget_frames(errors).exceptions[0]
        else:
            return dict(zip(urls, (task.result() for task in tasks), strict=True))
        raise first from None

    @asynccontextmanager
    async def _places_of(self, owner: str) -> AsyncIterator[asyncio.Semaphore]:
        """Hold the places of one client, which all its requests share."""
        places, requests = self._clients.get(owner) or (asyncio.Semaphore(self._config.per_client), 0)
        self._clients[owner] = places, requests + 1
        try:
            yield places
        finally:
            requests = self._clients[owner][1] - 1
            if requests:
                self._clients[owner] = places, requests
            else:
                del self._clients[owner]

    async def _download(self, url: str, path: str, request: _Request, places: asyncio.Semaphore) -> Blob:
        try:
            if not self._config.fetch:
                raise _Failure(
                    "this gateway does not download files (media.fetch): send the file as a data: URL"
                )
            async with places, self._places, asyncio.timeout(self._config.seconds):
                return await self._follow(url, request)
        except _Failure as failure:
            reason = str(failure)
        except (aiohttp.ClientError, OSError, TimeoutError, UnicodeError, ValueError):
            reason = _UNREACHABLE
        except AssertionError:  # aiohttp's, for a name without any address
            reason = _UNREACHABLE
        raise BadRequest(
            f"The file at {url[:300]} could not be downloaded: {reason}", param=path, code="invalid_image_url"
        )

    async def _follow(self, address: str, request: _Request) -> Blob:
        """Return one file, following redirects. Raises _Failure."""
        assert self._session is not None, "used outside its context"  # noqa: S101
        for _ in range(self._config.redirects + 1):
            url = self._check(address)
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status in (301, 302, 303, 307, 308) and "Location" in response.headers:
                    address = str(url.join(URL(response.headers["Location"], encoded=True)))
                    continue
                if response.status != 200:
                    raise _Failure(f"it answered {response.status}")
                return await _read(response, request, self._config.bytes)
        raise _Failure("it redirects too often")

    def _check(self, address: str) -> URL:
        try:
            return self._allowed(address, self._config.schemes)
        except ValueError as error:
            raise _Failure(str(error)) from None

    def _socket(self, info: AddressInfo) -> socket.socket:
        """Return a socket for a public address. Raises _Refused for any other."""
        family, kind, protocol, _, address = info
        if not self._public(str(address[0])):
            raise _Refused("not a public address")
        return socket.socket(family, kind, protocol)


async def _read(response: aiohttp.ClientResponse, request: _Request, limit: int) -> Blob:
    """Return the body. Raises _Failure if it is too large or of a type that Gemini does not read, and Overloaded.

    It is encoded as it arrives, so that the bytes themselves are not kept.
    """
    request.expect(response.content_length or 0)
    pieces, size, rest = [], 0, b""
    async for data in response.content.iter_chunked(_PIECE):
        size += len(data)
        if size > limit:
            raise _Failure(f"it is larger than {limit} bytes")
        request.arrived(len(data))
        data = rest + data
        end = len(data) // 3 * 3
        pieces.append(base64.b64encode(data[:end]).decode())
        rest = data[end:]
    pieces.append(base64.b64encode(rest).decode())
    text = "".join(pieces)
    mime_type = media_type(response.headers.get("Content-Type", ""), text[:32], response.url.name)
    return Blob(mime_type, text)


def media_type(header: str, start: str, name: str = "") -> str:
    """Return the type that the server states and the first bytes, in base64, confirm. Raises _Failure for any other.

    Where the server states none, the extension of the URL's last part or the first bytes do.
    """
    mime = header.partition(";")[0].strip().lower()
    seen = sniff(start)
    if is_unspecified(mime):
        mime = _readable(named(name)) or seen
    mime = _ALIASES.get(mime, mime)
    if not start or _TYPES.fullmatch(mime) is None:
        raise _Failure("its type is not one that Gemini reads")
    if mime in _SNIFFED and seen not in _SNIFFED:
        raise _Failure("its bytes do not match its type")
    return seen if mime in _SNIFFED else mime


def _readable(mime: str) -> str:
    """Return the type of an extension as Gemini reads it: a source text of any language is plain text."""
    return "text/plain" if mime.startswith("text/") and _TYPES.fullmatch(mime) is None else mime
