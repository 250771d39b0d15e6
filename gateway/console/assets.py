"""The pages' files, under an address that changes with their content: browsers keep them for a year."""

import gzip
import re
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

from aiohttp import web

_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".html": "text/html; charset=utf-8",
}
_PAGE = "index.html"
_BUILD = b"{build}"
"""Stands for the build in the page."""
_COMMENT = re.compile(
    rb"^[ \t]*(?://[^\n]*|/\*(?:(?!\*/)[^\n])*\*/[ \t]*|/\*\*\n(?:[ \t]*\*[^\n]*\n)*?[ \t]*\*/[ \t]*)$", re.M
)
"""A comment on lines of its own. Browsers need none."""
_FOREVER = "public, max-age=31536000, immutable"


class Asset(NamedTuple):
    """One file as it is sent."""

    data: bytes
    compressed: bytes
    type: str


class Assets:
    """All files of `static`, in memory. Relative names of modules and styles stay as they are written."""

    def __init__(self) -> None:
        content = dict(sorted(_files(files("gateway.console") / "static", "")))
        digest = sha256()
        for name, data in content.items():
            digest.update(name.encode() + b"\0" + sha256(data).digest())
        self.build = digest.hexdigest()[:12]
        """Names this state of the files."""
        self._page = _asset(_PAGE, content.pop(_PAGE).replace(_BUILD, self.build.encode()))
        self._assets = {name: _asset(name, data) for name, data in content.items()}

    async def page(self, request: web.Request) -> web.Response:
        """Answer with the one page; its script shows what the address's fragment names."""
        return _response(request, self._page, "no-store")

    async def file(self, request: web.Request) -> web.Response:
        """Answer with a file of the current build. A page of another build asks for what is no longer here: 404."""
        asset = self._assets.get(request.match_info["name"])
        if asset is None or request.match_info["build"] != self.build:
            raise web.HTTPNotFound
        return _response(request, asset, _FOREVER)

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each compressed file by its name, without the page."""
        return {name: len(asset.compressed) for name, asset in self._assets.items()}


async def to_page(_: web.Request) -> web.Response:
    """Send a browser to the page."""
    return web.Response(status=302, headers={"Location": "/"})


def _files(folder: Traversable, above: str) -> list[tuple[str, bytes]]:
    """Return the files below a folder by their relative names."""
    result: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        name = above + entry.name
        if entry.is_dir():
            result += _files(entry, f"{name}/")
        elif _suffix(name) in _TYPES:
            result.append((name, entry.read_bytes()))
    return result


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]


def _asset(name: str, data: bytes) -> Asset:
    if _suffix(name) in (".js", ".css"):
        data = _COMMENT.sub(lambda comment: b"\n" * comment[0].count(b"\n"), data)  # lines keep their numbers
    return Asset(data, gzip.compress(data, 9, mtime=0), _TYPES[_suffix(name)])


def _response(request: web.Request, asset: Asset, cache: str) -> web.Response:
    is_gzip = "gzip" in request.headers.get("Accept-Encoding", "")
    headers = {"Content-Type": asset.type, "Cache-Control": cache, "Vary": "Accept-Encoding"}
    if is_gzip:
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=asset.compressed if is_gzip else asset.data, headers=headers)
