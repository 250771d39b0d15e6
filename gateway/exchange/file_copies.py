"""Copies of kept files at Google: made where a call needs them, once for each project, and again before they expire.

Google keeps a file for 48 hours and in one project (https://ai.google.dev/gemini-api/docs/files).
"""

import asyncio
import logging
from asyncio import to_thread
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from time import time
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import msgspec
from msgspec import Struct, structs
from yarl import URL

from gateway.conversation.parts import KEPT
from gateway.errors import BadRequest, GatewayError, UpstreamError
from gateway.exchange.accounting import Target
from gateway.exchange.attempt import Attempt
from gateway.exchange.context import RequestContext
from gateway.exchange.exchange import Exchange
from gateway.exchange.local_files import not_kept
from gateway.exchange.offload import offload
from gateway.exchange.report import ExchangeReport
from gateway.exchange.side_by_side import side_by_side
from gateway.gemini.call import GeminiCall
from gateway.gemini.errors import from_response
from gateway.gemini.wire import Content, FileData, GenerateContentRequest, Part
from gateway.policy.kept_files import FileCopy, StoredFile

if TYPE_CHECKING:
    from gateway.store.files.file_store import FileStore

_LIFE = 48 * 3600
"""Seconds for which Google keeps a file."""
_RENEWED = 2 * 3600
"""Seconds before its end from which on a copy is not used any more."""
_PIECE = 256 * 1024
_POLLS = (1.0, 2.0, *[4.0] * 15)
"""Seconds between looks at a file that Google processes."""
_TYPES = ("text/", "image/", "audio/", "video/")
_MORE_TYPES = ("application/pdf", "application/json", "application/xml", "application/rtf", "application/x-javascript",
               "application/javascript", "application/x-python", "application/x-ipynb+json", "application/typescript",
               "application/jsonl", "application/x-ndjson")  # fmt: skip
"""Types that Gemini reads, besides texts, pictures, sound and video."""
_log = logging.getLogger("gateway.files")


class _GoogleFile(Struct, rename="camel"):
    name: str
    uri: str
    state: str = "ACTIVE"
    expiration_time: str = ""


class _Created(Struct):
    file: _GoogleFile


_decode_created = msgspec.json.Decoder(_Created).decode
_decode_file = msgspec.json.Decoder(_GoogleFile).decode


class FileCopies:
    """Copies of the files in a store."""

    def __init__(self, store: "FileStore", exchange: Exchange, version: str) -> None:
        """`version` is that of Google's API."""
        self._store = store
        self._exchange = exchange
        self._version = version
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
        async with self._exchange.attempt(_in_files(context), target) as attempt:
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
            try:
                async with self._attempt(context, copy.project) as attempt:
                    await self._google(attempt, "DELETE", f"/{self._version}/{copy.name}", {}, None)
            except GatewayError as error:
                _log.warning(
                    "the copy of a deleted file stays at Google for up to 48 hours: %s", error.message
                )

    async def _copy(self, file: StoredFile, context: RequestContext, project: str) -> FileCopy:
        """Return a copy that can be used, for at least two hours."""
        lock = self._locks.setdefault((file.id, project), asyncio.Lock())
        async with lock:
            copy = await to_thread(self._store.copy, file.id, project)
            if copy is None or copy.expires < time() + _RENEWED:
                copy = await self._upload(file, context, project)
                await to_thread(self._store.keep_copy, file.id, copy)
            if not copy.active:
                await self._processed(copy, file, context)
                copy = structs.replace(copy, active=True)
                await to_thread(self._store.keep_copy, file.id, copy)
            return copy

    async def _upload(self, file: StoredFile, context: RequestContext, project: str) -> FileCopy:
        """Upload a file by Google's resumable protocol (https://ai.google.dev/gemini-api/docs/files)."""
        began = time()
        headers = {
            "X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(file.size),
            "X-Goog-Upload-Header-Content-Type": file.mime_type, "Content-Type": "application/json",
        }  # fmt: skip
        about = msgspec.json.encode({"file": {"displayName": file.filename}})
        async with self._attempt(context, project) as attempt:
            _, answer = await self._google(attempt, "POST", f"/upload/{self._version}/files", headers, about)
            where = URL(answer.get("X-Goog-Upload-URL", ""))
            if not where.raw_path.startswith("/upload/"):
                raise UpstreamError("Google named no address for an upload.", code="upstream_bad_response")
            headers = {
                "X-Goog-Upload-Command": "upload, finalize", "X-Goog-Upload-Offset": "0",
                "Content-Length": str(file.size), "Content-Type": "application/octet-stream",
            }  # fmt: skip
            body, _ = await self._google(attempt, "POST", where.raw_path_qs, headers, self._pieces(file))
        created = _read(_decode_created, body).file
        ends = min(began + _LIFE, _seconds(created.expiration_time) or began + _LIFE)
        return FileCopy(project, created.name, created.uri, ends, created.state != "PROCESSING")

    async def _processed(self, copy: FileCopy, file: StoredFile, context: RequestContext) -> None:
        """Wait until Google has processed a file. Raises BadRequest if it cannot, and UpstreamError after a minute."""
        path, state = f"/{self._version}/{copy.name}", "PROCESSING"
        async with self._attempt(context, copy.project) as attempt:
            for pause in _POLLS:
                body, _ = await self._google(attempt, "GET", path, {}, None)
                state = _read(_decode_file, body).state
                if state not in ("PROCESSING", "FAILED"):
                    return
                if state == "FAILED":
                    break
                await asyncio.sleep(pause)
        if state == "FAILED":
            await to_thread(self._store.forget_copies, [file.id], copy.project)
            raise BadRequest(
                f"Google could not process the file {file.filename[:80]!r}.", code="file_processing_failed"
            )
        raise UpstreamError(
            "Google is still processing a file of this request. Please try again in a minute.",
            status=503, code="file_not_ready", retry_after=30,
        )  # fmt: skip

    def _attempt(self, context: RequestContext, project: str) -> Attempt:
        """Return an attempt, which is one row of the ledger without cost."""
        return self._exchange.attempt(_in_files(context), Target("", project=project))

    async def _google(
        self,
        attempt: Attempt,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | AsyncIterator[bytes] | None,
    ) -> tuple[bytes, Mapping[str, str]]:
        """Return body and headers of Google's answer to one call. Raises GatewayError."""
        with await self._exchange.forward(attempt, method, path, headers, body) as answer:
            if answer.status >= 400:
                raise from_response(answer.status, await answer.refusal())
            return await answer.whole(), answer.headers

    async def _pieces(self, file: StoredFile) -> AsyncIterator[bytes]:
        with await to_thread(self._store.path(file.id).open, "rb") as source:
            while data := await to_thread(source.read, _PIECE):
                yield data


def _in_files(context: RequestContext) -> RequestContext:
    """Return a context for calls of the Files API: they are no attempts at the request's own call."""
    return structs.replace(context, surface="files", report=ExchangeReport(), hooks=None)


def _read(decode: Any, data: bytes) -> Any:
    try:
        return decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise UpstreamError(
            "Google's answer about a file cannot be read.", code="upstream_bad_response"
        ) from None


def _seconds(timestamp: str) -> float | None:
    """Return the Unix seconds of an RFC 3339 timestamp, or None."""
    try:
        return datetime.fromisoformat(timestamp[:19] + "+00:00").timestamp()
    except ValueError:
        return None


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
