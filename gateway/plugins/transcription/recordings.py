"""Recordings as Gemini gets them: in the request, or a large one as a file of Google's while the request lasts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from gateway.errors import BadRequest, GatewayError
from gateway.exchange.context import RequestContext
from gateway.exchange.files.google_files import GoogleFiles, Source
from gateway.exchange.incoming.uploaded_file import UploadedFile
from gateway.exchange.offload import in_codec_thread
from gateway.plugin import Services
from gateway.plugins.transcription.media import audio_type, seconds_of, wav_seconds
from gateway.policy.clients.kept_files import FileCopy

INLINE = 15 * 2**20
"""Bytes of a file up to which it is a part of the request. Google takes requests of 100 MB, in base64
(https://ai.google.dev/gemini-api/docs/files); a file costs no memory here, as it is passed on in pieces."""
_COPIES = 3
"""Copies of a file in a request that exist at once: its bytes, base64, and the encoded request, by size."""
_HEADER = 64 * 1024
"""Bytes of a WAV file that hold its header."""
_BYTES_PER_SECOND = 16_000
"""Of a file whose length is unknown."""
_BROKEN = (429, 500, 502, 503)
"""Statuses of a failed upload that is worth another attempt."""


class Recording(Struct, frozen=True):
    """A file that a client wants written down."""

    mime_type: str
    size: int
    seconds: float | None
    data: bytes = b""
    """The bytes; empty for a file of Google's."""
    copy: FileCopy | None = None
    """The file of Google's."""

    @property
    def about(self) -> float:
        """Seconds, or a guess from above."""
        return self.seconds if self.seconds is not None else self.size / _BYTES_PER_SECOND

    @property
    def uri(self) -> str:
        """Google's address of the file, or ""."""
        return self.copy.uri if self.copy is not None else ""

    @property
    def project(self) -> str:
        """The only project that has the file; "" for any."""
        return self.copy.project if self.copy is not None else ""


class Recordings:
    """Reads the files of requests."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @asynccontextmanager
    async def read(
        self, file: UploadedFile, model: str, context: RequestContext, *, timed: bool
    ) -> AsyncIterator[Recording]:
        """Return a file for a model, to be entered by `async with`; a file of Google's is deleted at the end.

        Where the answer is `timed`, the length of any format is looked at. Raises BadRequest for what is no audio,
        Overloaded, and the errors of an upload.
        """
        if not file.size:
            raise BadRequest("Audio file is too short: it is empty.", param="file", code="audio_too_short")
        mime_type = audio_type(file.head, file.filename)
        is_inline = file.size <= INLINE
        if is_inline:
            context.memory.take(_COPIES * file.size)
        data = await (file.read() if is_inline else file.beginning(_HEADER))
        seconds = wav_seconds(data, file.size)
        if seconds == 0:
            raise BadRequest("Audio file is too short.", param="file", code="audio_too_short")
        if seconds is None and timed:
            seconds = await in_codec_thread(seconds_of, data if is_inline else file.opened(), mime_type)
        if is_inline:
            yield Recording(mime_type, file.size, seconds, data)
            return
        google = GoogleFiles(self._services.exchange, self._services.config.upstream.api_version)
        copy = await _uploaded(google, file, mime_type, model, context)
        try:
            if not copy.active:
                await google.processed(copy, file.filename, context)
            yield Recording(mime_type, file.size, seconds, copy=copy)
        finally:
            deletion = google.delete(copy, context)
            self._services.spawn(deletion, "transcription deletion of a file", context.client)


async def _uploaded(
    google: GoogleFiles, file: UploadedFile, mime_type: str, model: str, context: RequestContext
) -> FileCopy:
    """Upload a file, and once more if Google fails: in a pool, another project may be asked then."""
    for is_last in (False, True):
        source = Source(file.filename, mime_type, file.size, file.pieces(), model)
        try:
            return await google.upload(context, "", source)
        except GatewayError as error:
            if is_last or error.upstream_status not in _BROKEN:
                raise
    raise AssertionError("unreachable")
