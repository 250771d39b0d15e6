"""Copies of kept files at Google: made where a call needs them, once for each project, and again before they expire.

Google keeps a file for 48 hours and in one project (https://ai.google.dev/gemini-api/docs/files).
"""

import asyncio
from asyncio import to_thread
from collections.abc import AsyncIterator, Mapping, Sequence
from time import time
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from msgspec import structs

from gateway.conversation.parts import KEPT
from gateway.errors import BadRequest, GatewayError
from gateway.exchange.calls.accounting import Target
from gateway.exchange.context import RequestContext
from gateway.exchange.exchange import Exchange
from gateway.exchange.files.google_files import GoogleFiles, Source, in_files
from gateway.exchange.files.local_files import not_kept
from gateway.exchange.offload import offload
from gateway.exchange.side_by_side import side_by_side
from gateway.gemini.call import GeminiCall
from gateway.gemini.wire import Content, FileData, GenerateContentRequest, Part
from gateway.policy.clients.kept_files import FileCopy, StoredFile

if TYPE_CHECKING:
    from gateway.store.files.file_store import FileStore

_RENEWED = 2 * 3600
"""Seconds before its end from which on a copy is not used any more."""
_PIECE = 256 * 1024
_TYPES = ("text/", "image/", "audio/", "video/")
_MORE_TYPES = ("application/pdf", "application/json", "application/xml", "application/rtf", "application/x-javascript",
               "application/javascript", "application/x-python", "application/x-ipynb+json", "application/typescript",
               "application/jsonl", "application/x-ndjson")  # fmt: skip
"""Types that Gemini reads, besides texts, pictures, sound and video."""


class FileCopies:
    """Copies of the files in a store."""

    def __init__(self, store: "FileStore", exchange: Exchange, version: str) -> None:
        """`version` is that of Google's API."""
        self._store = store
        self._exchange = exchange
        self._google = GoogleFiles(exchange, version)
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        """One upload at a time for a file and a project."""

    async def named(self, addresses: Mapping[str, str], scope: str) -> Mapping[str, FileData]:
        """Return files by address. Raises BadRequest for one that is not this client's, naming its path."""
        ids = {url.removeprefix(KEPT): url for url in addresses}
        files = await to_thread(self._store.find, scope, list(ids), time())
        for identifier, url in ids.items():
            if identifier not in files:
                raise not_kept(addresses[url])
            mime_type = files[identifier].mime_type
            if not mime_type.startswith(_TYPES) and mime_type not in _MORE_TYPES:
                raise BadRequest(
                    f"Gemini does not read files of the type {mime_type[:100]}.",
                    param=addresses[url],
                    code="unsupported_file",
                )
        return {url: FileData(url, files[identifier].mime_type) for identifier, url in ids.items()}

    async def localized(self, call: GeminiCall, context: RequestContext, project: str) -> GeminiCall:
        """Return the call with the copies of its files in a project; missing ones are made. Raises GatewayError."""
        files = await to_thread(self._store.find, context.client.scope, call.files, time())
        if missing := [identifier for identifier in call.files if identifier not in files]:
            raise not_kept(KEPT + missing[0])
        copies = await side_by_side([self._copy(files[key], context, project) for key in call.files])
        uris = {KEPT + key: copy.uri for key, copy in zip(call.files, copies, strict=True)}
        local = call.with_request(_replaced(call.request, uris))
        await offload(call.heavy, local.encode)
        return local

    async def placed(self, call: GeminiCall, context: RequestContext) -> GeminiCall:
        """Return the same for a call outside an attempt, bound to a project that has the copies then."""
        target = Target(
            call.model, project=call.project, affinity=b"".join(key.encode() for key in call.files)
        )
        async with self._exchange.attempt(in_files(context), target) as attempt:
            project = attempt.project
        return structs.replace(await self.localized(call, context, project), project=project)

    async def forgotten(self, error: GatewayError, call: GeminiCall, context: RequestContext) -> bool:
        """Forget the copies after a 403 or 404, Google's answers for a file that is gone. Return whether it was one."""
        if error.upstream_status not in (403, 404):
            return False
        await to_thread(self._store.forget_copies, call.files, context.report.project or "")
        return True

    async def delete(self, copies: Sequence[FileCopy], context: RequestContext) -> None:
        """Delete copies. A failure is logged."""
        for copy in copies:
            await self._google.delete(copy, context)

    async def _copy(self, file: StoredFile, context: RequestContext, project: str) -> FileCopy:
        """Return a copy that can be used, for at least two hours."""
        lock = self._locks.setdefault((file.id, project), asyncio.Lock())
        async with lock:
            copy = await to_thread(self._store.copy, file.id, project)
            if copy is None or copy.expires < time() + _RENEWED:
                source = Source(file.filename, file.mime_type, file.size, self._pieces(file))
                copy = await self._google.upload(context, project, source)
                await to_thread(self._store.keep_copy, file.id, copy)
            if not copy.active:
                await self._process(copy, file, context)
                copy = structs.replace(copy, active=True)
                await to_thread(self._store.keep_copy, file.id, copy)
            return copy

    async def _process(self, copy: FileCopy, file: StoredFile, context: RequestContext) -> None:
        try:
            await self._google.processed(copy, file.filename, context)
        except BadRequest:
            await to_thread(self._store.forget_copies, [file.id], copy.project)
            raise

    async def _pieces(self, file: StoredFile) -> AsyncIterator[bytes]:
        with await to_thread(self._store.path(file.id).open, "rb") as source:
            while data := await to_thread(source.read, _PIECE):
                yield data


def _replaced(request: GenerateContentRequest, uris: Mapping[str, str]) -> GenerateContentRequest:
    """Return the request with Google's addresses in place of the gateway's."""
    contents = [structs.replace(content, parts=_parts(content, uris)) for content in request.contents]
    instruction = request.system_instruction
    if instruction is not None:
        instruction = structs.replace(instruction, parts=_parts(instruction, uris))
    return structs.replace(request, contents=contents, system_instruction=instruction)


def _parts(content: Content, uris: Mapping[str, str]) -> list[Part]:
    return [_part(part, uris) for part in content.parts or ()]


def _part(part: Part, uris: Mapping[str, str]) -> Part:
    if part.file_data is not None:
        return structs.replace(part, file_data=_file_data(part.file_data, uris))
    response = part.function_response
    if response is None or not response.parts:
        return part
    inner = [
        structs.replace(each, file_data=_file_data(each.file_data, uris))
        if each.file_data is not None
        else each
        for each in response.parts
    ]
    return structs.replace(part, function_response=structs.replace(response, parts=inner))


def _file_data(data: FileData, uris: Mapping[str, str]) -> FileData:
    return structs.replace(data, file_uri=uris.get(data.file_uri, data.file_uri))
