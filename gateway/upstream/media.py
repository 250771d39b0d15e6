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
"""The same text for refused, closed, unknown and private addresses: it must not reveal the network."""
_TYPES = re.compile(
    r"image/(png|jpeg|jpg|webp|gif|bmp|heic|heif)|application/(pdf|json)|text/(plain|csv|html|xml|css|rtf|javascript)"
    r"|audio/[\w.+-]{1,40}|video/[\w.+-]{1,40}"
)
_UNSPECIFIED = ("application/octet-stream", "binary/octet-stream", "")
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
_HEAVY = 256 * 1024
"""Bytes from which base64 is encoded in a thread."""
_PIECE = 64 * 1024

AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]


class _Refused(OSError):
    """The address is not public."""


class _Failure(Exception):
    """A download failed; the text is for the client."""


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
        """Return the file of each URL. `urls` maps a URL to the JSON path that contains it.

        Raises BadRequest for the first that fails, with its path as `param`.
        """
        files = await asyncio.gather(*(self._download(url, path) for url, path in urls.items()))
        return dict(zip(urls, files, strict=True))

    async def _download(self, url: str, path: str) -> Blob:
        try:
            if not self._config.fetch:
                raise _Failure(
                    "this gateway does not download files (media.fetch): send the file as a data: URL"
                )
            async with self._places, asyncio.timeout(self._config.seconds):
                return await self._follow(url)
        except _Failure as failure:
            reason = str(failure)
        except (aiohttp.ClientError, OSError, TimeoutError, UnicodeError, ValueError):
            reason = _UNREACHABLE
        except AssertionError:  # aiohttp's, for a name without any address
            reason = _UNREACHABLE
        raise BadRequest(
            f"The file at {url[:300]} could not be downloaded: {reason}", param=path, code="invalid_image_url"
        )

    async def _follow(self, address: str) -> Blob:
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
                return await self._read(response)
        raise _Failure("it redirects too often")

    def _check(self, address: str) -> URL:
        try:
            return self._allowed(address, self._config.schemes)
        except ValueError as error:
            raise _Failure(str(error)) from None

    async def _read(self, response: aiohttp.ClientResponse) -> Blob:
        """Return the body. Raises _Failure if it is too large or of a type that Gemini does not read."""
        limit = self._config.bytes
        if (response.content_length or 0) > limit:
            raise _Failure(f"it is larger than {limit} bytes")
        pieces, size = [], 0
        async for piece in response.content.iter_chunked(_PIECE):
            size += len(piece)
            if size > limit:
                raise _Failure(f"it is larger than {limit} bytes")
            pieces.append(piece)
        data = b"".join(pieces)
        mime = media_type(response.headers.get("Content-Type", ""), data)
        return Blob(mime, await _encoded(data))

    def _socket(self, info: AddressInfo) -> socket.socket:
        """Return a socket for a public address. Raises _Refused for any other."""
        family, kind, protocol, _, address = info
        if not self._public(str(address[0])):
            raise _Refused("not a public address")
        return socket.socket(family, kind, protocol)


def media_type(header: str, data: bytes) -> str:
    """Return the type that the server states and the bytes confirm. Raises _Failure for any other."""
    mime = header.partition(";")[0].strip().lower()
    seen = sniff(base64.b64encode(data[:24]).decode()) if data else ""
    if mime in _UNSPECIFIED:
        mime = seen
    mime = _ALIASES.get(mime, mime)
    if not data or _TYPES.fullmatch(mime) is None:
        raise _Failure("its type is not one that Gemini reads")
    if mime in _SNIFFED and not seen:
        raise _Failure("its bytes do not match its type")
    return seen if mime in _SNIFFED else mime


async def _encoded(data: bytes) -> str:
    if len(data) > _HEAVY:
        return (await asyncio.to_thread(base64.b64encode, data)).decode()
    return base64.b64encode(data).decode()
