"""Conversion of pictures by Pillow, an optional dependency (the extra `images`). Slow: call it in a thread."""

from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING

from gateway.plugins.images.pictures import picture

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

MOST_PIXELS = 50_000_000
"""Pixels of a picture that is decoded: the largest cameras of telephones make 48 million."""
BYTES_PER_PIXEL = 4
INSTALL = (
    "this gateway lacks Pillow: on a server, `gateway plugin install --extra images`; in a checkout, "
    "pip install '.[images]'"
)
"""The remedy for a gateway without the extra."""
_QUALITY = 90
"""Quality of JPEG and WebP where the client asks for none."""


class UnreadableError(Exception):
    """The bytes are no picture that Pillow reads, or one that is too large."""


Conversion = Callable[[bytes], bytes]


def is_installed() -> bool:
    """Return whether pictures can be converted."""
    return find_spec("PIL") is not None


def convert(data: bytes, form: str, compression: int | None = None) -> bytes:
    """Return a picture in another format: `png`, `jpeg` or `webp`. Raises UnreadableError.

    `compression` is the quality of JPEG and WebP in percent, as OpenAI's `output_compression` is.
    """
    image: PillowImage = _open(data)
    if form == "jpeg" and image.mode not in ("RGB", "L"):
        image = _on_white(image)
    elif image.mode not in ("RGB", "RGBA", "L", "LA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    out = BytesIO()
    if form == "png":
        image.save(out, "PNG")
    else:
        image.save(out, form.upper(), quality=_QUALITY if compression is None else max(1, compression))
    return out.getvalue()


def to_png(data: bytes) -> bytes:
    """Return a picture as PNG. Raises UnreadableError."""
    return convert(data, "png")


def mask(data: bytes) -> bytes:
    """Return OpenAI's mask as a picture that a model can read: white where it is transparent, else black.

    A mask without transparency stays as it is. Raises UnreadableError.
    """
    from PIL import Image

    image = _open(data)
    if not image.has_transparency_data:
        return data
    alpha = image.convert("RGBA").getchannel("A")
    out = BytesIO()
    Image.eval(alpha, lambda opacity: 255 if opacity < 128 else 0).save(out, "PNG")
    return out.getvalue()


def _open(data: bytes) -> "PillowImage":
    """Return a decoded picture. Raises UnreadableError.

    A picture that claims more pixels than MOST_PIXELS is not decoded: a PNG of 1 MB may hold 5 GB.
    """
    from PIL import Image

    known = picture(data)
    if known is not None and known.pixels > MOST_PIXELS:
        raise UnreadableError(f"it has {known.width} x {known.height} pixels, more than {MOST_PIXELS} in all")
    try:
        image: PillowImage = Image.open(BytesIO(data))
        if image.width * image.height > MOST_PIXELS:
            raise UnreadableError(f"it has more than {MOST_PIXELS} pixels")
        image.load()
    except UnreadableError:
        raise
    except Exception as error:
        raise UnreadableError("it cannot be read") from error
    return image


def _on_white(image: "PillowImage") -> "PillowImage":
    """Return a picture without transparency, on white: JPEG has none."""
    from PIL import Image

    image = image.convert("RGBA")
    ground = Image.new("RGB", image.size, (255, 255, 255))
    ground.paste(image, mask=image.getchannel("A"))
    return ground
