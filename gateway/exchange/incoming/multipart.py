"""Reads forms (RFC 7578): files, and text fields as the JSON body that they stand for.

aiohttp's MultipartReader finds the parts; this module bounds what it reads and says what is wrong with it.
"""

import asyncio
import re
import warnings
from collections.abc import AsyncIterator, Awaitable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
from aiohttp import BodyPartReader, MultipartReader, parse_content_disposition, web
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError
from aiohttp.streams import StreamReader
from msgspec import Struct

from gateway.errors import BadRequest, TooLarge
from gateway.exchange.incoming.request_body import COPIES, Body, Pace, check_encoding, memory
from gateway.exchange.incoming.uploaded_file import UploadedFile
from gateway.policy.load.memory import MemoryHold

FORM = "multipart/form-data"
MOST_PARTS = 128
MOST_TEXT = 2**20
"""Bytes of the text fields of a form, together."""
_MOST_HEADERS = 16
"""Header lines of one part."""
_MOST_LINE = 4096
"""Bytes of one header line of a part."""
_MOST_LINES = 64
"""Lines before a part's first byte: its headers, and text before the first part (RFC 2046, section 5.1.1)."""
_CHUNK = 64 * 1024
_NAME = re.compile(
    r"([^\[\]\x00-\x1f\ud800-\udfff]{1,128})((?:\[[^\[\]\x00-\x1f\ud800-\udfff]{0,128}\]){0,4})"
)
"""A field's name, and where its value belongs: `x[]` in a list, `x[k]` in an object."""
_MALFORMED = (HttpProcessingError, ValueError, RuntimeError, AssertionError, LookupError)
"""Errors of MultipartReader for a body that breaks RFC 2046 or RFC 7578."""
_TRANSFER_ENCODINGS = ("", "binary", "8bit", "7bit", "base64")
_CHARSET = "_charset_"
"""The field in which a browser names the form's encoding (https://html.spec.whatwg.org, constructing the entry list;
RFC 7578, 4.6)."""
_UTF8 = ("", "utf-8", "utf8", "us-ascii", "ascii")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_MOST_FILENAME = 255


class Limits(Struct, frozen=True):
    """Bounds of one form."""

    body: int
    """Bytes of the whole body."""
    seconds: float
    """Seconds in which 32 KiB must arrive, on average."""
    folder: Path
    """Folder of temporary files."""


class Form:
    """A form that has been read."""

    def __init__(self, hold: MemoryHold) -> None:
        self.files: list[UploadedFile] = []
        """In the order in which they were sent."""
        self.texts: list[tuple[str, str]] = []
        """Names with their brackets, and values, in the order in which they were sent."""
        self._memory = hold
        self._held = 0

    def close(self) -> None:
        """Remove the temporary files, and give the memory back."""
        for file in self.files:
            file.close()
        self._memory.give(self._held * COPIES)
        self._held = 0

    def add(self, field: str, part: BodyPartReader) -> UploadedFile:
        """Return a new file of the form."""
        file = UploadedFile(
            field, clean_filename(part.filename), part.headers.get("Content-Type"), self._memory
        )
        self.files.append(file)
        return file

    def hold(self, size: int) -> None:
        """Count bytes of text. Raises TooLarge and Overloaded."""
        self._memory.admit(size * COPIES)
        self._held += size
        if self._held > MOST_TEXT:
            raise TooLarge(f"The text fields of the form are larger than {MOST_TEXT} bytes.")

    def file(self, name: str) -> UploadedFile:
        """Return the only file of a field. Raises BadRequest if there is none or more than one."""
        files = [file for file in self.files if file.field == name]
        if not files:
            raise BadRequest(
                f"Missing required parameter: '{name}', a file in a form ({FORM}).",
                param=name,
                code="missing_required_parameter",
            )
        if len(files) > 1:
            raise BadRequest(f"'{name}' must be one file, but {len(files)} were sent.", param=name)
        return files[0]

    def body(self, lists: Collection[str] = ()) -> Body:
        """Return the text fields as a JSON object, every value in it a string, a list or an object.

        `x`, `x[]` and `x[0]` are one field: a list if `lists` names it, else a single value. `x[k]` is a member of the
        object `x`. Decode the body with `strict=False`, which reads numbers and true/false in strings. Raises
        BadRequest for a field that is sent twice and is no list.
        """
        result: dict[str, Any] = {}
        for name, text in self.texts:
            base, *keys = _keys(name)
            if keys and keys[0] and not keys[0].isdigit():
                _put(result, [base, *keys], text)
            elif base in lists:
                items = result.setdefault(base, [])
                if not isinstance(items, list):
                    raise _sent_twice(base)
                items.append(text)
            else:
                _put(result, [base], text)
        return Body(msgspec.json.encode(result))


