"""Sound of the Live API: 16-bit mono PCM, in at any rate, out at 24 kHz."""

import base64
import math
import re
from array import array
from typing import Any

OUT_RATE = 24_000
CHUNK = 1_920
"""Bytes of one message of an answer: 40 ms."""
_USUAL_RATE = 16_000
_WORD = 0.06
"""Seconds of sound for each word."""
_HERTZ, _LOUDNESS = 220, 8_000
_LOUD = 200
"""A sample above it is no silence."""
_PAUSE = 0.3
"""Seconds of silence that end an utterance."""
_RATE = re.compile(r"rate=(\d{4,6})")


def rate_of(mime: str) -> int:
    """Return the samples in a second of `audio/pcm;rate=…`."""
    match = _RATE.search(mime)
    return int(match[1]) if match else _USUAL_RATE


def spoken(words: str) -> bytes:
    """Return a tone, as long as the words are many."""
    samples = int(max(1, len(words.split())) * _WORD * OUT_RATE)
    step = 2 * math.pi * _HERTZ / OUT_RATE
    return array("h", (int(_LOUDNESS * math.sin(step * i)) for i in range(samples))).tobytes()


def resampled(sound: bytes, rate: int) -> bytes:
    """Return a sound at 24 kHz, by its nearest samples."""
    if rate == OUT_RATE:
        return sound
    samples = array("h", sound)
    count = len(samples) * OUT_RATE // rate
    return array("h", (samples[i * rate // OUT_RATE] for i in range(count))).tobytes()


def audio_part(sound: bytes) -> dict[str, Any]:
    """Return a part with a sound, as Google sends it."""
    data = base64.b64encode(sound).decode()
    return {"inlineData": {"mimeType": f"audio/pcm;rate={OUT_RATE}", "data": data}}


class Listener:
    """The sound of a client up to its next pause; between its own marks, where it sets them."""

    def __init__(self) -> None:
        self.is_manual = False
        self.rate = _USUAL_RATE
        self._sound = bytearray()
        self._silence = 0
        """Samples of silence since the last sound."""

    def begin(self) -> None:
        """Begin an utterance."""
        self._sound.clear()

    def hear(self, data: str, rate: int) -> None:
        """Take a piece of sound in base64."""
        self.rate = rate
        piece = base64.b64decode(data)
        piece = piece[: len(piece) // 2 * 2]
        samples = array("h", piece)
        if any(abs(sample) > _LOUD for sample in samples):
            self._silence = 0
        else:
            self._silence += len(samples)
            if not self._sound and not self.is_manual:
                return
        self._sound += piece

    def utterance(self, *, is_over: bool) -> bytes:
        """Return the utterance that has ended, or b"". `is_over` tells that the client says so."""
        pauses = not self.is_manual and self._silence > _PAUSE * self.rate
        if not self._sound or not (is_over or pauses):
            return b""
        sound = bytes(self._sound)
        self._sound.clear()
        self._silence = 0
        return sound
