"""Sound of the Live API: rates, and where an utterance ends."""

import base64
from array import array

import pytest

from gateway.emulator.live_audio import OUT_RATE, Listener, audio_part, rate_of, resampled, spoken


def encoded(*samples: int) -> str:
    return base64.b64encode(array("h", samples).tobytes()).decode()


@pytest.mark.parametrize(
    ("mime", "rate"),
    [("audio/pcm;rate=8000", 8000), ("audio/pcm", 16_000), ("audio/pcm; rate=44100", 44_100)],
)
def test_the_rate_is_in_the_mime_type(mime: str, rate: int) -> None:
    assert rate_of(mime) == rate


def test_a_sound_keeps_its_length_at_another_rate() -> None:
    sound = array("h", range(800)).tobytes()
    assert len(resampled(sound, 8_000)) == 3 * len(sound)
    assert resampled(sound, OUT_RATE) is sound


def test_more_words_sound_longer_and_no_words_sound_too() -> None:
    assert len(spoken("one two three")) == 3 * len(spoken("one")) == 3 * len(spoken("")) > 0
    assert audio_part(b"ab") == {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": "YWI="}}


def test_silence_before_a_sound_is_left_out_and_a_short_pause_ends_nothing() -> None:
    listener = Listener()
    listener.hear(encoded(*[0] * 10_000), 1000)
    assert listener.utterance(is_over=False) == b""
    listener.hear(encoded(*[999] * 100), 1000)
    listener.hear(encoded(*[0] * 200), 1000)
    assert listener.utterance(is_over=False) == b""
    listener.hear(encoded(*[0] * 200), 1000)
    assert len(listener.utterance(is_over=False)) == 1000
    assert listener.utterance(is_over=True) == b""


def test_a_client_that_marks_its_own_utterances_may_pause() -> None:
    listener = Listener()
    listener.is_manual = True
    listener.begin()
    listener.hear(encoded(*[0] * 10_000), 1000)
    assert listener.utterance(is_over=False) == b""
    assert len(listener.utterance(is_over=True)) == 20_000
