"""Files of OpenAI's and Anthropic's clients, kept on disk. Google's own Files API is `native`'s."""

import asyncio
from asyncio import to_thread
from collections.abc import AsyncIterator
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from aiohttp import web
from msgspec import Meta, Struct

from gateway.conversation.field_policy import FieldPolicies, review
from gateway.conversation.notes import Notes
from gateway.errors import BadRequest, NotFound
from gateway.exchange.context import RequestContext
from gateway.exchange.incoming.uploaded_file import UploadedFile
from gateway.exchange.replies.delivery import answer_headers, json_response
from gateway.exchange.replies.unserved import ERROR_FORMATS, family
from gateway.plugin import Entry, Plugin, Services
from gateway.plugins.files.fields import COMPLETE, FILE, PART, UPLOAD
from gateway.plugins.files.request import (
    ListQuery,
    anthropic_query,
    check_batch,
    check_purpose,
    identifier,
    lifetime,
    mime_type_of,
    new_file,
    no_file,
    openai_query,
)
from gateway.plugins.files.response import (
    anthropic_file,
    anthropic_list,
    byte_range,
    content_headers,
    deleted,
    openai_file,
    openai_list,
)
from gateway.plugins.files.uploads import Uploads
from gateway.plugins.files.wire import decode_file, encode
from gateway.policy.clients.kept_files import FileLimits, Page, StoredFile

if TYPE_CHECKING:
    from gateway.store.files.file_store import FileStore

_FORM = 2**20 + 2**18
"""Bytes of a form besides its file."""
_SWEEP = 600.0
"""Seconds between two looks for files that have expired."""
_PIECE = 256 * 1024
MiB = 2**20


