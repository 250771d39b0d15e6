"""Sounds for tests: a tone that changes, its files, and what files decode to."""

import math
import struct
from array import array
from io import BytesIO

import av

RATE = 24000


def tone(seconds: float, rate: int = RATE) -> bytes:
    """Return 16-bit samples of a tone that rises and swells, so that no two places are alike."""
    return array(
        "h",
        [
            int(
                12000
                * math.sin(math.tau * (220 + 60 * i / rate) * i / rate)
                * (0.6 + 0.4 * math.sin(8 * i / rate))
            )
            for i in range(int(seconds * rate))
        ],
    ).tobytes()


def wav(
    samples: bytes, rate: int = RATE, *, tags: bytes = b"", size: int | None = None, channels: int = 1
) -> bytes:
    """Return a WAV file, with `tags` as a chunk before its data, and a length that it states in place of its own."""
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * 2 * channels, 2 * channels, 16)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form
    if tags:
        chunks += b"LIST" + struct.pack("<I", len(tags)) + tags + b"\0" * (len(tags) % 2)
    stated = len(samples) if size is None else size
    chunks += b"data" + struct.pack("<I", stated) + samples
    return b"RIFF" + struct.pack("<I", (4 + len(chunks)) if size is None else size) + b"WAVE" + chunks


def decoded(file: bytes, rate: int = RATE) -> bytes:
    """Return the samples that FFmpeg decodes of a file."""
    out = []
    with av.open(BytesIO(file), "r") as container:
        resampler = av.AudioResampler("s16", "mono", rate)
        for frame in [*container.decode(audio=0), None]:
            out += [bytes(piece.planes[0])[: piece.samples * 2] for piece in resampler.resample(frame)]
    return b"".join(out)


def seconds(samples: bytes, rate: int = RATE) -> float:
    return len(samples) / 2 / rate


def likeness(one: bytes, other: bytes, most_shift: int = 0) -> float:
    """Return the correlation of two sounds, the best one if the second begins up to `most_shift` samples later."""
    first, second = array("h", one), array("h", other)
    return max(_correlation(first, second[shift:]) for shift in range(0, most_shift + 1, 2))


def _correlation(one: "array[int]", other: "array[int]") -> float:
    length = min(len(one), len(other))
    a, b = one[:length], other[:length]
    power = math.sqrt(sum(x * x for x in a) * sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / power if power else 0.0
