"""Gemini's speech samples as the audio file that a client asked for.

Speech models answer 16-bit mono PCM, such as `audio/L16;codec=pcm;rate=24000`
(https://ai.google.dev/gemini-api/docs/speech-generation).
"""

import base64
import re
import wave
from collections.abc import Iterable
from io import BytesIO

from gateway.errors import UpstreamError

_RATE = re.compile(r"rate=(\d{4,6})")
_DEFAULT_RATE = 24000
"""Samples per second, where the MIME type does not say."""


def encode_audio(pieces: Iterable[str], mime_type: str, form: str) -> str:
    """Join base64 pieces of 16-bit mono samples; return base64 of the samples (`pcm16`) or of a WAV file (`wav`).

    Raises UpstreamError for pieces that are not base64.
    """
    try:
        samples = b"".join(base64.b64decode(piece) for piece in pieces)
    except ValueError:
        raise UpstreamError(
            "The upstream sent sound that is not base64.", code="upstream_bad_response"
        ) from None
    return base64.b64encode(
        samples if form == "pcm16" else wav_file(samples, sample_rate(mime_type))
    ).decode()


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
