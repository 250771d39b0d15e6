"""Google's Files API, for files of the gateway's own: uploads, their processing, and their end.

Google keeps a file for 48 hours and in one project (https://ai.google.dev/gemini-api/docs/files).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from time import time
from typing import TypeVar

import msgspec
from msgspec import Struct, structs
from yarl import URL

from gateway.errors import BadRequest, GatewayError, UpstreamError
from gateway.exchange.calls.accounting import Target
from gateway.exchange.calls.attempt import Attempt
from gateway.exchange.context import RequestContext
from gateway.exchange.exchange import Exchange
from gateway.exchange.report import ExchangeReport
from gateway.gemini.errors import from_response
from gateway.policy.clients.kept_files import FileCopy

_LIFE = 48 * 3600
"""Seconds for which Google keeps a file."""
_POLLS = (1.0, 2.0, *[4.0] * 15)
"""Seconds between looks at a file that Google processes."""
_log = logging.getLogger("gateway.files")
T = TypeVar("T")


class _GoogleFile(Struct, rename="camel"):
    name: str
    uri: str
    state: str = "ACTIVE"
    expiration_time: str = ""


class _Created(Struct):
    file: _GoogleFile


_decode_created = msgspec.json.Decoder(_Created)
_decode_file = msgspec.json.Decoder(_GoogleFile)


class Source(Struct, frozen=True):
    """A file to be uploaded. `model` will read it: its quota decides about the project."""

    name: str
    mime_type: str
    size: int
    pieces: AsyncIterator[bytes]
    """The bytes, which can be read once."""
    model: str = ""


class GoogleFiles:
    """Calls of the Files API. Each is a row of the ledger without cost."""

    def __init__(self, exchange: Exchange, version: str) -> None:
        """`version` is that of Google's API."""
        self._exchange = exchange
        self._version = version

    async def upload(self, context: RequestContext, project: str, source: Source) -> FileCopy:
        """Upload a file by the resumable protocol, to any project if `project` is "". Raises GatewayError."""
        began = time()
        headers = {
            "X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(source.size),
            "X-Goog-Upload-Header-Content-Type": source.mime_type, "Content-Type": "application/json",
        }  # fmt: skip
        about = msgspec.json.encode({"file": {"displayName": source.name}})
        async with self._attempt(context, project, source.model) as attempt:
            _, answer = await self._call(attempt, "POST", f"/upload/{self._version}/files", headers, about)
            where = URL(answer.get("X-Goog-Upload-URL", ""))
            if not where.raw_path.startswith("/upload/"):
                raise UpstreamError("Google named no address for an upload.", code="upstream_bad_response")
            headers = {
                "X-Goog-Upload-Command": "upload, finalize", "X-Goog-Upload-Offset": "0",
                "Content-Length": str(source.size), "Content-Type": "application/octet-stream",
            }  # fmt: skip
            body, _ = await self._call(attempt, "POST", where.raw_path_qs, headers, source.pieces)
            project = attempt.project
        created = _read(_decode_created, body).file
        ends = min(began + _LIFE, _seconds(created.expiration_time) or began + _LIFE)
        return FileCopy(project, created.name, created.uri, ends, created.state != "PROCESSING")

    async def processed(self, copy: FileCopy, name: str, context: RequestContext) -> None:
        """Wait until Google has processed a file. Raises BadRequest if it cannot, and UpstreamError after a minute."""
        path, state = f"/{self._version}/{copy.name}", "PROCESSING"
        async with self._attempt(context, copy.project) as attempt:
            for pause in _POLLS:
                body, _ = await self._call(attempt, "GET", path, {}, None)
                state = _read(_decode_file, body).state
                if state not in ("PROCESSING", "FAILED"):
                    return
                if state == "FAILED":
                    break
                await asyncio.sleep(pause)
        if state == "FAILED":
            raise BadRequest(
                f"Google could not process the file {name[:80]!r}.", code="file_processing_failed"
            )
        raise UpstreamError(
            "Google is still processing a file of this request. Please try again in a minute.",
            status=503, code="file_not_ready", retry_after=30,
        )  # fmt: skip

    async def delete(self, copy: FileCopy, context: RequestContext) -> None:
        """Delete a file. A failure is logged."""
        try:
            async with self._attempt(context, copy.project) as attempt:
                await self._call(attempt, "DELETE", f"/{self._version}/{copy.name}", {}, None)
        except GatewayError as error:
            _log.warning("the copy of a deleted file stays at Google for up to 48 hours: %s", error.message)

    def _attempt(self, context: RequestContext, project: str, model: str = "") -> Attempt:
        return self._exchange.attempt(in_files(context), Target(model, project=project))

    async def _call(
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


def in_files(context: RequestContext) -> RequestContext:
    """Return a context for calls of the Files API: they are no attempts at the request's own call."""
    return structs.replace(context, surface="files", report=ExchangeReport(), hooks=None)


def _read(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    try:
        return decoder.decode(data)
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