@asynccontextmanager
async def read_form(request: web.Request, limits: Limits, files: Collection[str]) -> AsyncIterator[Form]:
    """Read a request's form: `async with read_form(...) as form`. `files` names the fields that are files.

    Raises BadRequest for what is no form, TooLarge over the limit, Overloaded when `limits.memory` is in use, and
    InsufficientStorage for a full disk. Nothing is left of the form then, nor after the block.
    """
    check_encoding(request)
    reader, content = _reader(request, limits)
    form = Form(memory(request))
    try:
        await _read(reader, form, files, content, compressed="Content-Encoding" in request.headers)
        yield form
    finally:
        form.close()


def check_content_type(request: web.Request) -> None:
    """Raise BadRequest, with OpenAI's own words, for a body that is no form."""
    kind = request.content_type
    if kind != FORM:
        raise BadRequest(
            f"Unsupported content type: '{kind[:100]}'. This API method only accepts '{FORM}' requests, but you "
            f"specified the header 'Content-Type: {kind[:100]}'. Please try again with a supported content type.",
            code="unsupported_content_type",
        )


def _reader(request: web.Request, limits: Limits) -> tuple[MultipartReader, "_Content"]:
    check_content_type(request)
    if (request.content_length or 0) > limits.body and "Content-Encoding" not in request.headers:
        raise _too_large(limits.body)
    content = _Content(request.content, limits)
    try:
        reader = _Reader(
            request.headers,
            content,  # type: ignore[arg-type]
            max_field_size=_MOST_LINE,
            max_headers=_MOST_HEADERS,
        )
    except (ValueError, UnicodeError):
        raise BadRequest(
            f"The header Content-Type must name the form's boundary: {FORM}; boundary=...",
            code="invalid_multipart_form",
        ) from None
    return reader, content


async def _read(
    reader: MultipartReader, form: Form, files: Collection[str], content: "_Content", *, compressed: bool
) -> None:
    try:
        await _read_parts(reader, form, files, content)
    except (ContentEncodingError, web.RequestPayloadError):
        if not compressed:
            raise
        raise BadRequest(
            "The request body is not in its Content-Encoding.", status=415, code="invalid_encoding"
        ) from None
    except _MALFORMED:
        raise _malformed("a boundary, the headers of a part or the end is missing or wrong") from None


async def _read_parts(
    reader: MultipartReader, form: Form, files: Collection[str], content: "_Content"
) -> None:
    for count in range(MOST_PARTS + 1):
        content.lines = 0
        part = await reader.next()
        if part is None:
            return
        if count == MOST_PARTS:
            break
        if not isinstance(part, BodyPartReader):
            raise _malformed("a part is itself multipart")
        encoding = part.headers.get("Content-Transfer-Encoding", "binary").lower()
        if encoding not in _TRANSFER_ENCODINGS:
            raise _malformed("the Content-Transfer-Encoding of a part is not supported")
        name = part.name or ""
        base = _keys(name)[0]
        if base in files:
            await _read_file(part, form.add(base, part), content.limits.folder)
        elif name.lower() == _CHARSET:
            _check_charset(await _read_text(part, form, base))
        else:
            form.texts.append((name, await _read_text(part, form, base)))
    raise BadRequest(f"The form has more than {MOST_PARTS} parts.", code="too_many_parts")


async def _read_file(part: BodyPartReader, file: UploadedFile, folder: Path) -> None:
    while not part.at_eof():
        await file.add(part.decode(await part.read_chunk(_CHUNK)), folder)
        await asyncio.sleep(0)  # where many forms arrive, the loop has other work between two chunks
    await file.finish(folder)


