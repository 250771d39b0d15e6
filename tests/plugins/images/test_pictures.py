"""Format and size of pictures, from their first bytes."""

import struct

import pytest

from gateway.plugins.images.pictures import Picture, picture
from tests.support import pictures


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "gif"])
@pytest.mark.parametrize("size", [(1, 1), (1376, 768), (300, 5)])
def test_what_pillow_writes_is_read(form: str, size: tuple[int, int]) -> None:
    assert picture(pictures.picture(form, size)) == Picture(form, *size)


def test_webp_with_loss_and_with_transparency() -> None:
    import io

    from PIL import Image

    lossy, extended = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (70, 9)).save(lossy, "webp")
    Image.new("RGBA", (70, 9), (1, 2, 3, 4)).save(extended, "webp", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0")

    assert lossy.getvalue()[12:16] == b"VP8 "
    assert extended.getvalue()[12:16] == b"VP8X"
    assert picture(lossy.getvalue()) == picture(extended.getvalue()) == Picture("webp", 70, 9)


def test_a_jpeg_with_long_metadata_before_its_size() -> None:
    data = pictures.picture("jpeg", (33, 44))
    app1 = b"\xff\xe1" + struct.pack(">H", 60_002) + bytes(60_000)

    assert picture(data[:2] + b"\xff" + app1 * 3 + data[2:]) == Picture("jpeg", 33, 44)


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "gif"])
def test_a_cut_picture_is_read_or_unknown(form: str) -> None:
    data = pictures.picture(form, (30, 20))

    assert {picture(data[:i]) for i in range(len(data))} <= {None, Picture(form, 30, 20)}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8\xff",
        b"\xff\xd8\xffx",
        b"RIFF....WEBPVP8 ",
        b"BM",
        b"<svg/>",
        b"\xff\xd8" + b"\xff" * 50,
    ],
)
def test_anything_else_is_unknown(data: bytes) -> None:
    assert picture(data) is None