class Files(Plugin):
    """`/v1/files` and `/v1/uploads`."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        """Options of `plugins.files`."""

        path: Annotated[
            str | None,
            Meta(
                description="Folder of the files. Default: `files` below systemd's STATE_DIRECTORY; without one, files "
                "are not kept. A relative path is below STATE_DIRECTORY, or without one beside this file."
            ),
        ] = None
        each: Annotated[int, Meta(ge=1, le=2048, description="Largest file, in MiB; Google takes 2048.")] = (
            512
        )
        total: Annotated[
            int, Meta(ge=1, le=2**22, description="All files of one client, in MiB, with unfinished uploads.")
        ] = 20 * 1024
        count: Annotated[int, Meta(ge=1, le=1_000_000, description="Most files of one client.")] = 10_000
        days: Annotated[
            Annotated[float, Meta(gt=0, le=3650)] | None,
            Meta(description="Days after which a file is deleted; none: when its client asks for it."),
        ] = None

    fields: ClassVar[FieldPolicies] = {
        "POST /v1/files": FILE,
        "POST /v1/uploads": UPLOAD,
        "POST /v1/uploads/{upload_id}/parts": PART,
        "POST /v1/uploads/{upload_id}/complete": COMPLETE,
    }

    def __init__(self, config: Any, services: Services) -> None:
        super().__init__(config, services)
        self._store: FileStore | None = None
        self._uploads = Uploads(self)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/files", self.create),
            web.get("/v1/files", self.list_files),
            web.get("/v1/files/{id}", self.show),
            web.get("/v1/files/{id}/content", self.content),
            web.delete("/v1/files/{id}", self.delete),
            *self._uploads.routes(),
        ]

    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        """Open the store, and delete expired files from time to time."""
        folder = self.services.data_folder(self.config.path, "files")
        if folder is None:
            yield
            return
        limits = FileLimits(self.config.each * MiB, self.config.total * MiB, self.config.count)
        self._store = store = await to_thread(_opened, folder, limits)
        from gateway.exchange.files.file_copies import FileCopies  # as `_opened` does

        exchange = self.services.exchange
        exchange.files = FileCopies(store, exchange, self.services.config.upstream.api_version)
        task = self.services.background(f"{self.name} expiry", self._sweep)
        yield
        task.cancel()
        exchange.files = None
        self._store = None
        await to_thread(store.close)

    @property
    def store(self) -> "FileStore":
        """The store. Raises NotFound where files are not kept."""
        if self._store is None:
            raise NotFound("Files are not kept here: set plugins.files.path.", code="files_not_kept")
        return self._store

    def enter(self, request: web.Request) -> Entry:
        """Admit a request before its body is read. Errors are in the format of its family."""
        errors = request.app[ERROR_FORMATS].get(family(request))
        return self.services.enter(request, "files", errors, reads_body=False)

    async def create(self, request: web.Request) -> web.Response:
        """Store the file of a form."""
        async with self.enter(request) as context:
            store, is_anthropic = self.store, family(request) == "anthropic"
            async with self.services.form(request, ("file",), store.limits.each + _FORM) as form:
                data = form.body()
                if is_anthropic and "purpose" not in data.fields:
                    form.texts.append(("purpose", "user_data"))
                    data = form.body()
                notes = Notes(strict=self.services.strict)
                review(data.fields, FILE, notes)
                fields = data.decode(decode_file)
                if not check_purpose(fields.purpose):
                    notes.add("purpose")
                file = form.file("file")
                await self._check(file, fields.purpose)
                new = new_file(
                    context.client.scope, file.filename, mime_type_of(file.head, file.filename, file.declared),
                    fields.purpose, time(), lifetime(fields.purpose, fields.expires_after, self.config.days),
                )  # fmt: skip
                stored = await to_thread(store.add, new, file.copy_to)
            self.services.count(self.name, "stored")
            context.report.describe(None, None, notes=notes.distinct())
            shown = anthropic_file(stored) if is_anthropic else openai_file(stored)
            return json_response(encode(shown), answer_headers("", notes.distinct()))

    async def list_files(self, request: web.Request) -> web.Response:
        """Answer with a page of the client's files."""
        async with self.enter(request) as context:
            is_anthropic = family(request) == "anthropic"
            query = (anthropic_query if is_anthropic else openai_query)(request.query)
            files, has_more = await to_thread(self._page, context.client.scope, query)
        if is_anthropic and query.oldest_first:
            files.reverse()
        shown = (anthropic_list if is_anthropic else openai_list)(files, has_more=has_more)
        return json_response(encode(shown), {})

    async def show(self, request: web.Request) -> web.Response:
        """Answer with one file."""
        async with self.enter(request) as context:
            file = await self.find(context, request.match_info["id"])
        shown = anthropic_file(file) if family(request) == "anthropic" else openai_file(file)
        return json_response(encode(shown), {})

    async def content(self, request: web.Request) -> web.StreamResponse:
        """Answer with a file's bytes."""
        async with self.enter(request) as context:
            file = await self.find(context, request.match_info["id"])
            if family(request) == "anthropic":
                raise BadRequest(
                    "This file is not downloadable: only files that a tool has made are.",
                    code="not_downloadable",
                )
            return await self._send(request, file)

    async def _send(self, request: web.Request, file: StoredFile) -> web.StreamResponse:
        """Write a file's bytes, or the range of them that is asked for (RFC 9110, section 14)."""
        headers = content_headers(file)
        start, end = byte_range(request.headers.get("Range", ""), file.size)
        is_part = end - start < file.size
        if is_part:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
        response = web.StreamResponse(status=206 if is_part else 200, headers=headers)
        response.content_length = end - start
        with await to_thread(self.store.path(file.id).open, "rb") as source:
            await response.prepare(request)
            await to_thread(source.seek, start)
            while data := await to_thread(source.read, min(_PIECE, end - start)):
                start += len(data)
                await response.write(data)
        await response.write_eof()
        return response

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a file, and its copies at Google."""
        name = request.match_info["id"]
        async with self.enter(request) as context:
            file = await self.find(context, name)
            copies = await to_thread(self.store.delete, file)
            self.services.count(self.name, "deleted")
            if copies and self.services.exchange.files is not None:
                work = self.services.exchange.files.delete(copies, context)
                self.services.spawn(work, f"{self.name} deletion of copies", context.client)
        return json_response(encode(deleted(name, anthropic=family(request) == "anthropic")), {})

    async def find(self, context: RequestContext, name: str) -> StoredFile:
        """Return a client's file. Raises NotFound."""
        store, key = self.store, identifier(name)
        files = await to_thread(store.find, context.client.scope, [key], time())
        if key not in files:
            raise no_file(name)
        return files[key]

    async def _check(self, file: UploadedFile, purpose: str) -> None:
        if not file.size:
            raise BadRequest("The file is empty.", param="file", code="empty_file")
        if purpose == "batch":
            async for piece in file.pieces():
                check_batch(piece)
                break

    def _page(self, scope: str, query: ListQuery) -> tuple[list[StoredFile], bool]:
        store, now, beyond = self.store, time(), None
        if query.after:
            key = identifier(query.after)
            files = store.find(scope, [key], now)
            if key not in files:
                raise no_file(query.after)
            beyond = files[key].number
        page = Page(query.limit + 1, beyond, query.oldest_first, query.purpose)
        files_of_page = store.database.page(scope, page, now)
        return files_of_page[: query.limit], len(files_of_page) > query.limit

    async def _sweep(self) -> None:
        while True:
            for _ in range(await to_thread(self.store.sweep, time())):
                self.services.count(self.name, "expired")
            await asyncio.sleep(_SWEEP)


def _opened(folder: Path, limits: FileLimits) -> "FileStore":
    """Open the store. Raises RuntimeError for a folder that cannot be used."""
    import sqlite3  # with its library 2 MB of memory, which a gateway without files does not need

    from gateway.store.files.file_store import FileStore

    try:
        return FileStore(folder, limits)
    except (OSError, sqlite3.Error, ValueError) as error:
        raise RuntimeError(f"the folder {folder} (`path`) cannot be used: {error}") from None
