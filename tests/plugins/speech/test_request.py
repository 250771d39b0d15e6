"""OpenAI's speech requests as calls of Gemini."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.conversation.notes import Notes
from gateway.errors import BadRequest, UnsupportedParameter
from gateway.gemini.capabilities import Capabilities
from gateway.gemini.wire import encode_request
from gateway.plugins.speech.request import Speech, SpeechOptions, SpeechOrigins, pieces, said_again, speech
from gateway.plugins.speech.wire import decode_request

NEW = Capabilities(output=("audio",))
OLD = Capabilities(output=("audio",), voice_library=False, spoken_style=False)
FULL = SpeechOptions()
BARE = SpeechOptions(has_encoder=False)


def plan(
    body: dict[str, Any],
    capabilities: Capabilities = NEW,
    options: SpeechOptions = FULL,
    notes: Notes | None = None,
) -> Speech:
    request = decode_request(json.dumps({"input": "Hi", "voice": "alloy", **body}).encode())
    return speech(request, capabilities, options, notes if notes is not None else Notes())


def parts(body: dict[str, Any], capabilities: Capabilities = NEW) -> Any:
    request = plan(body, capabilities).requests[0]
    return msgspec.json.decode(encode_request(request))["contents"][0]["parts"]


@settings(max_examples=25)
@given(st.text(". a。\n!", max_size=9000))
def test_pieces_hold_the_whole_text(text: str) -> None:
    result = pieces(text)

    assert "".join("".join(result).split()) == "".join(text.split())
    assert all(0 < len(piece) <= 3500 for piece in result)


@pytest.mark.parametrize(
    ("sentence", "end"),
    [
        ("A sentence of some words. ", "."),
        ("这是一个相当长的句子。", "。"),
        ("A line\n", "e"),
        ('"Really?" ', '"'),
    ],
)
def test_pieces_end_with_sentences(sentence: str, end: str) -> None:
    result = pieces(sentence * 500)

    assert all(piece.endswith(end) for piece in result)


def test_a_number_is_not_the_end_of_a_sentence() -> None:
    text = "word " * 698 + "3.14 and more. " * 10

    assert not any(piece.startswith("14") for piece in pieces(text))


def test_a_text_without_any_end_is_cut_at_blanks_or_anywhere() -> None:
    assert set("".join(pieces("word " * 1500)).split("word")) == {"", " "}
    assert [len(piece) for piece in pieces("x" * 8000)] == [3500, 3500, 1000]


@pytest.mark.parametrize(
    ("form", "expected"), [(None, "mp3"), ("OGG", "opus"), ("raw", "pcm"), ("pcm16", "pcm"), ("wav", "wav")]
)
def test_formats(form: str | None, expected: str) -> None:
    assert plan({"response_format": form}).form == expected


def test_strict_mode_refuses_what_is_only_nearly_so() -> None:
    for body in ({"response_format": "mp3"}, {"response_format": "wav", "speed": 1.5}):
        with pytest.raises(UnsupportedParameter):
            plan(body, options=BARE, notes=Notes(strict=True))


@pytest.mark.parametrize(
    ("speed", "instructions", "style"),
    [(0.5, None, "speak slowly"), (2, "warm", "warm; speak quickly"), (1.05, None, None), (1, None, None)],
)
def test_without_an_encoder_speed_is_a_style(
    speed: float, instructions: str | None, style: str | None
) -> None:
    body = {"speed": speed, "instructions": instructions, "response_format": "wav"}
    request = plan(body, options=BARE).requests[0]
    metadata = msgspec.json.decode(encode_request(request))["contents"][0]["parts"][0].get("speechMetadata")

    assert metadata == ({"style": style} if style else None)
    assert plan(body, options=BARE).speed == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, None),
        ({"stream_format": "audio"}, "audio"),
        ({"stream_format": "sse"}, "sse"),
        ({"stream": True}, "audio"),
        ({"stream": False}, None),
        ({"stream_format": "audio", "stream": False}, None),
        ({"stream_format": "sse", "stream": True}, "sse"),
    ],
)
def test_streams(body: dict[str, Any], expected: str | None) -> None:
    assert plan(body).stream == expected


TURNS = [{"text": "Hello.", "speaker": "Joe"}, {"text": "Hi!", "speaker": "Jane"}]
VOICES = {
    "multiSpeakerVoiceConfig": {
        "speakerVoiceConfigs": [
            {"speaker": name, "voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Puck"}}}
            for name in ("Joe", "Jane")
        ]
    }
}


def test_a_dialogue_for_an_older_model_is_a_script() -> None:
    google = {"turns": TURNS, "speech_config": VOICES}

    assert parts({"google": google, "instructions": "calm"}, OLD) == [
        {"text": "calm: Joe: Hello.\nJane: Hi!"}
    ]


def test_contents_of_the_clients_own() -> None:
    own = [{"parts": [{"text": "a", "speechMetadata": {"style": "sad"}}, {"text": "b"}]}]

    assert parts({"google": {"contents": own}}) == [
        {"text": "a", "speechMetadata": {"style": "sad"}},
        {"text": "b"},
    ]


@pytest.mark.parametrize(
    "google",
    [
        {"contents": []},
        {"contents": [{}]},
        {"contents": [{"parts": []}]},
        {"contents": [{"parts": [{"inlineData": {}}]}]},
        {"contents": [{"parts": [{"text": "a"}]}, {"parts": [{"text": "b"}]}]},
        {"contents": [{"parts": ["a"]}]},
        {"contents": [{"parts": [{"text": "a", "speechMetadata": {"style": 5}}]}]},
        {"contents": [{"parts": [{"text": "a", "speechMetadata": "sad"}]}]},
        {"contents": [{"parts": [{"text": "x" * 5000}]}]},
        {"turns": TURNS},
        {"turns": [{"text": "x" * 5000}]},
        {"speech_config": {"multiSpeakerVoiceConfig": []}},
        {"speech_config": {"multiSpeakerVoiceConfig": {"speakerVoiceConfigs": [1, 2]}}, "turns": TURNS},
    ],
)
def test_what_cannot_be_spoken_is_named(google: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as caught:
        plan({"google": google})

    assert (caught.value.param or "").startswith("google.")


def test_a_text_may_be_missing_where_turns_replace_it() -> None:
    assert len(plan({"input": None, "google": {"turns": [{"text": "Hi"}]}}).requests) == 1


def test_saying_it_again() -> None:
    request = said_again(plan({}, OLD).requests[0])

    assert request is not None
    assert request.contents[0].parts is not None
    assert request.contents[0].parts[0].text == "Say: Hi"
    assert said_again(plan({"google": {"turns": TURNS, "speech_config": VOICES}}).requests[0]) is None


@pytest.mark.parametrize(
    ("google_path", "path"),
    [
        ("generation_config.speech_config.voice_config.voice", "voice"),
        ("contents[0].parts[0]", "input"),
        ("safety_settings[0]", None),
        (None, None),
    ],
)
def test_origins(google_path: str | None, path: str | None) -> None:
    assert SpeechOrigins().path(google_path) == path
    assert SpeechOrigins().of([google_path] if google_path else []) == ([path] if path else [])
