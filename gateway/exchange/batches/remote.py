"""Calls of Google's batch API: create, find, read, cancel, upload and download."""

import os
from asyncio import to_thread
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import structs
from yarl import URL

from gateway.errors import UpstreamError
from gateway.exchange.batches.google import (
    GoogleBatch,
    file_body,
    inline_body,
    read_batch,
    read_page,
    unreadable,
)
from gateway.exchange.calls.accounting import Target
from gateway.exchange.calls.attempt import Attempt, open_attempt
from gateway.exchange.context import RequestContext
from gateway.exchange.exchange import Exchange
from gateway.exchange.report import ExchangeReport
from gateway.gemini.errors import from_response
from gateway.gemini.resources import is_name
from gateway.policy.clients.kept_batches import Part
from gateway.store.disk_space import check_space
from gateway.upstream.client import Forwarded

FEATURE = "batch"
"""Feature of the calls that create batches: their quota is one of its own
(https://ai.google.dev/gemini-api/docs/rate-limits#batch-api)."""
_PIECE = 256 * 1024
_LARGEST = 2**31
"""Bytes of an answer: Google's files have at most 2 GB."""
_PAGES = 20
"""Pages of a list of batches in which a part is looked for, the newest first."""
_REDIRECTS = 3
_TYPE = {"Content-Type": "application/json"}


class Remote:
    """Google's batches, in the project that a part names, or with a client's own key."""

    def __init__(self, exchange: Exchange, version: str, folder: Path) -> None:
        """`version` is that of Google's API. Large answers are read into files in `folder`."""
        self._exchange = exchange
        self._accounting = structs.replace(exchange.accounting, ledger=None)
        """Calls of batches have no rows of their own in the ledger: each part has one."""
        self._version = version
        self._folder = folder

    async def create(self, part: Part, requests: Path, context: RequestContext) -> GoogleBatch:
        """Create a batch. Raises GatewayError."""
        if part.upload:
            body = file_body(part)
        else:
            context.memory.take(2 * part.size)
            body = await to_thread(inline_body, part, requests)
        try:
            data = await self._ask(
                part,
                "POST",
                f"/{self._version}/models/{part.model}:{part.method}",
                context,
                body,
                creates=True,
            )
        finally:
            if not part.upload:
                context.memory.give(2 * part.size)
        batch = read_batch(data)
        return structs.replace(batch, name=_named("batches", batch.name))

    async def find(self, part: Part, context: RequestContext) -> str:
        """Return Google's name of the batch that a part has become; "" for none. Raises GatewayError."""
        token = ""
        for _ in range(_PAGES):
            query = urlencode({"pageSize": 100, "pageToken": token} if token else {"pageSize": 100})
            path = f"/{self._version}/batches?{query}"
            batches, token = read_page(await self._ask(part, "GET", path, context))
            for batch in batches:
                if batch.metadata.display_name == part.id:
                    return _named("batches", batch.name)
            if not token:
                break
        return ""

    async def look(self, part: Part, context: RequestContext) -> Path:
        """Return the file with a batch as it is now. Raises GatewayError."""
        return await self._into_file(part, f"/{self._version}/{part.name}", context)

    async def cancel(self, part: Part, context: RequestContext) -> None:
        """Cancel a batch. Raises GatewayError."""
        await self._ask(part, "POST", f"/{self._version}/{part.name}:cancel", context, b"{}")

    async def download(self, part: Part, name: str, context: RequestContext) -> Path:
        """Return the file with the bytes of a file of Google's. Raises GatewayError."""
        name = _named("files", name)
        return await self._into_file(part, f"/download/{self._version}/{name}:download?alt=media", context)

    async def upload(self, part: Part, requests: Path, context: RequestContext) -> str:
        """Upload the requests of a part. Return Google's name of the file. Raises GatewayError.

        The protocol is that of https://ai.google.dev/gemini-api/docs/files.
        """
        size = (await to_thread(requests.stat)).st_size
        headers = {
            "X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(size),
            "X-Goog-Upload-Header-Content-Type": "application/jsonl", **_TYPE,
        }  # fmt: skip
        about = msgspec.json.encode({"file": {"displayName": part.id, "mimeType": "application/jsonl"}})
        async with self._attempt(part, context) as attempt:
            path = f"/upload/{self._version}/files"
            with await self._exchange.forward(attempt, "POST", path, headers, about) as answer:
                await _checked(answer)
                where = URL(answer.headers.get("X-Goog-Upload-URL", ""))
            if not where.raw_path.startswith("/upload/"):
                raise UpstreamError("Google named no address for an upload.", code="upstream_bad_response")
            headers = {
                "X-Goog-Upload-Command": "upload, finalize", "X-Goog-Upload-Offset": "0",
                "Content-Length": str(size), "Content-Type": "application/octet-stream",
            }  # fmt: skip
            pieces = _pieces(requests)
            with await self._exchange.forward(attempt, "POST", where.raw_path_qs, headers, pieces) as answer:
                return _file_name(await _checked(answer))

    async def _ask(
        self,
        part: Part,
        method: str,
        path: str,
        context: RequestContext,
        body: bytes | None = None,
        *,
        creates: bool = False,
    ) -> bytes:
        """Return the body of a small answer."""
        async with self._attempt(part, context, creates=creates) as attempt:
            headers: Mapping[str, str] = _TYPE if body is not None else {}
            with await self._exchange.forward(attempt, method, path, headers, body) as answer:
                return await _checked(answer)

    async def _into_file(self, part: Part, path: str, context: RequestContext) -> Path:
        """Write a body to a file. Redirects to another path of Google's are followed."""
        await to_thread(check_space, self._folder, 0)
        async with self._attempt(part, context) as attempt:
            for _ in range(_REDIRECTS):
                with await self._exchange.forward(attempt, "GET", path, {}, None) as answer:
                    if answer.status < 300:
                        return await _written(answer, self._folder / f"{part.id}.download")
                    if answer.status >= 400:
                        raise from_response(answer.status, await answer.refusal(), answer.headers)
                    path = _location(answer.headers.get("Location", ""))
            raise UpstreamError("Google redirects a download too often.", code="upstream_bad_response")

    def _attempt(self, part: Part, context: RequestContext, *, creates: bool = False) -> Attempt:
        own = structs.replace(context, surface="batch", report=ExchangeReport(), hooks=None)
        target = Target(
            part.model if creates else "", project=part.project, feature=FEATURE if creates else ""
        )
        return open_attempt(self._accounting, own, target)


