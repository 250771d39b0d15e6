"""Pictures of a form: read, checked, and converted to formats that Gemini reads."""

import asyncio
from collections.abc import Sequence

from gateway.conversation.media_types import sniff_bytes
from gateway.errors import BadRequest
from gateway.exchange.incoming.multipart import Form
from gateway.exchange.incoming.uploaded_file import UploadedFile
from gateway.gemini.base64_text import encoded
from gateway.gemini.wire import Blob, Part
from gateway.plugins.images import pillow
from gateway.plugins.images.pictures import picture
from gateway.plugins.images.request import check_count, check_marks
from gateway.plugins.images.sizes import MOST_SIDE
from gateway.policy.load.memory import MemoryHold

FILES = ("image", "mask", "markup")
"""Fields of a form that are files."""
MOST_BYTES = 50 * 2**20
"""OpenAI's limit of one picture."""
_READ = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"})
"""Types that Gemini reads (https://ai.google.dev/gemini-api/docs/image-understanding#supported-formats)."""

_MARKED = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
"""Types that the first bytes of every such file show."""


async def pictures(form: Form, memory: MemoryHold) -> tuple[list[Part], str]:
    """Return the pictures of a form in their order, and the field of the last one if that is `mask` or `markup`.

    Raises BadRequest naming the field for what is no picture, too many of them, or one that is too large.
    """
    images = [file for file in form.files if file.field == "image"]
    masks = [file for file in form.files if file.field != "image"]
    check_count(len(images), "image")
    check_marks(mask=_has(masks, "mask"), markup=_has(masks, "markup"))
    if len(masks) > 1:
        raise BadRequest(f"'{masks[0].field}' must be one file.", param=masks[0].field)
    parts = [await _part(file, memory) for file in (*images, *masks)]
    return parts, masks[0].field if masks else ""


def _has(files: Sequence[UploadedFile], field: str) -> bool:
    return any(file.field == field for file in files)


async def _part(file: UploadedFile, memory: MemoryHold) -> Part:
    if file.size > MOST_BYTES:
        raise _refused(file, f"it has {file.size} bytes, more than {MOST_BYTES}")
    if not file.size:
        raise _refused(file, "it is empty")
    data = await file.read()
    mime_type, known = _type(file, data), picture(data)
    if mime_type == "image/png" and (known is None or not known.pixels):
        raise _refused(file, "it is cut short" if known is None else "it has no pixels")
    if known is not None and (
        max(known.width, known.height) > MOST_SIDE or known.pixels > pillow.MOST_PIXELS
    ):
        raise _refused(
            file,
            f"it has {known.width} x {known.height} pixels; the most are {MOST_SIDE} a side and "
            f"{pillow.MOST_PIXELS} in all",
        )
    if file.field == "mask" and pillow.is_installed():
        data, mime_type = await _converted(file, memory, data, pillow.mask), "image/png"
    elif mime_type not in _READ:
        data, mime_type = await _png(file, memory, data, mime_type), "image/png"
    memory.take(len(data) * 4 // 3)
    return Part(inline_data=Blob(mime_type, await asyncio.to_thread(encoded, data)))


def _type(file: UploadedFile, data: bytes) -> str:
    """Return a picture's type by its first bytes, else the declared one. Raises BadRequest where that cannot be so."""
    seen = sniff_bytes(data[:32])
    if not seen and file.mime_type in _MARKED:
        raise _refused(file, f"it is declared as {file.mime_type}, but its first bytes are not those of one")
    return seen or file.mime_type


async def _png(file: UploadedFile, memory: MemoryHold, data: bytes, mime_type: str) -> bytes:
    """Return a picture of another format as PNG. Raises BadRequest."""
    if not mime_type.startswith("image/") or mime_type == "image/svg+xml":
        raise _refused(file, "it is no png, jpeg or webp")
    if not pillow.is_installed():
        raise _refused(file, f"it is no png, jpeg or webp ({mime_type[:40]}), and {pillow.INSTALL}")
    return await _converted(file, memory, data, pillow.to_png)


async def _converted(file: UploadedFile, memory: MemoryHold, data: bytes, work: "pillow.Conversion") -> bytes:
    known = picture(data)
    size = pillow.BYTES_PER_PIXEL * (known.pixels if known is not None else pillow.MOST_PIXELS)
    memory.take(size)
    try:
        return await asyncio.to_thread(work, data)
    except pillow.UnreadableError as error:
        raise _refused(file, str(error)) from None
    finally:
        memory.give(size)


def _refused(file: UploadedFile, why: str) -> BadRequest:
    return BadRequest(
        f"Invalid image file '{file.filename[:80]}': {why}.", param=file.field, code="invalid_image_file"
    )
