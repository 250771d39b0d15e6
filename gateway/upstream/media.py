"""Fetches the files that messages point at, behind three walls against SSRF (robustness.md 2.5).

What may be asked (`policy.media_url.check_url`, for each redirect anew), whom the socket may reach (`is_public`, on
the address that is dialled, so that a name whose answer changes gains nothing), and what may come back.
"""

import asyncio
import base64
import re
import socket
from collections.abc import Callable, Mapping
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from gateway.conversation.parts import sniff
from gateway.errors import BadRequest
from gateway.gemini.wire import Blob
from gateway.policy.ssrf import MediaConfig, check_url, is_public

_UNREACHABLE = "it cannot be reached"
"""One text for refused, closed, silent, unknown and not public: nobody may use us to look around."""
_TYPES = re.compile(
    r"image/(png|jpeg|jpg|webp|gif|bmp|heic|heif)|application/(pdf|json)|text/(plain|csv|html|xml|css|rtf|javascript)"
    r"|audio/[\w.+-]{1,40}|video/[\w.+-]{1,40}"
)
_UNTOLD = ("application/octet-stream", "binary/octet-stream", "")
_ALIASES = {"image/jpg": "image/jpeg"}
_WITH_MAGIC = (
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/gif",
    "image/bmp",
    "image/heic",
    "application/pdf",
)
_OFF_THE_LOOP = 256 * 1024
_PIECE = 64 * 1024

AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]


class _Refused(OSError):
    """The socket wall: this address is not ours to reach."""


class _Failure(Exception):
    """Why a file did not come, in words for the client."""


class MediaFetcher:
    """An async context manager; `resolver` and `public` can be replaced, for tests on loopback."""

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
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch(self, urls: Mapping[str, str]) -> dict[str, Blob]:
        """Address to file; `urls` has the JSON path that names each. Raises BadRequest for the first that fails."""
        found = await asyncio.gather(*(self._one(url, path) for url, path in urls.items()))
        return dict(zip(urls, found, strict=True))

    async def _one(self, url: str, path: str) -> Blob:
        try:
            if not self._config.fetch:
                raise _Failure(
                    "this gateway fetches no files (media.fetch): send the file itself as a data: URL"
                )
            async with self._places, asyncio.timeout(self._config.seconds):
                return await self._follow(url)
        except _Failure as failure:
            reason = str(failure)
        except (aiohttp.ClientError, OSError, TimeoutError, UnicodeError, ValueError):
            reason = _UNREACHABLE
        raise BadRequest(
            f"the file at {url[:300]} could not be fetched: {reason}", param=path, code="invalid_image_url"
        )

    async def _follow(self, address: str) -> Blob:
        """One file, through its redirects."""
        assert self._session is not None, "used outside its context"  # noqa: S101
        for _ in range(self._config.redirects + 1):
            url = self._check(address)
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status in (301, 302, 303, 307, 308) and "Location" in response.headers:
                    address = str(url.join(URL(response.headers["Location"], encoded=True)))
                    continue
                if response.status != 200:
                    raise _Failure(f"it answered {response.status}")
                return await self._read(response)
        raise _Failure("it redirects too often")

    def _check(self, address: str) -> URL:
        try:
            return self._allowed(address, self._config.schemes)
        except ValueError as error:
            raise _Failure(str(error)) from None

    async def _read(self, response: aiohttp.ClientResponse) -> Blob:
        """The body, within its bounds and of a kind that Gemini reads."""
        most = self._config.bytes
        if (response.content_length or 0) > most:
            raise _Failure(f"it is larger than {most} bytes")
        pieces, size = [], 0
        async for piece in response.content.iter_chunked(_PIECE):
            size += len(piece)
            if size > most:
                raise _Failure(f"it is larger than {most} bytes")
            pieces.append(piece)
        data = b"".join(pieces)
        mime = media_type(response.headers.get("Content-Type", ""), data)
        return Blob(mime, await _encoded(data))

    def _socket(self, info: AddressInfo) -> socket.socket:
        """The second wall: a socket for a public address, and for no other."""
        family, kind, protocol, _, address = info
        if not self._public(str(address[0])):
            raise _Refused("not a public address")
        return socket.socket(family, kind, protocol)


def media_type(told: str, data: bytes) -> str:
    """The third wall: the type, told by the server and not denied by the bytes. Raises _Failure for another."""
    mime = told.partition(";")[0].strip().lower()
    seen = sniff(base64.b64encode(data[:24]).decode()) if data else ""
    if mime in _UNTOLD:
        mime = seen
    mime = _ALIASES.get(mime, mime)
    if not data or _TYPES.fullmatch(mime) is None:
        raise _Failure("it is not a file of a kind that Gemini reads")
    if mime in _WITH_MAGIC and not seen:
        raise _Failure("its bytes are not what its type says")
    return seen if mime in _WITH_MAGIC else mime


async def _encoded(data: bytes) -> str:
    if len(data) > _OFF_THE_LOOP:
        return (await asyncio.to_thread(base64.b64encode, data)).decode()
    return base64.b64encode(data).decode()
