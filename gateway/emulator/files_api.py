"""Files in memory, those of each key apart, as Google keeps those of each project (https://ai.google.dev/api/files).

A prompt may name files that the emulator does not have; a file of another key is refused. Only generated files can be
downloaded (google-genai, `files.download`): results of batches, videos, and `files/generated`, which always exists.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from aiohttp import web

from gateway.emulator.errors import Refusal, RefusedError, key_refusal
from gateway.emulator.objects import Fields, Objects
from gateway.emulator.rest import VERSION, decoded, key_of, page, refused, reply

_HOST = "https://generativelanguage.googleapis.com"
_FILES_API = f"{_HOST}/v1beta/"
_GENERATED = "files/generated"
_CONTENT = b"generated"
_NOT_GENERATED = Refusal(400, "INVALID_ARGUMENT", "Only generated files can be downloaded.")
_URI = re.compile(r"(?:https?://[^/]+/v1(?:beta|alpha)?/)?(files/[\w-]+)")
_NAME = re.compile(r"files/[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
"""https://ai.google.dev/api/files#File: up to 40 letters, digits and dashes, without one at either end."""
_KEPT = 4 * 1024 * 1024
"""The longest content in bytes that is kept; of a longer file only its size is."""
_LINES, _KEPT_LINES = ("application/jsonl", "application/json-lines", "text/plain"), 256 * 1024 * 1024
"""Types of files with the requests of a batch, and the longest that is kept."""
_PAST, _FUTURE = "2026-01-01T00:00:00Z", "2100-01-01T00:00:00Z"
_CONTENT_FIELD = " content"
"""Key of a file's bytes beside its fields; no field of Google's has a blank."""
_LOOKS_FIELD = " looks"
"""Key of how often a file that is processed must be looked at until it can be used."""
_LOOKS = 2
_BROKEN = "broken"
"""A video with this word in its `displayName` fails to be processed."""


