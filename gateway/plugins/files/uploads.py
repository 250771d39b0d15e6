"""OpenAI's uploads: a file that is sent in parts."""

import secrets
from asyncio import to_thread
from time import time
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

from gateway.conversation.field_policy import review
from gateway.conversation.notes import Notes
from gateway.errors import TooLarge
from gateway.exchange.incoming.multipart import clean_filename
from gateway.exchange.incoming.request_body import read_body
from gateway.exchange.replies.delivery import json_response
from gateway.plugin import Entry, Services
from gateway.plugins.files.fields import COMPLETE, UPLOAD
from gateway.plugins.files.request import check_batch, check_purpose, lifetime, mime_type_of, new_file
from gateway.plugins.files.response import part_object, upload_object
from gateway.plugins.files.wire import Completion, decode_completion, decode_upload, encode
from gateway.policy.clients.kept_files import StoredFile, Upload, ended

if TYPE_CHECKING:
    from gateway.store.files.file_store import FileStore

_LIFE = 3600
"""Seconds in which an upload must be completed (https://platform.openai.com/docs/api-reference/uploads/create)."""
_PART = 64 * 2**20
"""The largest part, in bytes."""
_FORM = 2**18
_HEAD = 2**20


class FileKeeper(Protocol):
    """The plugin."""

    name: str
    services: Services
    config: Any

    @property
    def store(self) -> "FileStore": ...
    def enter(self, request: web.Request) -> Entry: ...


class Uploads:
    """`/v1/uploads`, a part of the plugin."""

    def __init__(self, files: FileKeeper) -> None:
        self._files = files

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/v1/uploads", self.begin),
            web.get("/v1/uploads/{id}", self.show),
            web.post("/v1/uploads/{id}/parts", self.add_part),
            web.post("/v1/uploads/{id}/complete", self.complete),
            web.post("/v1/uploads/{id}/cancel", self.cancel),
        ]

    async def begin(self, request: web.Request) -> web.Response:
        """Begin an upload."""
        async with self._files.enter(request) as context:
            store = self._files.store
            data = await read_body(request)
            notes = Notes(strict=self._files.services.strict)
            review(data.fields, UPLOAD, notes)
            body = data.decode(decode_upload)
            if not check_purpose(body.purpose):
                notes.add("purpose")
            now = int(time())
            life = lifetime(body.purpose, body.expires_after, self._files.config.days)
            upload = Upload(
                f"upload_{secrets.token_hex(12)}", context.client.scope, body.bytes, clean_filename(body.filename),
                body.mime_type, body.purpose, now, now + _LIFE, "pending", life, None,
            )  # fmt: skip
            await to_thread(store.begin, upload)
            context.report.describe(None, None, notes=notes.distinct())
        return json_response(encode(upload_object(upload)), {})

    async def show(self, request: web.Request) -> web.Response:
        """Answer with an upload, and with its file for a client that has missed the answer to its completion."""
        async with self._files.enter(request) as context:
            store, scope = self._files.store, context.client.scope
            upload = await to_thread(store.upload, scope, request.match_info["id"], time())
            files = await to_thread(store.find, scope, [upload.file], time()) if upload.file else {}
        return json_response(encode(upload_object(upload, files.get(upload.file or ""))), {})

    async def add_part(self, request: web.Request) -> web.Response:
        """Store one part."""
        async with self._files.enter(request) as context:
            store, now = self._files.store, time()
            upload = await to_thread(store.upload, context.client.scope, request.match_info["id"], now)
            if upload.status != "pending":
                raise ended(upload.status)
            async with self._files.services.form(request, ("data",), _PART + _FORM) as form:
                file = form.file("data")
                if file.size > _PART:
                    raise TooLarge(f"The part is larger than {_PART} bytes.")
                part = await to_thread(store.add_part, upload, file.copy_to, now)
        return json_response(encode(part_object(upload.id, f"part_{part}", int(now))), {})

    async def complete(self, request: web.Request) -> web.Response:
        """Join the parts to a file."""
        async with self._files.enter(request) as context:
            store = self._files.store
            data = await read_body(request)
            review(data.fields, COMPLETE, Notes(strict=self._files.services.strict))
            body = data.decode(decode_completion)
            upload = await to_thread(store.upload, context.client.scope, request.match_info["id"], time())
            if upload.status != "pending":
                raise ended(upload.status)
            file = await to_thread(_join, store, upload, body)
            upload = await to_thread(store.upload, context.client.scope, upload.id, time())
            self._files.services.count(self._files.name, "stored")
        return json_response(encode(upload_object(upload, file)), {})

    async def cancel(self, request: web.Request) -> web.Response:
        """End an upload; its parts are deleted."""
        async with self._files.enter(request) as context:
            store = self._files.store
            upload = await to_thread(store.upload, context.client.scope, request.match_info["id"], time())
            await to_thread(store.cancel, upload)
            upload = await to_thread(store.upload, context.client.scope, upload.id, time())
        return json_response(encode(upload_object(upload)), {})


def _join(store: "FileStore", upload: Upload, body: Completion) -> StoredFile:
    parts = [part.removeprefix("part_") for part in body.part_ids]
    head = b""
    if parts[0] in store.database.parts(upload.id):
        with store.path(parts[0]).open("rb") as file:
            head = file.read(_HEAD)
        if upload.purpose == "batch":
            check_batch(head)
    mime_type = mime_type_of(head[:1024], upload.filename, upload.mime_type or None)
    new = new_file(upload.scope, upload.filename, mime_type, upload.purpose, time(), upload.lifetime)
    return store.complete(upload, parts, new, body.md5)
