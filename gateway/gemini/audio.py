"""Gemini's speech samples as the audio file that a client asked for.

Speech models answer 16-bit mono PCM, such as `audio/L16;codec=pcm;rate=24000`, and since gemini-3.8 whole WAV files
(https://ai.google.dev/gemini-api/docs/speech-generation).
"""

import base64
import re
from array import array
from collections.abc import Iterable
from struct import pack, unpack_from
from typing import NamedTuple

from gateway.errors import UpstreamError
from gateway.gemini.base64_text import decoded, encoded

_RATE = re.compile(r"rate=(\d{4,6})")
_RIFF = base64.b64encode(b"RIFF")[:5].decode()
"""Beginning of a WAV file in base64."""
DEFAULT_RATE = 24000
"""Samples per second, where the MIME type does not say."""
_UNKNOWN_SIZE = 0xFFFFFFFF
"""Length of a WAV file that is still written."""
_LEAST_RATE, _MOST_RATE = 4000, 192_000
_PCM, _EXTENSIBLE = 1, 0xFFFE
"""Formats of a WAV file: samples, and samples with a longer description."""


def encode_audio(pieces: Iterable[str], mime_type: str, form: str) -> str:
    """Join base64 pieces of 16-bit mono samples; return base64 of the samples (`pcm16`) or of a WAV file (`wav`).

    A piece that is a WAV file itself, whatever its MIME type says, counts for its samples. Raises UpstreamError for
    pieces that are not base64.
    """
    samples, rate = joined(pieces, mime_type)
    return encoded(samples if form == "pcm16" else wav_file(samples, rate))


def joined(pieces: Iterable[str], mime_type: str) -> "Sound":
    """Return the sound of base64 pieces. Raises UpstreamError for pieces that are no sound."""
    try:
        sounds = [sound(decoded(piece)) for piece in pieces]
    except ValueError:
        raise UpstreamError(
            "The upstream sent sound that is not base64.", code="upstream_bad_response"
        ) from None
    samples = sounds[0].samples if len(sounds) == 1 else b"".join(piece.samples for piece in sounds)
    return Sound(samples, next((piece.rate for piece in sounds if piece.rate), 0) or sample_rate(mime_type))


def raw_samples(piece: str) -> str:
    """Return a base64 piece of sound without the header that it has if it begins a WAV file."""
    if not piece.startswith(_RIFF):
        return piece
    try:
        return encoded(sound(decoded(piece)).samples)
    except (ValueError, UpstreamError):
        return piece


class Sound(NamedTuple):
    """Samples, and their number per second; 0 where that is not known."""

    samples: bytes
    rate: int = 0


def sound(data: bytes) -> Sound:
    """Return the samples of a WAV file (https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats/WAVE/WAVE.html).

    Anything else is taken for samples. The length of a file that is still written may be missing or 0xFFFFFFFF. Of
    several channels the first is returned. Raises UpstreamError for samples of another kind than 16 bits.
    """
    if not is_wav(data):
        return Sound(data)
    channels, rate, position = 1, 0, 12
    while position + 8 <= len(data):
        name, size = (
            data[position : position + 4],
            int.from_bytes(data[position + 4 : position + 8], "little"),
        )
        position += 8
        if name == b"fmt " and position + 16 <= len(data):
            form, channels, rate, _, _, bits = unpack_from("<HHIIHH", data, position)
            if form not in (_PCM, _EXTENSIBLE) or bits != 16 or not 1 <= channels <= 8:
                raise _unreadable()
        elif name == b"data":
            end = position + size if size else len(data)
            return Sound(_first_channel(data[position:end], channels), rate)
        position += size + size % 2  # chunks begin at even positions
    return Sound(b"", rate)


def is_wav(data: bytes) -> bool:
    """Return whether some bytes begin a WAV file."""
    return data[:4] == b"RIFF" and data[8:12] == b"WAVE"


def _first_channel(samples: bytes, channels: int) -> bytes:
    if channels == 1:
        return samples
    return array("h", samples[: len(samples) // 2 * 2])[::channels].tobytes()


def checked_rate(rate: int) -> int:
    """Return samples per second. Raises UpstreamError for a number that no sound has."""
    if not _LEAST_RATE <= rate <= _MOST_RATE:
        raise _unreadable()
    return rate


def _unreadable() -> UpstreamError:
    return UpstreamError("The upstream sent sound that cannot be read.", code="upstream_bad_response")


def sample_rate(mime_type: str) -> int:
    """Return the samples per second that a MIME type states, or 24000."""
    rate = _RATE.search(mime_type)
    return int(rate[1]) or DEFAULT_RATE if rate else DEFAULT_RATE


def wav_file(samples: bytes, rate: int) -> bytes:
    """Return a WAV file of 16-bit mono samples."""
    return wav_header(rate, len(samples)) + samples


def wav_header(rate: int, size: int | None = None) -> bytes:
    """Return the header of a WAV file of 16-bit mono samples. Without a `size` in bytes it is still to be written."""
    whole, data = (_UNKNOWN_SIZE, _UNKNOWN_SIZE) if size is None else (36 + size, size)
    return pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF", whole, b"WAVE", b"fmt ", 16, _PCM, 1, rate, rate * 2, 2, 16, b"data", data,
    )  # fmt: skip
