"""Speech samples as raw PCM, or as a WAV file that a reader of WAV files understands."""

import base64
import struct
import wave
from io import BytesIO

import pytest

from gateway.errors import UpstreamError
from gateway.gemini.audio import encode_audio, raw_samples, sample_rate, sound, wav_file

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


def riff(*chunks: tuple[bytes, bytes], size: int | None = None) -> bytes:
    """Return a WAV file of chunks; `size` is stated for the last one in place of its own."""
    body = b"WAVE"
    for i, (name, content) in enumerate(chunks):
        stated = size if size is not None and i == len(chunks) - 1 else len(content)
        body += name + struct.pack("<I", stated) + content + b"\0" * (len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


FORMAT = struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16)
WAVS = {
    "plain": riff((b"fmt ", FORMAT), (b"data", SAMPLES)),
    "with tags": riff((b"fmt ", FORMAT), (b"LIST", b"INFOx"), (b"data", SAMPLES)),
    "with tags after it": riff((b"fmt ", FORMAT), (b"data", SAMPLES), (b"LIST", b"INFOx")),
    "of unknown length": riff((b"fmt ", FORMAT), (b"data", SAMPLES), size=0xFFFFFFFF),
    "of no length": riff((b"fmt ", FORMAT), (b"data", SAMPLES), size=0),
}


@pytest.mark.row("M5")
@pytest.mark.parametrize(
    "mime_type", ["audio/wav", "audio/x-wav", "audio/L16;codec=pcm;rate=24000", "audio/l16"]
)
@pytest.mark.parametrize("name", WAVS)
def test_m05_a_wav_file_gets_no_second_header(name: str, mime_type: str) -> None:
    piece = base64.b64encode(WAVS[name]).decode()

    data = base64.b64decode(encode_audio([piece], mime_type, "wav"))
    assert data == wav_file(SAMPLES, 16000)
    assert data.count(b"RIFF") == 1
    assert base64.b64decode(encode_audio([piece], mime_type, "pcm16")) == SAMPLES
    assert base64.b64decode(raw_samples(piece)) == SAMPLES


@pytest.mark.row("M5")
def test_m05_several_files_are_one() -> None:
    piece = base64.b64encode(WAVS["plain"]).decode()

    assert base64.b64decode(encode_audio([piece, piece], "audio/wav", "wav")) == wav_file(2 * SAMPLES, 16000)
    mixed = encode_audio([piece, *PIECES], "audio/wav", "wav")  # a stream whose first piece has the header
    assert base64.b64decode(mixed) == wav_file(2 * SAMPLES, 16000)


@pytest.mark.row("M5")
@pytest.mark.parametrize(
    ("data", "samples"),
    [
        (b"RIFFxxxxWEBP1234", b"RIFFxxxxWEBP1234"), (b"RIFF", b"RIFF"), (b"", b""),
        (b"RIFF\0\0\0\0WAVE", b""), (riff((b"fmt ", FORMAT)), b""), (WAVS["plain"][:50], SAMPLES[:6]),
        (b"RIFF\0\0\0\0WAVEfmt \xff\xff\xff\xff", b""),
    ],
)  # fmt: skip
def test_m05_what_is_no_whole_wav_file_is_taken_as_far_as_it_goes(data: bytes, samples: bytes) -> None:
    assert sound(data).samples == samples


@pytest.mark.row("M5")
def test_m05_samples_stay_as_they_came() -> None:
    assert [raw_samples(piece) for piece in (*PIECES, "UklGR!", "A")] == [*PIECES, "UklGR!", "A"]
