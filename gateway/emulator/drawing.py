"""Pictures of the emulated image models: whole PNG and JPEG files of one colour, in the size that was asked for."""

import base64
import re
import struct
import zlib
from typing import Any

from gateway.emulator.request import generation, prompt

_COLOURS = {
    "red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0), "black": (0, 0, 0),
    "white": (255, 255, 255), "orange": (255, 165, 0), "purple": (128, 0, 128), "grey": (128, 128, 128),
}  # fmt: skip
_COLOUR = re.compile(rf"\b({'|'.join(_COLOURS)})\b", re.I)
_PIXELS = {
    "1:1": (1024, 1024), "2:3": (848, 1264), "3:2": (1264, 848), "3:4": (896, 1200), "4:3": (1200, 896),
    "4:5": (928, 1152), "5:4": (1152, 928), "9:16": (768, 1376), "16:9": (1376, 768), "21:9": (1584, 672),
    "1:4": (512, 2048), "4:1": (2048, 512), "1:8": (384, 3072), "8:1": (3072, 384),
}  # fmt: skip
"""Pixels of a picture of 1K by shape (https://ai.google.dev/gemini-api/docs/image-generation#aspect_ratios)."""
_TIERS = {"512": (1, 2, 747), "1K": (1, 1, 1120), "2K": (2, 1, 1680), "4K": (4, 1, 2520)}
"""Tier to the factor of its sides, as a fraction, and its tokens (https://ai.google.dev/gemini-api/docs/pricing)."""


def drawing(model: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return the part with a picture: in the colour that the prompt names last, else red.

    gemini-nano-banana answers JPEG, other models PNG.
    """
    config = generation(request).get("imageConfig") or {}
    times, by, _ = _TIERS[config.get("imageSize") or "1K"]
    width, height = (side * times // by for side in _PIXELS[config.get("aspectRatio") or "1:1"])
    named = _COLOUR.findall(prompt(request))
    colour = _COLOURS[named[-1].lower()] if named else _COLOURS["red"]
    form, data = (
        ("jpeg", jpeg(width, height, colour))
        if "nano-banana" in model
        else ("png", png(width, height, colour))
    )
    return {"inlineData": {"mimeType": f"image/{form}", "data": base64.b64encode(data).decode()}}


def picture_tokens(request: dict[str, Any]) -> int:
    """Return the tokens of a picture that a request asks for."""
    return _TIERS[(generation(request).get("imageConfig") or {}).get("imageSize") or "1K"][2]


def png(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    """Return a PNG of one colour: with a palette of one, each pixel is a bit (https://www.w3.org/TR/png-3/)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 3, 0, 0, 0)
    pixels = zlib.compress(bytes((1 + -(-width // 8)) * height), 1)
    chunks = (b"IHDR", header), (b"PLTE", bytes(colour)), (b"IDAT", pixels), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def jpeg(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    """Return a baseline JPEG of one colour (ITU-T T.81): all blocks but the first differ from it by nothing.

    A difference of nothing and the end of a block are one bit each, a zero.
    """
    red, green, blue = colour
    levels = (
        round(0.299 * red + 0.587 * green + 0.114 * blue) - 128,
        round(-0.1687 * red - 0.3313 * green + 0.5 * blue),
        round(0.5 * red - 0.4187 * green - 0.0813 * blue),
    )
    sizes = sorted({abs(level).bit_length() for level in levels} - {0})
    bits = "".join(f"{_difference(level, sizes)}0" for level in levels)
    blocks = -(-width // 8) * -(-height // 8)
    bits += "0" * (6 * (blocks - 1))
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    components = b"".join(bytes((number, 0x11, 0)) for number in (1, 2, 3))
    direct = bytes((0, 1, 0, len(sizes), *[0] * 13, 0, *sizes))
    segments = [
        (0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"),
        (0xDB, bytes((0, *[8] * 64))),
        (0xC0, struct.pack(">BHHB", 8, height, width, 3) + components),
        (0xC4, direct),
        (0xC4, bytes((0x10, 1, *[0] * 15, 0))),
        (0xDA, bytes((3, 1, 0, 2, 0, 3, 0, 0, 63, 0))),
    ]
    head = b"".join(bytes((0xFF, kind)) + struct.pack(">H", len(data) + 2) + data for kind, data in segments)
    return b"\xff\xd8" + head + scan + b"\xff\xd9"


def _difference(level: int, sizes: list[int]) -> str:
    """Return the bits of the first block's level: the code of its size, and so many bits of its value."""
    size = abs(level).bit_length()
    if not size:
        return "0"
    value = level if level > 0 else level + (1 << size) - 1
    return f"{4 + sizes.index(size):03b}{value:0{size}b}"