async def _read_text(part: BodyPartReader, form: Form, name: str) -> str:
    value = bytearray()
    while not part.at_eof():
        chunk = part.decode(await part.read_chunk(_CHUNK))
        form.hold(len(chunk))
        value += chunk
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise BadRequest(f"'{name}' must be text in UTF-8.", param=name, code="invalid_type") from None


def _check_charset(value: str) -> None:
    if value.strip().lower() not in _UTF8:
        raise BadRequest(
            f"'{_CHARSET}' must be 'UTF-8', the only encoding in which forms are read.",
            param=_CHARSET,
            code="unsupported_value",
        )


class _Reader(MultipartReader):
    """aiohttp's reader, which refuses a Content-Disposition that it would only warn of."""

    async def fetch_next_part(self) -> MultipartReader | BodyPartReader:
        """Return the next part. Raises ValueError for one whose Content-Disposition is malformed."""
        part = await super().fetch_next_part()
        # `next` reads a part named _charset_ itself where it has no last part, and fails unless the boundary is short
        self._last_part = part
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                parse_content_disposition(part.headers.get("Content-Disposition"))
            except Warning:
                raise ValueError("malformed Content-Disposition") from None
        return part


class _Content:
    """The bytes of a request's body for MultipartReader: counted, bounded, and in time."""

    def __init__(self, content: StreamReader, limits: Limits) -> None:
        self.limits = limits
        self.lines = 0
        """Lines since a part began."""
        self._content = content
        self._pace = Pace(limits.seconds)
        self._unread = b""

    def unread_data(self, data: bytes) -> None:
        """Take bytes back, to be read next."""
        self._unread = data + self._unread

    def at_eof(self) -> bool:
        """Return whether everything was read."""
        return not self._unread and self._content.at_eof()

    async def read(self, size: int) -> bytes:
        """Return up to `size` bytes, as soon as there are any; b"" at the end."""
        data, self._unread = self._unread[:size], self._unread[size:]
        return data or await self._counted(self._content.read(size))

    async def readline(self, *, max_line_length: int = _MOST_LINE) -> bytes:
        """Return a line with its end. Raises ValueError for a line, or a part's beginning, that is too long."""
        self.lines += 1
        line, end, self._unread = self._unread.partition(b"\n")
        line += end
        if not end:
            line += await self._counted(self._content.readline(max_line_length=max_line_length))
        if self.lines > _MOST_LINES or len(line) > max_line_length:
            raise ValueError("too many lines, or too long ones")
        return line

    async def _counted(self, reading: Awaitable[bytes]) -> bytes:
        began = monotonic()
        data = await reading
        self._pace.arrived(len(data), began)
        if self._pace.size > self.limits.body:
            raise _too_large(self.limits.body)
        return data


def _keys(name: str) -> list[str]:
    """Return a field's name and the keys in its brackets. Raises BadRequest for a name that is none."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise _malformed(
            "a part has no name, or one that cannot be a field's" if name else "a part has no name"
        )
    return [match[1], *re.findall(r"\[([^\]]*)\]", match[2])]


def _put(place: dict[str, Any], keys: list[str], text: str) -> None:
    """Put a value where its keys say. Raises BadRequest if there is one already."""
    *path, last = keys
    current: Any = place
    for key in path:
        current = current.setdefault(key, {})
        if not isinstance(current, dict):
            raise _sent_twice(keys[0])
    if last in current:
        raise _sent_twice(keys[0])
    current[last] = text


def _sent_twice(field: str) -> BadRequest:
    return BadRequest(f"'{field}' was sent more than once.", param=field, code="duplicate_parameter")


def clean_filename(name: str | None) -> str:
    """Return the last component of a file name, without control characters; "upload" for none.

    Browsers and httpx write a quotation mark as %22 (https://html.spec.whatwg.org, multipart/form-data encoding).
    """
    last = re.split(r"[/\\]", (name or "").replace("%22", '"'))[-1]
    return _CONTROLS.sub("", last).strip(" .")[:_MOST_FILENAME] or "upload"


def _malformed(reason: str) -> BadRequest:
    return BadRequest(f"Could not parse multipart form: {reason}.", code="invalid_multipart_form")


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"The form is larger than {most} bytes.")
