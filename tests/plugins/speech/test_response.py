"""Gemini's speech as samples and events."""

import base64
import json

import pytest

from gateway.errors import BadRequest, GatewayError, UpstreamError
from gateway.gemini.events import Event, Finished, MediaPart, TextDelta, TurnEnded, TurnStarted
from gateway.gemini.usage import TokenCounts
from gateway.plugins.speech.response import (
    NoAudioError,
    SoundStream,
    counts_of,
    delta,
    done,
    failed,
    model_of,
    silence,
    sound_of,
    usage,
)
from tests.support.sounds import tone, wav

SAMPLES = tone(0.01)


def media(data: bytes, mime: str = "audio/L16;rate=16000") -> MediaPart:
    return MediaPart(0, mime, base64.b64encode(data).decode())


def test_pieces_are_joined() -> None:
    assert sound_of([media(SAMPLES[:100]), media(SAMPLES[100:])]) == (SAMPLES, 16000)
    assert sound_of([media(wav(SAMPLES, 8000))]) == (SAMPLES, 8000)


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        ([], NoAudioError),
        ([TextDelta(0, "no"), Finished(0, "stop")], NoAudioError),
        ([Finished(0, "content_filter", "Answer blocked by Gemini: OTHER", failure="OTHER")], NoAudioError),
        ([Finished(0, "content_filter", "Answer blocked by Gemini: SAFETY", failure="SAFETY")], BadRequest),
        ([media(b"")], NoAudioError),
    ],
)
def test_silence(events: list[Event], kind: type[GatewayError]) -> None:
    with pytest.raises(kind):
        sound_of(events)
    assert type(silence(events)) is kind


def test_a_stream_may_begin_with_a_header() -> None:
    stream = SoundStream()

    assert stream.encode([media(wav(SAMPLES[:100], 8000, size=0xFFFFFFFF)), media(SAMPLES[100:])]) == SAMPLES
    assert (stream.rate, stream.has_sound) == (8000, True)


def test_samples_that_look_like_a_header_later_stay() -> None:
    stream = SoundStream()
    stream.encode([media(SAMPLES)])

    assert stream.encode([media(wav(b""))]) == wav(b"")


def test_sound_that_is_not_base64_ends_the_stream() -> None:
    stream = SoundStream()

    assert stream.encode([MediaPart(0, "audio/L16", "A")]) == b""
    assert isinstance(stream.error, UpstreamError)


def test_what_is_no_sound_is_kept() -> None:
    stream, ended = SoundStream(), TurnEnded(TokenCounts(3, completion=4))

    assert stream.encode([TurnStarted("r", "gemini-x"), ended]) + stream.texts(0, ["a"]) == b""
    assert model_of(stream.events) == "gemini-x"
    assert counts_of(stream.events) == ended.counts
    assert counts_of([]) == TokenCounts()
    assert model_of([]) is None


def test_events() -> None:
    total = usage([TokenCounts(3, completion=4), TokenCounts(2, completion=1)])
    lines = [delta(b"ab"), done(total), failed(UpstreamError("broken"))]
    events = [json.loads(line.removeprefix(b"data: ")) for line in lines]

    assert events[0] == {"type": "speech.audio.delta", "audio": "YWI="}
    assert events[1]["usage"] == {"input_tokens": 5, "output_tokens": 5, "total_tokens": 10}
    assert events[2] == {
        "type": "error",
        "error": {"message": "broken", "type": "server_error", "param": None, "code": "bad_gateway"},
    }
