"""Types and lengths of files, also of broken and hostile ones."""

import pytest

from gateway.errors import BadRequest
from gateway.gemini.audio import Sound
from gateway.gemini.audio_encoder import encode
from gateway.plugins.transcription.media import audio_type, seconds_of, wav_seconds
from tests.support.sounds import RATE, tone, wav

FLAC = encode(Sound(tone(1), RATE), "flac")


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (wav(b"\0\0"), "x", "audio/wav"),
        (b"ID3\x04", "a.wav", "audio/mp3"),
        (b"\xff\xfb\x90", "x", "audio/mp3"),
        (b"\xff\xf1\x50", "x", "audio/aac"),
        (FLAC, "x", "audio/flac"),
        (b"OggS\0", "a.mp3", "audio/ogg"),
        (b"\0\0\0\x20ftypisom", "a.mp4", "audio/m4a"),
        (b"\0\0\0\x20ftypM4A ", "a", "audio/m4a"),
        (b"\x1aE\xdf\xa3", "a", "audio/webm"),
        (b"FORM\0\0\0\0AIFF", "a", "audio/aiff"),
        (bytes(20), "a.opus", "audio/opus"),
    ],
)
def test_types(head: bytes, name: str, kind: str) -> None:
    assert audio_type(head, name) == kind


@pytest.mark.parametrize("name", ["a", "a.txt", "", "mp3"])
def test_no_type(name: str) -> None:
    with pytest.raises(BadRequest, match=r"Invalid file format\. Supported formats: \['flac', 'mp3'"):
        audio_type(bytes(20), name)


def test_lengths_of_wav() -> None:
    assert wav_seconds(wav(tone(0.5))) == 0.5
    assert wav_seconds(wav(tone(0.5), tags=b"INFOx")) == 0.5
    assert wav_seconds(wav(tone(0.5), size=0xFFFFFFFF)) == 0.5
    assert wav_seconds(b"OggS") is None


@pytest.mark.parametrize("cut", [0, 1, 4, 12, 40, 100, 1000])
@pytest.mark.parametrize("form", ["mp3", "flac", "opus", "aac", "wav"])
def test_a_file_that_was_cut_has_some_length_or_none(form: str, cut: int) -> None:
    data = encode(Sound(tone(0.5), RATE), form)[:cut]
    kind = {
        "mp3": "audio/mp3",
        "opus": "audio/ogg",
        "aac": "audio/aac",
        "flac": "audio/flac",
        "wav": "audio/wav",
    }[form]
    length = seconds_of(data, kind)

    assert length is None or 0 <= length < 3600


def test_a_flac_that_states_years_is_not_decoded() -> None:
    """STREAMINFO's number of samples, 36 bits, at its largest: 33 days of sound in 30 KB."""
    bomb = bytearray(FLAC)
    bomb[21] |= 0x0F
    bomb[22:26] = b"\xff\xff\xff\xff"

    assert seconds_of(bytes(bomb), "audio/flac") is None


@pytest.mark.parametrize(
    "kind", ["audio/mp3", "audio/m4a", "audio/webm", "audio/ogg", "audio/aac", "audio/aiff"]
)
def test_a_playlist_is_not_followed(kind: str) -> None:
    playlist = b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/secret.ts\n"

    assert seconds_of(playlist, kind) is None
