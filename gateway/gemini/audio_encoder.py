"""Encodes samples as MP3, Opus, AAC or FLAC, changes their speed and their rate: by PyAV, the extra `audio`.

PyAV is FFmpeg's libraries; it is imported when it is first needed. WAV and PCM at Gemini's own rate need none of it.
The encoders release Python's lock, so that they run in a thread beside the event loop.
"""

from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from gateway.gemini.audio import DEFAULT_RATE, Sound, checked_rate, wav_file, wav_header

if TYPE_CHECKING:
    from fractions import Fraction

    import av
    import av.filter

_SAMPLE = 2
"""Bytes of a sample."""
_PIECE = DEFAULT_RATE
"""Samples that are encoded at once."""
_SLOWEST, _FASTEST = 0.5, 2.0
"""Changes of speed that FFmpeg's `atempo` makes without leaving samples out; others are made in steps."""
_SCRAP = 64
"""Samples of a last AAC frame that are left out rather than filled up to 1,024."""


class AudioFormat(Struct, frozen=True):
    """One format of an answer."""

    content_type: str
    codec: str = ""
    """FFmpeg's encoder; "" for samples."""
    container: str = ""
    rate: int = DEFAULT_RATE
    """Samples per second, which the encoder takes."""
    bits: int = 0
    """Bits per second; 0 where the encoder decides."""
    options: dict[str, str] = {}


FORMATS = {
    "mp3": AudioFormat("audio/mpeg", "libmp3lame", "mp3", bits=64_000),
    # a page each 100 ms, so that a listener of a stream does not wait for a second
    "opus": AudioFormat("audio/ogg", "libopus", "ogg", 48_000, 32_000, {"page_duration": "100000"}),
    # ADTS states no delay of the encoder, which is shortest at this rate
    "aac": AudioFormat("audio/aac", "aac", "adts", 48_000, 64_000),
    "flac": AudioFormat("audio/flac", "flac", "flac"),
    "wav": AudioFormat("audio/wav"),
    "pcm": AudioFormat("audio/pcm"),
}
"""OpenAI's formats (https://platform.openai.com/docs/api-reference/audio/createSpeech)."""
PLAIN = ("wav", "pcm")
"""Those that need no encoder."""


@lru_cache(1)
def is_available() -> bool:
    """Return whether PyAV is installed."""
    return find_spec("av") is not None


def encode(sound: Sound, form: str, speed: float = 1.0) -> bytes:
    """Return a whole sound in a format. It takes about 10 ms for each second of sound."""
    rate = checked_rate(sound.rate)
    if form in PLAIN and speed == 1 and (form == "wav" or rate == DEFAULT_RATE):
        return wav_file(sound.samples, rate) if form == "wav" else sound.samples
    encoder = Encoder(form if form not in PLAIN else "pcm", rate, speed, BytesIO())
    data = encoder.feed(sound.samples) + encoder.close()
    return wav_file(data, encoder.rate) if form == "wav" else data


class _Target(Protocol):
    """A file that an encoder writes to."""

    def write(self, data: bytes) -> int: ...


