"""Conversion of pictures, compared by their pixels."""

import struct
import sys
import zlib

import pytest

from gateway.plugins.images import pillow
from gateway.plugins.images.pictures import Picture, picture
from tests.support.pictures import BLUE, RED, pixel
from tests.support.pictures import picture as made


def png_of(width: int, height: int, data: bytes = b"") -> bytes:
    """Return a PNG that claims a size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("source", ["png", "jpeg", "webp", "gif", "bmp", "tiff"])
@pytest.mark.parametrize("target", ["png", "jpeg", "webp"])
def test_a_picture_looks_the_same_in_another_format(source: str, target: str) -> None:
    result = pillow.convert(made(source, (40, 30), BLUE), target)

    assert picture(result) == Picture(target, 40, 30)
    assert all(abs(a - b) <= 3 for a, b in zip(pixel(result), BLUE, strict=True))


def test_transparency_stays_in_png_and_is_white_in_jpeg() -> None:
    clear = made("png", (8, 8), (255, 0, 0, 0))

    assert pixel(pillow.convert(clear, "jpeg")) == (255, 255, 255)
    assert pillow.mask(pillow.convert(clear, "png")) == pillow.mask(clear) != clear


def test_compression_makes_a_picture_smaller() -> None:
    rows = b"".join(b"\0" + bytes((7 * x * y) % 256 for x in range(192)) for y in range(64))
    data = png_of(64, 64, zlib.compress(rows))

    for form in ("jpeg", "webp"):
        assert (
            len(pillow.convert(data, form, 5))
            < len(pillow.convert(data, form))
            < len(pillow.convert(data, form, 100))
        )


def test_a_mask_is_white_where_it_was_transparent() -> None:
    assert pixel(pillow.mask(made("png", (4, 4), (9, 9, 9, 0)))) == (255, 255, 255)
    assert pixel(pillow.mask(made("png", (4, 4), (9, 9, 9, 255)))) == (0, 0, 0)
    assert pillow.mask(made("png", (4, 4), RED)) == made("png", (4, 4), RED)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no picture",
        made()[:40],
        png_of(50_000, 50_000),
        png_of(60_000, 60_000, zlib.compress(bytes(10**6))),
        png_of(100, 100, b"\0" * 50),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    ],
)
def test_what_is_no_picture_or_a_bomb_is_unreadable(data: bytes) -> None:
    with pytest.raises(pillow.UnreadableError):
        pillow.convert(data, "png")


def test_without_pillow_nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pillow.is_installed()
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert not pillow.is_installed()
