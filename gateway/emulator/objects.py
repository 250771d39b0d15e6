"""Files and cached contents: what the emulator keeps of them, in memory, each key's API project apart.

Of a file its size is kept and not its bytes. A name that this emulator did not give is let pass in a prompt; one that
it gave to another key is refused as Google refuses it.
"""

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import msgspec
from aiohttp import web

from gateway.emulator.access import against_key
from gateway.emulator.status import Refusal

_FILES_API = "https://generativelanguage.googleapis.com/v1beta/"
_URI = re.compile(r"(?:https?://[^/]+/v1(?:beta|alpha)?/)?(files/[\w-]+)")
_MOST = 1000
_PAST, _FUTURE = "2026-01-01T00:00:00Z", "2100-01-01T00:00:00Z"
_PATCHED = ("ttl", "expireTime")


class Objects:
    """By name, with the key of who made them; the oldest of too many is forgotten."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[str, dict[str, Any]]] = {}

    def routes(self) -> list[web.RouteDef]:
        version, kind = "/{version:v1(?:beta|alpha)?}", "/{kind:files|cachedContents}"
        return [
            web.post("/upload" + version + "/files", self.upload),
            web.post(version + kind, self.create),
            web.get(version + kind, self.everything),
            web.route("*", version + kind + "/{id}", self.one),
        ]

    def against(self, request: web.Request, body: Any) -> Refusal | None:
        """A prompt that names what another key has."""
        for name in _named(body):
            if name in self._kept and self._kept[name][0] != _key(request):
                return _absent(name)
        return None

    async def upload(self, request: web.Request) -> web.Response:
        """Resumable: a start, then pieces with the `upload_id` that it gave, for which no key is needed."""
        number, command = request.query.get("upload_id"), request.headers.get("X-Goog-Upload-Command", "")
        refusal = against_key(request) if number is None or _key(request) else None
        if refusal is not None:
            return _told(refusal.body(), refusal.code)
        data = await request.read()
        if number is None:
            if command != "start":
                return self._add(_key(request), "files", {"sizeBytes": str(len(data))})
            url = request.url.with_query(upload_id=self._begin(request, data), upload_protocol="resumable")
            return _told({}, 200, {"X-Goog-Upload-URL": str(url), "X-Goog-Upload-Status": "active"})
        owner, state = self._kept.get(f"upload/{number}", ("", {}))
        if not owner or _key(request) not in ("", owner):
            return _told(_absent("upload").body(), 404)
        state["size"] += len(data)
        if "finalize" not in command:
            return _told({}, 200, {"X-Goog-Upload-Status": "active"})
        fields = {**state["file"], "sizeBytes": str(state["size"])}
        return self._add(owner, "files", fields, {"X-Goog-Upload-Status": "final"})

    async def create(self, request: web.Request) -> web.Response:
        """A file's record alone, or a cache."""
        if (refusal := against_key(request)) is not None:
            return _told(refusal.body(), refusal.code)
        body = _decoded(await request.read())
        if request.match_info["kind"] == "files":
            return self._add(_key(request), "files", _described(body))
        if (refusal := self.against(request, body)) is not None:
            return _told(refusal.body(), refusal.code)
        shown = {k: v for k, v in body.items() if k in ("model", "displayName", *_PATCHED)}
        tokens = {"totalTokenCount": -(-len(msgspec.json.encode(body)) // 4)}
        return self._add(_key(request), "cachedContents", {**shown, "usageMetadata": tokens})

    async def everything(self, request: web.Request) -> web.Response:
        """All of one key's."""
        kind = request.match_info["kind"]
        own = [
            one for name, (key, one) in self._kept.items() if name.startswith(kind) and key == _key(request)
        ]
        return _told({kind: own} if own else {}, 200)

    async def one(self, request: web.Request) -> web.Response:
        """GET, PATCH and DELETE."""
        name = f"{request.match_info['kind']}/{request.match_info['id']}"
        owner, found = self._kept.get(name, ("", {}))
        if owner != _key(request):
            refusal = _absent(name)
            return _told(refusal.body(), refusal.code)
        if request.method == "PATCH":
            found.update({k: v for k, v in _decoded(await request.read()).items() if k in _PATCHED})
        if request.method == "DELETE":
            del self._kept[name]
            found = {}
        return _told(found, 200)

    def _begin(self, request: web.Request, data: bytes) -> str:
        number = uuid4().hex
        self._keep(_key(request), f"upload/{number}", {"file": _described(_decoded(data)), "size": 0})
        return number

    def _add(
        self, owner: str, kind: str, fields: dict[str, Any], headers: dict[str, str] | None = None
    ) -> web.Response:
        name = f"{kind}/{uuid4().hex[:12]}"
        found = {**fields, "name": name, "createTime": _PAST, "expirationTime": _FUTURE}
        if kind == "files":
            found |= {"uri": _FILES_API + name, "state": "ACTIVE"}
            found.setdefault("mimeType", "application/octet-stream")
        self._keep(owner, name, found)
        return _told({"file": found} if kind == "files" else found, 200, headers)

    def _keep(self, owner: str, name: str, found: dict[str, Any]) -> None:
        while len(self._kept) >= _MOST:
            del self._kept[next(iter(self._kept))]
        self._kept[name] = owner, found


def _named(body: Any) -> Iterator[str]:
    """Files and caches that a request names, at any depth."""
    if isinstance(body, list):
        for item in body:
            yield from _named(item)
    elif isinstance(body, dict):
        for field, value in body.items():
            if isinstance(value, str) and field in ("fileUri", "file_uri"):
                if found := _URI.fullmatch(value):
                    yield found[1]
            elif isinstance(value, str) and field in ("cachedContent", "cached_content"):
                yield value
            else:
                yield from _named(value)


def _absent(name: str) -> Refusal:
    if name.startswith("cachedContents/"):
        return Refusal(403, "PERMISSION_DENIED", "CachedContent not found (or permission denied)")
    told = f"You do not have permission to access the File {name.partition('/')[2]} or it may not exist."
    return Refusal(403, "PERMISSION_DENIED", told)


def _described(body: dict[str, Any]) -> dict[str, Any]:
    """What a client says of a file, which SDKs write in snake_case."""
    told = body.get("file") or {}
    names = {"mime_type": "mimeType", "mimeType": "mimeType", "display_name": "displayName",
             "displayName": "displayName"}  # fmt: skip
    return {names[field]: value for field, value in told.items() if field in names}


def _key(request: web.Request) -> str:
    return request.headers.get("x-goog-api-key") or request.query.get("key", "")


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _told(body: Any, status: int, headers: dict[str, str] | None = None) -> web.Response:
    data = msgspec.json.encode(body)
    return web.Response(body=data, status=status, content_type="application/json", headers=headers)
