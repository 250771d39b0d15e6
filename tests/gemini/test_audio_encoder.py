"""Encoded sounds are decoded by FFmpeg and compared with what they were made of."""

import wave
from io import BytesIO

import pytest

from gateway.errors import UpstreamError
from gateway.gemini.audio import Sound
from gateway.gemini.audio_encoder import FORMATS, Encoder, encode, is_available, steps
from tests.support.sounds import RATE, decoded, likeness, seconds, tone, wav

_WITHIN = 0.02
"""Seconds by which a decoded sound may be longer or shorter."""
_STREAM_DELAY = 520
"""Samples by which a bare stream of MP3 may begin late: it has no place to state the delay of its decoder."""


def test_the_library_is_installed() -> None:
    assert is_available()


@pytest.mark.parametrize("extra", [0, 1, 777])
@pytest.mark.parametrize("form", FORMATS)
def test_a_whole_sound(form: str, extra: int) -> None:
    sound = tone(0.5 + extra / RATE)
    data = encode(Sound(sound, RATE), form)
    result = data if form == "pcm" else decoded(data)

    assert abs(seconds(result) - seconds(sound)) <= _WITHIN
    assert likeness(sound, result) > 0.98
    if form in ("pcm", "wav", "flac"):
        assert result == sound


@pytest.mark.parametrize("form", FORMATS)
def test_a_sound_in_pieces_of_any_length(form: str) -> None:
    sound = tone(0.6)
    encoder = Encoder(form, RATE)
    first = encoder.feed(sound[:1])
    data = first + b"".join(encoder.feed(sound[i : i + 4801]) for i in range(1, len(sound), 4801))
    assert data or form == "flac"
    data += encoder.close()
    result = data if form == "pcm" else decoded(data)

    assert abs(seconds(result) - 0.6) <= _WITHIN
    assert likeness(sound, result, _STREAM_DELAY if form == "mp3" else 0) > 0.9


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("samples", [b"", b"\0", b"\0\0"])
def test_next_to_nothing(form: str, samples: bytes) -> None:
    assert isinstance(encode(Sound(samples, RATE), form), bytes)
    encoder = Encoder(form, RATE)
    assert isinstance(encoder.feed(samples) + encoder.close(), bytes)


@pytest.mark.parametrize(("speed", "length"), [(2.0, 0.5), (0.5, 2.0), (1.25, 0.8), (4.0, 0.25), (0.25, 4.0)])
def test_speed(speed: float, length: float) -> None:
    data = encode(Sound(tone(3), RATE), "pcm", speed)

    assert seconds(data) / 3 == pytest.approx(length, rel=0.01)


@pytest.mark.parametrize(
    ("speed", "expected"),
    [(1.5, [1.5]), (2.0, [2.0]), (4.0, [2.0, 2.0]), (0.25, [0.5, 0.5]), (3.0, [2.0, 1.5]), (0.3, [0.5, 0.6])],
)
def test_large_changes_of_speed_are_made_in_steps(speed: float, expected: list[float]) -> None:
    assert steps(speed) == pytest.approx(expected)


@pytest.mark.parametrize("form", FORMATS)
def test_another_rate(form: str) -> None:
    data = encode(Sound(tone(0.5, 16000), 16000), form)
    result = data if form == "pcm" else decoded(data)

    assert abs(seconds(result) - 0.5) <= _WITHIN
    assert likeness(tone(0.5), result, 60) > 0.97
    if form == "wav":
        assert data == wav(tone(0.5, 16000), 16000)


def test_a_faster_wav_states_its_length() -> None:
    with wave.open(BytesIO(encode(Sound(tone(1), RATE), "wav", 2.0))) as file:
        assert file.getnframes() / RATE == pytest.approx(0.5, rel=0.01)


def test_a_streamed_wav_states_none() -> None:
    encoder = Encoder("wav", RATE)
    data = encoder.feed(tone(0.01)) + encoder.close()

    assert (data[4:8], data[40:44], data[44:]) == (b"\xff" * 4, b"\xff" * 4, tone(0.01))


@pytest.mark.parametrize("rate", [0, 1, 3999, 192_001, 2**32 - 1])
def test_a_rate_that_no_sound_has(rate: int) -> None:
    with pytest.raises(UpstreamError) as caught:
        encode(Sound(b"\0\0", rate), "wav")

    assert caught.value.code == "upstream_bad_response"
