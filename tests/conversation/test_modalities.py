"""Images and speech that a client asks for."""

from typing import Any

import pytest

from gateway.conversation.modalities import ModalityRequest, audio_format, modality_fields
from gateway.errors import BadRequest, UnsupportedParameter
from gateway.gemini.capabilities import Capabilities

TEXT = Capabilities()
IMAGE = Capabilities(output=("text", "image"))
SPEECH = Capabilities(output=("audio",))


def voice_of(wanted: ModalityRequest) -> Any:
    fields = modality_fields(wanted, SPEECH)
    assert fields["response_modalities"] == ["AUDIO"]
    return fields["speech_config"]["voiceConfig"]["prebuiltVoiceConfig"]["voiceName"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), {}),
        (("text",), {}),
        (("image",), {"response_modalities": ["TEXT", "IMAGE"]}),
        (("Text", "IMAGE"), {"response_modalities": ["TEXT", "IMAGE"]}),
        (("image", "image"), {"response_modalities": ["IMAGE"]}),
    ],
)
def test_images_come_with_text(names: tuple[str, ...], expected: dict[str, Any]) -> None:
    assert modality_fields(ModalityRequest(names), IMAGE) == expected


@pytest.mark.parametrize("capabilities", [TEXT, IMAGE, SPEECH])
def test_an_unknown_modality_is_refused(capabilities: Capabilities) -> None:
    with pytest.raises(BadRequest, match="Invalid value: 'smell'") as caught:
        modality_fields(ModalityRequest(("text", "smell"), at="output"), capabilities)

    assert caught.value.param == "output"


def test_a_text_model_generates_no_audio() -> None:
    with pytest.raises(UnsupportedParameter, match="does not generate audio") as caught:
        modality_fields(ModalityRequest(("audio",), has_audio=True), TEXT)

    assert (caught.value.param, caught.value.code) == ("modalities", "unsupported_value")


def test_a_speech_model_has_a_default_voice() -> None:
    assert voice_of(ModalityRequest()) == "Kore"


def test_audio_that_is_asked_for_by_name_must_be_described() -> None:
    with pytest.raises(BadRequest) as caught:
        modality_fields(ModalityRequest(("audio",), audio_at="speech"), SPEECH)

    assert (caught.value.param, caught.value.code) == ("speech", "missing_required_parameter")


@pytest.mark.parametrize(
    ("voice", "expected"),
    [("alloy", "Kore"), ("Verse", "Puck"), ("puck", "Puck"), ("ZEPHYR", "Zephyr"), (None, "Kore")],
)
def test_openais_voices_become_geminis_and_others_are_geminis(voice: str | None, expected: str) -> None:
    assert voice_of(ModalityRequest(("audio",), has_audio=True, voice=voice)) == expected


def test_a_custom_voice_is_refused() -> None:
    with pytest.raises(BadRequest, match="Custom voices are not supported") as caught:
        voice_of(ModalityRequest(("audio",), has_audio=True, voice={"id": "v"}))

    assert caught.value.param == "audio.voice"


@pytest.mark.parametrize(
    ("wanted", "capabilities", "expected"),
    [
        ("pcm16", SPEECH, "pcm16"),
        ("pcm", SPEECH, "pcm16"),
        ("mp3", SPEECH, "wav"),
        (None, SPEECH, "wav"),
        ("wav", TEXT, None),
    ],
)
def test_audio_is_raw_samples_or_a_wav_file(
    wanted: str | None, capabilities: Capabilities, expected: str | None
) -> None:
    assert audio_format(ModalityRequest(audio_format=wanted), capabilities) == expected


@pytest.mark.row("M4")
@pytest.mark.parametrize(
    ("voice", "new", "old"),
    [
        ("vi-vn-Advisor-1", {"voice": "vi-vn-Advisor-1"}, {"prebuiltVoiceConfig": {"voiceName": "vi-vn-Advisor-1"}}),
        ("kore", {"prebuiltVoiceConfig": {"voiceName": "Kore"}}, {"prebuiltVoiceConfig": {"voiceName": "Kore"}}),
        ("NOVA", {"prebuiltVoiceConfig": {"voiceName": "Kore"}}, {"prebuiltVoiceConfig": {"voiceName": "Kore"}}),
        ("", {"prebuiltVoiceConfig": {"voiceName": "Kore"}}, {"prebuiltVoiceConfig": {"voiceName": "Kore"}}),
        ({"id": "voice_aB"}, {"voice": "voice_aB"}, None), ("voicekey_X", {"voice": "voicekey_X"}, None), ({"id": "x"}, None, None),
    ],
)  # fmt: skip
def test_m4_ids_of_voices_keep_their_case(voice: Any, new: Any, old: Any) -> None:
    for capabilities, expected in (
        (SPEECH, new),
        (Capabilities(output=("audio",), voice_library=False), old),
    ):
        wanted = ModalityRequest(("audio",), has_audio=True, voice=voice)
        if expected is None:
            with pytest.raises(BadRequest, match="Custom voices") as caught:
                modality_fields(wanted, capabilities)
            assert caught.value.param == "audio.voice"
        else:
            assert modality_fields(wanted, capabilities)["speech_config"] == {"voiceConfig": expected}