async def _checked(answer: Forwarded) -> bytes:
    """Return the body of an answer. Raises GatewayError for a refusal."""
    if answer.status >= 400:
        raise from_response(answer.status, await answer.refusal(), answer.headers)
    return await answer.whole()


async def _written(answer: Forwarded, path: Path) -> Path:
    size = 0
    file = await to_thread(path.open, "wb")
    try:
        while data := await answer.read():
            size += len(data)
            if size > _LARGEST:
                raise UpstreamError("Google's answer is larger than 2 GB.", code="upstream_bad_response")
            await to_thread(file.write, data)
    finally:
        await to_thread(file.close)
    return path


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    descriptor = await to_thread(os.open, path, os.O_RDONLY)
    try:
        while data := await to_thread(os.read, descriptor, _PIECE):
            yield data
    finally:
        os.close(descriptor)


def _location(location: str) -> str:
    """Return the path of a redirect. Raises UpstreamError for one that leads elsewhere."""
    parts = urlsplit(location)
    if not parts.path.startswith("/download/"):
        raise UpstreamError("Google redirects a download to another place.", code="upstream_bad_response")
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _file_name(body: bytes) -> str:
    try:
        name = msgspec.json.decode(body)["file"]["name"]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        raise unreadable() from None
    return _named("files", str(name))


def _named(kind: str, name: str) -> str:
    """Return a name that Google has given. Raises UpstreamError for one that is none."""
    if not is_name(kind, name):
        raise unreadable()
    return name
