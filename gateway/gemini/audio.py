"""Gemini's speech samples as the audio file that a client asked for.

Speech models answer 16-bit mono PCM, such as `audio/L16;codec=pcm;rate=24000`, and since gemini-3.8 whole WAV files
(https://ai.google.dev/gemini-api/docs/speech-generation).
"""

import base64
import re
import wave
from collections.abc import Iterable
from io import BytesIO
from typing import NamedTuple

from gateway.errors import UpstreamError

_RATE = re.compile(r"rate=(\d{4,6})")
_RIFF = base64.b64encode(b"RIFF")[:5].decode()
"""Beginning of a WAV file in base64."""
_DEFAULT_RATE = 24000
"""Samples per second, where the MIME type does not say."""


def encode_audio(pieces: Iterable[str], mime_type: str, form: str) -> str:
    """Join base64 pieces of 16-bit mono samples; return base64 of the samples (`pcm16`) or of a WAV file (`wav`).

    A piece that is a WAV file itself, whatever its MIME type says, counts for its samples. Raises UpstreamError for
    pieces that are not base64.
    """
    try:
        sounds = [sound(base64.b64decode(piece)) for piece in pieces]
    except ValueError:
        raise UpstreamError(
            "The upstream sent sound that is not base64.", code="upstream_bad_response"
        ) from None
    samples = b"".join(piece.samples for piece in sounds)
    rate = next((piece.rate for piece in sounds if piece.rate), 0) or sample_rate(mime_type)
    return base64.b64encode(samples if form == "pcm16" else wav_file(samples, rate)).decode()


def raw_samples(piece: str) -> str:
    """Return a base64 piece of sound without the header that it has if it begins a WAV file."""
    if not piece.startswith(_RIFF):
        return piece
    try:
        return base64.b64encode(sound(base64.b64decode(piece)).samples).decode()
    except ValueError:
        return piece


class Sound(NamedTuple):
    """Samples, and their number per second; 0 where that is not known."""

    samples: bytes
    rate: int = 0


def sound(data: bytes) -> Sound:
    """Return the samples of a WAV file (https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats/WAVE/WAVE.html).

    Anything else is taken for samples. The length of a file that is still written may be missing or 0xFFFFFFFF.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return Sound(data)
    rate, position = 0, 12
    while position + 8 <= len(data):
        name, size = (
            data[position : position + 4],
            int.from_bytes(data[position + 4 : position + 8], "little"),
        )
        position += 8
        if name == b"fmt ":
            rate = int.from_bytes(data[position + 4 : position + 8], "little")
        elif name == b"data":
            end = position + size if size else len(data)
            return Sound(data[position:end], rate)
        position += size + size % 2  # chunks begin at even positions
    return Sound(b"", rate)


def sample_rate(mime_type: str) -> int:
    """Return the samples per second that a MIME type states, or 24000."""
    rate = _RATE.search(mime_type)
    return int(rate[1]) or _DEFAULT_RATE if rate else _DEFAULT_RATE


def wav_file(samples: bytes, rate: int) -> bytes:
    """Return a WAV file of 16-bit mono samples."""
    file = BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(samples)
    return file.getvalue()