class FilesApi:
    """The methods of files. `objects` holds files, and all other objects that a prompt may name."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def routes(self) -> list[web.RouteDef]:
        name = VERSION + "/files/{id}"
        return [
            web.post("/upload" + VERSION + "/files", self.upload),
            web.post(VERSION + "/files", self.create),
            web.get(VERSION + "/files", self.list_files),
            web.get(name + ":download", self.download),
            web.get("/download" + name + ":download", self.download),
            web.get(name, self.file),
            web.delete(name, self.file),
        ]

    def refusal(self, request: web.Request, body: Any) -> Refusal | None:
        """Return the refusal of a body that names another key's file or cached content, or a file not yet processed."""
        for name in _names_in(body):
            owner = self._objects.owner(name)
            if owner not in (None, key_of(request)):
                return not_found(name)
            fields = self._objects.get(owner or "", name) or {}
            if fields.get("state", "ACTIVE") != "ACTIVE":
                return _not_active(name)
        return None

    def generate(self, owner: str, name: str, mime_type: str, data: bytes) -> None:
        """Store a file that the API itself has made, which can be downloaded."""
        self._add(owner, name, {"mimeType": mime_type, "source": "GENERATED"}, data)

    def content(self, owner: str, name: str) -> bytes:
        """Return the bytes of a file of this owner. Raises RefusedError if there is none, or it was not kept."""
        fields = self._objects.get(owner, name)
        if fields is None or _CONTENT_FIELD not in fields:
            raise RefusedError.of(not_found(name))
        data: bytes = fields[_CONTENT_FIELD]
        return data

    async def upload(self, request: web.Request) -> web.Response:
        """Answer a resumable upload: a start, then pieces with its `upload_id`, which need no key."""
        number, command = request.query.get("upload_id"), request.headers.get("X-Goog-Upload-Command", "")
        refusal = key_refusal(request) if number is None or key_of(request) else None
        if refusal is not None:
            return refused(refusal)
        size, data = await _received(request, self._most(number))
        if number is None:
            if command != "start":
                return self._created(key_of(request), {}, data, {}, size=size)
            kind = request.headers.get(
                "X-Goog-Upload-Header-Content-Type"
            )  # curl's examples give it only here
            return self._begin(request, ({"mimeType": kind} if kind else {}) | _file_fields(decoded(data)))
        owner = self._objects.owner(f"upload/{number}")
        state = self._objects.get(owner or "", f"upload/{number}")
        if owner is None or state is None or key_of(request) not in ("", owner):
            return reply(not_found("upload").body(), 404)
        state["size"] += size
        state["data"] += data[: self._most(number) + 1 - len(state["data"])]
        if "finalize" not in command:
            return reply({}, headers={"X-Goog-Upload-Status": "active"})
        self._objects.remove(f"upload/{number}")
        headers = {"X-Goog-Upload-Status": "final"}
        return self._created(owner, state["file"], state["data"], headers, size=state["size"])

    async def create(self, request: web.Request) -> web.Response:
        """Create a file without content."""
        if (refusal := key_refusal(request)) is not None:
            return refused(refusal)
        return self._created(key_of(request), _file_fields(decoded(await request.read())), b"", {})

    async def list_files(self, request: web.Request) -> web.Response:
        """List a key's files."""
        if (refusal := key_refusal(request)) is not None:
            return refused(refusal)
        files = [_shown(fields) for fields in self._objects.of(key_of(request), "files/")]
        try:
            return reply(page(request, files, "files", 10))
        except RefusedError as error:
            return refused(error.refusal)

    async def file(self, request: web.Request) -> web.Response:
        """Answer GET and DELETE."""
        name = f"files/{request.match_info['id']}"
        if (refusal := key_refusal(request)) is not None:
            return refused(refusal)
        fields = self._objects.get(key_of(request), name)
        if fields is None:
            return refused(not_found(name))
        if request.method == "DELETE":
            self._objects.remove(name)
            return reply({})
        if fields["state"] == "PROCESSING":
            fields[_LOOKS_FIELD] -= 1
            if fields[_LOOKS_FIELD] < 0:
                fields["state"] = "FAILED" if _BROKEN in fields.get("displayName", "") else "ACTIVE"
        return reply(_shown(fields))

    async def download(self, request: web.Request) -> web.Response:
        """Answer a download as Google does: a redirect to `/download/…`, which has the bytes (recorded traffic)."""
        name = f"files/{request.match_info['id']}"
        refusal, fields = key_refusal(request), self._objects.get(key_of(request), name)
        if refusal is None and name != _GENERATED:
            if fields is None:
                refusal = not_found(name)
            elif fields.get("source") != "GENERATED":
                refusal = _NOT_GENERATED
        if refusal is not None:
            return refused(refusal)
        if not request.path.startswith("/download/"):
            location = f"{_HOST}/download{request.rel_url.raw_path_qs}"
            return web.Response(status=302, headers={"Location": location})
        if fields is None:
            return web.Response(body=_CONTENT, content_type="video/mp4")
        return web.Response(body=fields[_CONTENT_FIELD], content_type=fields["mimeType"])

    def _most(self, number: str | None) -> int:
        """Return how many bytes of an upload are kept."""
        owner = self._objects.owner(f"upload/{number}")
        state = self._objects.get(owner or "", f"upload/{number}") or {"file": {}}
        return _KEPT_LINES if state["file"].get("mimeType") in _LINES else _KEPT

    def _begin(self, request: web.Request, fields: Fields) -> web.Response:
        number = uuid4().hex
        wanted = fields.get("name")
        if wanted is not None and not _NAME.fullmatch(wanted):
            return refused(Refusal(400, "INVALID_ARGUMENT", f"* CreateFileRequest.file.name: {wanted}"))
        state = {"file": fields, "size": 0, "data": b""}
        self._objects.add(key_of(request), f"upload/{number}", state)
        url = request.url.with_query(upload_id=number, upload_protocol="resumable")
        return reply({}, headers={"X-Goog-Upload-URL": str(url), "X-Goog-Upload-Status": "active"})

    def _created(
        self, owner: str, fields: Fields, data: bytes, headers: dict[str, str], *, size: int | None = None
    ) -> web.Response:
        name = fields.get("name") or f"files/{uuid4().hex[:12]}"
        stored = self._add(owner, name, {"source": "UPLOADED", **fields}, data, size)
        return reply({"file": _shown(stored)}, headers=headers)

    def _add(self, owner: str, name: str, fields: Fields, data: bytes, size: int | None = None) -> Fields:
        digest = b64encode(hashlib.sha256(data).hexdigest().encode()).decode()
        stored: Fields = {
            "mimeType": "application/octet-stream", **fields, "name": name,
            "sizeBytes": str(len(data) if size is None else size), "createTime": _PAST, "updateTime": _PAST,
            "expirationTime": _FUTURE, "sha256Hash": digest, "uri": _FILES_API + name, "state": "ACTIVE",
        }  # fmt: skip
        if fields.get("source") == "GENERATED":
            stored["downloadUri"] = f"{_FILES_API}{name}:download?alt=media"
        if stored["mimeType"].startswith("video/") and stored.get("source") == "UPLOADED":
            stored |= {"state": "PROCESSING", _LOOKS_FIELD: _LOOKS}
        if len(data) <= (_KEPT_LINES if stored["mimeType"] in _LINES else _KEPT):
            stored[_CONTENT_FIELD] = data
        self._objects.add(owner, name, stored)
        return stored


def not_found(name: str) -> Refusal:
    """Return the refusal of a file or cached content that does not exist, or is another key's."""
    if name.startswith("cachedContents/"):
        return Refusal(403, "PERMISSION_DENIED", "CachedContent not found (or permission denied)")
    message = f"You do not have permission to access the File {name.partition('/')[2]} or it may not exist."
    return Refusal(403, "PERMISSION_DENIED", message)


async def _received(request: web.Request, most: int) -> tuple[int, bytes]:
    """Return the size of a body, which Google takes up to 2 GB of, and as much of it as is kept."""
    size, data = 0, bytearray()
    async for piece in request.content.iter_any():
        size += len(piece)
        data += piece[: most + 1 - len(data)]
    return size, bytes(data)


def _not_active(name: str) -> Refusal:
    """Return the refusal of a file that is processed, or failed (https://github.com/expectedparrot/edsl/issues/1907)."""
    message = f"The File {name.partition('/')[2]} is not in an ACTIVE state and usage is not allowed."
    return Refusal(400, "FAILED_PRECONDITION", message)


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


def _file_fields(body: Fields) -> Fields:
    """Return the fields that a client sets on a file; SDKs write them in snake_case."""
    file = body.get("file") or {}
    names = {"mime_type": "mimeType", "mimeType": "mimeType", "display_name": "displayName",
             "displayName": "displayName", "name": "name"}  # fmt: skip
    return {names[field]: value for field, value in file.items() if field in names}


def _shown(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if name not in (_CONTENT_FIELD, _LOOKS_FIELD)}
