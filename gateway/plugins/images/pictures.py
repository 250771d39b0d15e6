"""Facts of a picture from its first bytes: format, width and height. Nothing is decompressed."""

import struct

from msgspec import Struct

_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG that give the size (ITU-T T.81, table B.1)."""
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers of JPEG that stand alone."""


class Picture(Struct, frozen=True):
    """The format of a picture, and its size in pixels; 0 where the bytes do not tell."""

    format: str
    """`png`, `jpeg`, `webp` or `gif`."""
    width: int = 0
    height: int = 0

    @property
    def pixels(self) -> int:
        """The number of pixels."""
        return self.width * self.height


def picture(data: bytes) -> Picture | None:
    """Return the facts of a PNG, JPEG, WebP or GIF; None for anything else, and for one that is cut before its size."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):  # https://www.w3.org/TR/png-3/#11IHDR
            return Picture("png", *struct.unpack(">II", data[16:24]))
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp(data)
        if data.startswith((b"GIF87a", b"GIF89a")):
            return Picture("gif", *struct.unpack("<HH", data[6:10]))
    except (struct.error, IndexError):
        return None
    return None


def _jpeg(data: bytes) -> Picture | None:
    position = 2
    while position < len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker in _WITHOUT_LENGTH:
            position += 2
        elif marker in _START_OF_FRAME:
            height, width = struct.unpack(">HH", data[position + 5 : position + 9])
            return Picture("jpeg", width, height)
        else:
            position += 2 + max(2, int.from_bytes(data[position + 2 : position + 4], "big"))
    return None


def _webp(data: bytes) -> Picture | None:
    """Return the facts of a WebP (RFC 9649, section 2.5 to 2.7)."""
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return Picture("webp", width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return Picture("webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1) if len(data) >= 25 else None
    if kind == b"VP8X" and len(data) >= 30:
        return Picture(
            "webp", int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
        )
    return None
