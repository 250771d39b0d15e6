"""Transcripts in each format, and read back."""

from io import StringIO

import pytest
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import BadRequest, UpstreamError
from gateway.gemini.events import Event, Finished, TextDelta
from gateway.plugins.transcription import wire
from gateway.plugins.transcription.request import Wish
from gateway.plugins.transcription.response import (
    as_events,
    as_hooks_left,
    from_events,
    from_interaction,
    srt,
    usage_metadata,
    vtt,
)
from gateway.plugins.transcription.words import Piece

VERBOSE = Wish("verbose_json", False, False, False, (), (), "", None)


def test_times_are_written_in_full() -> None:
    parts = [Piece("a", 0, 59.9996), Piece("b", 3600, 360_000.5)]

    assert srt(parts) == "1\n00:00:00,000 --> 00:01:00,000\na\n\n2\n01:00:00,000 --> 100:00:00,500\nb\n"
    assert vtt(parts).startswith("WEBVTT\n\n00:00:00.000 --> 00:01:00.000\na\n\n")
    assert (srt([]), vtt([])) == ("", "WEBVTT\n")


@settings(max_examples=50)
@given(st.lists(st.text("ab<&>-\n\r .", min_size=1, max_size=40).filter(str.strip), min_size=1, max_size=5))
def test_any_text_leaves_subtitles_readable(texts: list[str]) -> None:
    parts = [Piece(text, i, i + 0.5) for i, text in enumerate(texts)]

    assert len(webvtt.from_buffer(StringIO(vtt(parts)), "vtt").captions) == len(texts)
    assert len(webvtt.from_buffer(StringIO(srt(parts)), "srt").captions) == len(texts)


def events(text: str) -> list[Event]:
    return [TextDelta(0, text)]


@pytest.mark.parametrize(
    ("written", "texts"),
    [
        (
            '{"segments":[{"start":"0:01","end":"0:02","text":"a"},{"start":"x","end":"y","text":" b "}]}',
            ["a", "b"],
        ),
        ('```json\n{"segments":[{"start":1,"end":2,"text":"a"}]}\n```', ["a"]),
        ('{"segments":[{"start":"0:01","end":"0:02","text":" "}]}', []),
        ("Just words.", ["Just words."]),
        ("", []),
        ("{}", []),
    ],
)
def test_what_a_chat_model_writes(written: str, texts: list[str]) -> None:
    transcript = from_events(events(written), VERBOSE, 1.5)

    assert [part.text for part in transcript.parts] == texts
    assert all(0 <= part.start <= part.end <= 1.5 for part in transcript.parts)


@pytest.mark.parametrize(
    ("answer", "text", "duration"),
    [
        (b"{}", "", 0),
        (
            b'{"status":"completed","steps":[{"type":"thought"},{"type":"model_output","content":[{"type":"text","text":" a "}]}]}',
            "a",
            0,
        ),
        (
            b'{"usage":{"total_input_tokens":50,"input_tokens_by_modality":[{"modality":"AUDIO","tokens":50}]}}',
            "",
            2,
        ),
    ],
)
def test_interactions(answer: bytes, text: str, duration: float) -> None:
    transcript = from_interaction(wire.decode_interaction(answer), None)

    assert (transcript.text, transcript.duration) == (text, duration)


def test_one_that_has_failed() -> None:
    with pytest.raises(UpstreamError):
        from_interaction(wire.Interaction("failed"), None)


def test_tokens_for_the_ledger() -> None:
    counts = usage_metadata(wire.Interaction(usage=wire.InteractionUsage(35, 4, [wire.Tokens("audio", 35)])))

    assert counts is not None
    assert (counts.prompt_token_count, counts.candidates_token_count, counts.total_token_count) == (35, 4, 39)
    assert usage_metadata(wire.Interaction()) is None


def test_hooks_may_change_a_transcript() -> None:
    transcript = from_events(
        events('{"segments":[{"start":"0:00","end":"0:01","text":"secret"}]}'), VERBOSE, 1.0
    )

    assert as_hooks_left(transcript, as_events(transcript)) is transcript
    changed = as_hooks_left(transcript, events("******"))
    assert (changed.text, [part.text for part in changed.parts]) == ("******", ["******"])
    with pytest.raises(BadRequest):
        as_hooks_left(transcript, [Finished(0, "content_filter", "no")])
