"""Files and cached contents in memory, those of each key apart, as Google keeps those of each project.

Only the size of a file is kept. A prompt may name files that the emulator does not have; a file of another key is
refused. See https://ai.google.dev/api/files and https://ai.google.dev/api/caching.
"""

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import msgspec
from aiohttp import web

from gateway.emulator.errors import Refusal, RefusedError, key_refusal
from gateway.emulator.messages import decode

_HOST = "https://generativelanguage.googleapis.com"
_FILES_API = f"{_HOST}/v1beta/"
_GENERATED = "files/generated"
_CONTENT = b"generated"
_NOT_GENERATED = Refusal(400, "INVALID_ARGUMENT", "Only generated files can be downloaded.")
_URI = re.compile(r"(?:https?://[^/]+/v1(?:beta|alpha)?/)?(files/[\w-]+)")
_MOST_OBJECTS = 1000
_PAST, _FUTURE = "2026-01-01T00:00:00Z", "2100-01-01T00:00:00Z"
_PATCHED = ("ttl", "expireTime")


class FilesApi:
    """Objects by name, each with its owner's key. Beyond 1000 the oldest is dropped."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[str, dict[str, Any]]] = {}

    def routes(self) -> list[web.RouteDef]:
        version, kind = "/{version:v1(?:beta|alpha)?}", "/{kind:files|cachedContents}"
        return [
            web.post("/upload" + version + "/files", self.upload),
            web.post(version + kind, self.create),
            web.get(version + kind, self.list_objects),
            web.get(version + "/files/{id}:download", self.download),
            web.get("/download" + version + "/files/{id}:download", self.download),
            web.route("*", version + kind + "/{id}", self.object),
        ]

    def refusal(self, request: web.Request, body: Any) -> Refusal | None:
        """Return the refusal of a body that names another key's object."""
        for name in _names_in(body):
            if name in self._objects and self._objects[name][0] != _key(request):
                return _not_found(name)
        return None

    async def upload(self, request: web.Request) -> web.Response:
        """Answer a resumable upload: a start, then pieces with its `upload_id`, which need no key."""
        number, command = request.query.get("upload_id"), request.headers.get("X-Goog-Upload-Command", "")
        refusal = key_refusal(request) if number is None or _key(request) else None
        if refusal is not None:
            return _reply(refusal.body(), refusal.code)
        data = await request.read()
        if number is None:
            if command != "start":
                return self._add(_key(request), "files", {"sizeBytes": str(len(data))})
            url = request.url.with_query(upload_id=self._begin(request, data), upload_protocol="resumable")
            return _reply({}, 200, {"X-Goog-Upload-URL": str(url), "X-Goog-Upload-Status": "active"})
        owner, state = self._objects.get(f"upload/{number}", ("", {}))
        if not owner or _key(request) not in ("", owner):
            return _reply(_not_found("upload").body(), 404)
        state["size"] += len(data)
        if "finalize" not in command:
            return _reply({}, 200, {"X-Goog-Upload-Status": "active"})
        fields = {**state["file"], "sizeBytes": str(state["size"])}
        return self._add(owner, "files", fields, {"X-Goog-Upload-Status": "final"})

    async def create(self, request: web.Request) -> web.Response:
        """Create a file without content, or a cache."""
        if (refusal := key_refusal(request)) is not None:
            return _reply(refusal.body(), refusal.code)
        body = _decoded(await request.read())
        if request.match_info["kind"] == "files":
            return self._add(_key(request), "files", _file_fields(body))
        if (refusal := self.refusal(request, body)) is not None:
            return _reply(refusal.body(), refusal.code)
        try:
            cached = decode(body, "CachedContent")
        except RefusedError as refused:
            return _reply(refused.refusal.body(), refused.refusal.code)
        shown = {k: v for k, v in cached.items() if k in ("model", "displayName", *_PATCHED)}
        tokens = {"totalTokenCount": -(-len(msgspec.json.encode(body)) // 4)}
        return self._add(_key(request), "cachedContents", {**shown, "usageMetadata": tokens})

    async def list_objects(self, request: web.Request) -> web.Response:
        """List a key's objects."""
        kind = request.match_info["kind"]
        own = [
            fields
            for name, (owner, fields) in self._objects.items()
            if name.startswith(kind) and owner == _key(request)
        ]
        return _reply({kind: own} if own else {}, 200)

    async def object(self, request: web.Request) -> web.Response:
        """Answer GET, PATCH and DELETE."""
        name = f"{request.match_info['kind']}/{request.match_info['id']}"
        owner, fields = self._objects.get(name, ("", {}))
        if owner != _key(request):
            refusal = _not_found(name)
            return _reply(refusal.body(), refusal.code)
        if request.method == "PATCH":
            fields.update({k: v for k, v in _decoded(await request.read()).items() if k in _PATCHED})
        if request.method == "DELETE":
            del self._objects[name]
            fields = {}
        return _reply(fields, 200)

    async def download(self, request: web.Request) -> web.Response:
        """Answer a download as Google does: a redirect to `/download/…`, which has the bytes (recorded traffic).

        Only generated files can be downloaded (google-genai, `files.download`). The file `generated` always exists.
        """
        name = f"files/{request.match_info['id']}"
        refusal = key_refusal(request)
        if refusal is None and name != _GENERATED:
            owner, _ = self._objects.get(name, ("", {}))
            missing = _not_found(name)
            refusal = _NOT_GENERATED if owner == _key(request) else missing
        if refusal is not None:
            return _reply(refusal.body(), refusal.code)
        if not request.path.startswith("/download/"):
            location = f"{_HOST}/download{request.rel_url.raw_path_qs}"
            return web.Response(status=302, headers={"Location": location})
        return web.Response(body=_CONTENT, content_type="video/mp4")

    def _begin(self, request: web.Request, data: bytes) -> str:
        number = uuid4().hex
        self._store(_key(request), f"upload/{number}", {"file": _file_fields(_decoded(data)), "size": 0})
        return number

    def _add(
        self, owner: str, kind: str, fields: dict[str, Any], headers: dict[str, str] | None = None
    ) -> web.Response:
        name = f"{kind}/{uuid4().hex[:12]}"
        stored = {**fields, "name": name, "createTime": _PAST, "expirationTime": _FUTURE}
        if kind == "files":
            stored |= {"uri": _FILES_API + name, "state": "ACTIVE"}
            stored.setdefault("mimeType", "application/octet-stream")
        self._store(owner, name, stored)
        return _reply({"file": stored} if kind == "files" else stored, 200, headers)

    def _store(self, owner: str, name: str, fields: dict[str, Any]) -> None:
        while len(self._objects) >= _MOST_OBJECTS:
            del self._objects[next(iter(self._objects))]
        self._objects[name] = owner, fields


def _names_in(body: Any) -> Iterator[str]:
    """Yield the names of files and caches at any depth of a body."""
    if isinstance(body, list):
        for item in body:
            yield from _names_in(item)
    elif isinstance(body, dict):
        for field, value in body.items():
            if isinstance(value, str) and field in ("fileUri", "file_uri"):
                if match := _URI.fullmatch(value):
                    yield match[1]
            elif isinstance(value, str) and field in ("cachedContent", "cached_content"):
                yield value
            else:
                yield from _names_in(value)


def _not_found(name: str) -> Refusal:
    if name.startswith("cachedContents/"):
        return Refusal(403, "PERMISSION_DENIED", "CachedContent not found (or permission denied)")
    message = f"You do not have permission to access the File {name.partition('/')[2]} or it may not exist."
    return Refusal(403, "PERMISSION_DENIED", message)


def _file_fields(body: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that a client sets on a file; SDKs write them in snake_case."""
    file = body.get("file") or {}
    names = {"mime_type": "mimeType", "mimeType": "mimeType", "display_name": "displayName",
             "displayName": "displayName"}  # fmt: skip
    return {names[field]: value for field, value in file.items() if field in names}


def _key(request: web.Request) -> str:
    return request.headers.get("x-goog-api-key") or request.query.get("key", "")


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return body if isinstance(body, dict) else {}


def _reply(body: Any, status: int, headers: dict[str, str] | None = None) -> web.Response:
    data = msgspec.json.encode(body)
    return web.Response(body=data, status=status, content_type="application/json", headers=headers)
