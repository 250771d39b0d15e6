"""Speech samples as raw PCM, or as a WAV file that a reader of WAV files understands."""

import base64
import struct
import wave
from io import BytesIO

import pytest

from gateway.errors import UpstreamError
from gateway.gemini.audio import encode_audio, sample_rate, wav_file

SAMPLES = struct.pack("<4h", 0, 1, -1, 32767)
PIECES = [base64.b64encode(SAMPLES[:3]).decode(), base64.b64encode(SAMPLES[3:]).decode()]


@pytest.mark.parametrize(
    ("mime_type", "rate"),
    [
        ("audio/L16;codec=pcm;rate=24000", 24000),
        ("audio/L16;rate=8000", 8000),
        ("audio/L16", 24000),
        ("rate=7", 24000),
    ],
)
def test_the_rate_comes_from_the_mime_type(mime_type: str, rate: int) -> None:
    assert sample_rate(mime_type) == rate


def test_pcm16_is_the_samples_joined() -> None:
    assert base64.b64decode(encode_audio(PIECES, "audio/L16;rate=16000", "pcm16")) == SAMPLES


def test_wav_is_a_file_of_the_samples() -> None:
    data = base64.b64decode(encode_audio(PIECES, "audio/L16;rate=16000", "wav"))

    with wave.open(BytesIO(data)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16000)
        assert file.readframes(file.getnframes()) == SAMPLES


def test_the_header_is_riffs_44_bytes() -> None:
    assert wav_file(b"ab", 24000) == (
        b"RIFF&\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\xc0\x5d\0\0\x80\xbb\0\0\x02\0\x10\0data\x02\0\0\0ab"
    )


@pytest.mark.parametrize("samples", [b"", b"a"])
def test_any_number_of_bytes_makes_a_file(samples: bytes) -> None:
    data = wav_file(samples, 24000)

    assert data[40:] == struct.pack("<I", len(samples)) + samples


def test_sound_that_is_not_base64_is_the_upstreams_error() -> None:
    with pytest.raises(UpstreamError) as caught:
        encode_audio(["A"], "audio/L16", "wav")

    assert caught.value.code == "upstream_bad_response"


def test_a_rate_of_zero_is_none() -> None:
    assert sample_rate("audio/L16;rate=0000") == 24000
