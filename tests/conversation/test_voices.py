"""Voices by OpenAI's names, by Gemini's, and by ids."""

from typing import Any

import pytest

from gateway.conversation.voices import GEMINI, OPENAI, is_listed, names, unknown_voice, voice_config
from gateway.errors import BadRequest
from gateway.gemini.capabilities import Capabilities

NEW = Capabilities(output=("audio",))
OLD = Capabilities(output=("audio",), voice_library=False)


def prebuilt(name: str) -> dict[str, Any]:
    return {"prebuiltVoiceConfig": {"voiceName": name}}


@pytest.mark.parametrize(("name", "gemini"), OPENAI.items())
def test_each_of_openais_voices_is_one_of_geminis(name: str, gemini: str) -> None:
    assert gemini in GEMINI
    assert voice_config(name.upper(), OLD, "voice") == prebuilt(gemini)


@pytest.mark.parametrize("name", GEMINI)
def test_geminis_own_keep_their_case(name: str) -> None:
    assert voice_config(name.lower(), NEW, "voice") == prebuilt(name)


@pytest.mark.parametrize("voice", [None, ""])
def test_without_a_voice(voice: str | None) -> None:
    assert voice_config(voice, NEW, "voice") == prebuilt("Kore")


def test_ids_stay_as_they_are_where_the_model_knows_any() -> None:
    assert voice_config("vi-VN-Advisor", NEW, "voice") == {"voice": "vi-VN-Advisor"}
    assert voice_config("vi-VN-Advisor", OLD, "voice") == prebuilt("vi-VN-Advisor")
    assert voice_config({"id": "voicekey_1"}, NEW, "voice") == {"voice": "voicekey_1"}


@pytest.mark.parametrize("voice", [{"id": "x"}, {"id": 5}, {}, 5, ["alloy"], "v" * 257])
def test_no_voice_at_all(voice: object) -> None:
    with pytest.raises(BadRequest) as caught:
        voice_config(voice, NEW, "audio.voice")

    assert caught.value.param == "audio.voice"


def test_a_custom_voice_needs_a_newer_model() -> None:
    with pytest.raises(BadRequest, match="Custom voices are not supported"):
        voice_config("voice_ab", OLD, "voice")


def test_the_operators_names_come_first() -> None:
    assert voice_config("Alloy", NEW, "voice", {"alloy": "puck"}) == prebuilt("Puck")
    assert list(names({"House": "voice_1", "alloy": "Puck"}))[-1] == "House"
    assert len(names()) == 43


def test_the_error_lists_all_names() -> None:
    message = unknown_voice("voice", {"House": "voice_1"}).message

    assert all(name in message for name in (*OPENAI, *GEMINI, "House"))


@pytest.mark.parametrize(
    ("voice", "expected"),
    [
        (None, True), ("", True), ("alloy", True), ("KORE", True), ("house", True), ("nobody", False),
        ({"id": "voice_1"}, False),
    ],
)  # fmt: skip
def test_a_listed_voice_is_not_what_google_refuses(voice: object, expected: bool) -> None:
    assert is_listed(voice, {"house": "voice_1"}) is expected