class _Pipe:
    """A file that cannot be rewound: what is written to it is taken from it."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._written.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        written, self._written = self._written, []
        return b"".join(written)


class Encoder:
    """Encodes samples as they come. Each call belongs into a thread, one at a time."""

    def __init__(self, form: str, rate: int, speed: float = 1.0, whole: BytesIO | None = None) -> None:
        """Encode samples of a `rate`. Into `whole` the lengths that some formats begin with are written at the end."""
        self._form, self._from = FORMATS[form], checked_rate(rate)
        self.rate = self._from if form == "wav" else self._form.rate
        """Samples per second of the result."""
        self._left = b""
        """Half a sample whose other half has not come."""
        self._at = 0
        """Samples that were taken."""
        self._whole = whole
        self._pipe = _Pipe()
        self._head = wav_header(self.rate) if form == "wav" else b""
        self._tempo = _Tempo(self._from, speed) if speed != 1 else None
        self._writer = _Writer(self._form, whole or self._pipe) if self._form.codec else None
        self._resampler = None
        if self._writer is None and self.rate != self._from:
            import av

            self._resampler = av.AudioResampler("s16", "mono", self.rate)

    def feed(self, samples: bytes) -> bytes:
        """Return what some samples add to the file; b"" while they wait for more, or all is written at the end."""
        data = self._left + samples if self._left else samples
        used = len(data) // _SAMPLE * _SAMPLE
        self._left = data[used:]
        if self._writer is None and self._tempo is None and self._resampler is None:
            head, self._head = self._head, b""
            return head + data[:used]
        out = [self._head]
        self._head = b""
        out += [piece for frame in self._frames(data[:used]) for piece in self._encoded(frame)]
        return b"".join(out) + self._pipe.take()

    def close(self) -> bytes:
        """Return the end of the file."""
        out, self._head = [self._head], b""
        if self._tempo is not None:
            for frame in self._tempo.changed(None):
                out += self._written(frame)
        out += self._written(None)
        if self._writer is not None:
            self._writer.close()
        if self._whole is not None:
            return b"".join(out) + self._whole.getvalue()
        return b"".join(out) + self._pipe.take()

    def _frames(self, samples: bytes) -> "Iterator[av.AudioFrame]":
        from fractions import Fraction

        import av

        for i in range(0, len(samples), _PIECE * _SAMPLE):
            piece = samples[i : i + _PIECE * _SAMPLE]
            frame = av.AudioFrame("s16", "mono", len(piece) // _SAMPLE)
            frame.planes[0].update(piece)
            frame.sample_rate, frame.time_base, frame.pts = self._from, Fraction(1, self._from), self._at
            self._at += len(piece) // _SAMPLE
            yield frame

    def _encoded(self, frame: "av.AudioFrame") -> Iterator[bytes]:
        if self._tempo is None:
            yield from self._written(frame)
            return
        for changed in self._tempo.changed(frame):
            yield from self._written(changed)

    def _written(self, frame: "av.AudioFrame | None") -> Iterator[bytes]:
        """Write a frame, or the end. Yield samples where there is no encoder."""
        if self._writer is not None:
            self._writer.write(frame)
        elif self._resampler is not None:
            for resampled in self._resampler.resample(frame):
                yield _samples(resampled)
        elif frame is not None:
            yield _samples(frame)


def _samples(frame: "av.AudioFrame") -> bytes:
    return bytes(frame.planes[0])[: frame.samples * _SAMPLE]


def _shortened(frame: "av.AudioFrame", samples: int) -> "av.AudioFrame":
    import av

    result = av.AudioFrame("s16", "mono", samples)
    result.planes[0].update(_samples(frame)[: samples * _SAMPLE])
    result.sample_rate, result.time_base = frame.sample_rate, frame.time_base
    return result


class _Tempo:
    """Changes the speed of frames and keeps their pitch."""

    def __init__(self, rate: int, speed: float) -> None:
        from fractions import Fraction

        from av.filter import Graph

        self._speed, self._taken, self._made = speed, 0, 0
        graph = Graph()
        last = graph.add_abuffer(sample_rate=rate, format="s16", layout="mono", time_base=Fraction(1, rate))
        for step in steps(speed):
            link = graph.add("atempo", f"{step:.6f}")
            last.link_to(link)
            last = link
        form = graph.add("aformat", f"sample_fmts=s16:channel_layouts=mono:sample_rates={rate}")
        last.link_to(form)
        form.link_to(graph.add("abuffersink"))
        graph.configure()
        self._graph = graph

    def changed(self, frame: "av.AudioFrame | None") -> "Iterator[av.AudioFrame]":
        """Yield the frames that are complete; the rest when there is no other frame."""
        from av import AudioFrame
        from av.error import BlockingIOError as NeedsMore
        from av.error import EOFError as Ended

        self._graph.push(frame)
        self._taken += frame.samples if frame is not None else 0
        while True:
            try:
                changed = self._graph.pull()
            except (NeedsMore, Ended):
                return
            changed.pts = None  # the encoder counts anew
            if not isinstance(changed, AudioFrame):
                continue
            self._made += changed.samples
            if frame is None and (excess := self._made - round(self._taken / self._speed)) > 0:
                if excess < changed.samples:  # the filter ends with a whole window
                    yield _shortened(changed, changed.samples - excess)
                return
            yield changed


def steps(speed: float) -> list[float]:
    """Return changes of speed, each of 0.5 to 2, that make one together."""
    left, result = speed, []
    while left > _FASTEST or left < _SLOWEST:
        step = _FASTEST if left > 1 else _SLOWEST
        result.append(step)
        left /= step
    return [*result, left]


class _Writer:
    """Writes frames into a file."""

    def __init__(self, form: AudioFormat, file: _Target) -> None:
        import av
        from av.audio.stream import AudioStream

        is_stream = isinstance(file, _Pipe)
        self._is_bare = form.container == "adts" or (form.container == "mp3" and is_stream)
        self._file = av.open(file, "w", format=form.container, options=dict(form.options))
        alone = (
            {"reservoir": "0"} if form.container == "mp3" and is_stream else {}
        )  # frames need no earlier ones
        stream = self._file.add_stream(form.codec, rate=form.rate, options=alone, layout="mono")
        assert isinstance(stream, AudioStream)  # noqa: S101 - its codec is one of audio
        self._stream = stream
        if form.bits:
            self._stream.bit_rate = form.bits
        self._rate = form.rate
        self._taken: int | Fraction = 0
        """Seconds of sound."""

    def write(self, frame: "av.AudioFrame | None") -> None:
        """Encode a frame, or the end."""
        if frame is not None:
            from fractions import Fraction

            self._taken += Fraction(frame.samples, frame.sample_rate)
        for packet in self._stream.encode(frame):
            if self._is_bare and self._is_padding(packet):
                continue
            self._file.mux(packet)

    def _is_padding(self, packet: "av.Packet[Any]") -> bool:
        """Return whether a packet begins before the sound, or after it. A bare stream has no other way to say so."""
        at = packet.pts or 0
        return at < 0 or at > float(self._taken) * self._rate - _SCRAP

    def close(self) -> None:
        """Write the end of the file."""
        self._file.close()
