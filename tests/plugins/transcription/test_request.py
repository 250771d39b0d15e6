"""What a client asks for, and how Gemini is asked."""

from typing import Any

import msgspec
import pytest

from gateway.conversation.notes import Notes
from gateway.errors import BadRequest, UnsupportedParameter
from gateway.gemini.capabilities import Capabilities
from gateway.gemini.wire import Blob, Part, encode_request
from gateway.plugins.transcription.request import Wish, interaction, prompt, vocabulary, wish
from gateway.plugins.transcription.wire import decode_request

USUAL = Capabilities()
SOUND = Part(inline_data=Blob("audio/wav", "AAAA"))


def wanted(by_chat: bool = False, translate: bool = False, notes: Notes | None = None, **fields: Any) -> Wish:
    body = decode_request(msgspec.json.encode(fields))
    return wish(body, notes if notes is not None else Notes(), translate=translate, by_chat=by_chat)


@pytest.mark.parametrize(
    ("prompt_", "items"),
    [
        ("Acme, Zorg", ["Acme", "Zorg"]),
        ("Acme", ["Acme"]),
        ("Ada Lovelace\nGrace Hopper\n", ["Ada Lovelace", "Grace Hopper"]),
        ("He said that it was late", []),
        ("Well, I think that we should go home now", []),
        ("Two words", []),
        ("", []),
        (",,", []),
    ],
)
def test_lists_of_names(prompt_: str, items: list[str]) -> None:
    assert vocabulary(prompt_) == items


@pytest.mark.parametrize(
    ("fields", "config"),
    [
        ({}, None),
        ({"response_format": "text"}, None),
        ({"language": "en", "languages": ["de", "en"]}, {"language_codes": ["en", "de"]}),
        (
            {"timestamp_granularities": ["word"]},
            {"mode": {"type": "verbatim", "timestamp_granularities": ["word"]}},
        ),
        ({"stream": "true"}, {"mode": {"type": "verbatim", "timestamp_granularities": ["word"]}}),
        (
            {"response_format": "diarized_json"},
            {
                "mode": {
                    "type": "verbatim",
                    "timestamp_granularities": ["word"],
                    "diarization_mode": "speaker",
                }
            },
        ),
    ],
)
def test_interactions(fields: dict[str, Any], config: Any) -> None:
    body = interaction("gemini-3.5-transcribe", wanted(**fields), {"data": "AAAA", "mime_type": "audio/wav"})

    assert body["store"] is False
    assert body.get("generation_config") == ({"transcription_config": config} if config else None)


def asked(model: str = "gemini-3.8-flash", capabilities: Capabilities = USUAL, **fields: Any) -> Any:
    request = prompt(model, wanted(by_chat=True, **fields), SOUND, capabilities, (), Notes())
    return msgspec.json.decode(encode_request(request))


def words(body: Any) -> str:
    return str(body["contents"][0]["parts"][1]["text"])


def test_prompts_name_language_and_spellings() -> None:
    assert "The language is: de." in words(asked(language="de"))
    assert words(asked(prompt="He said that it was late")).endswith(
        "Names and spellings: He said that it was late"
    )
    assert words(asked(keywords=["Acme", "Zorg"])).endswith("Names and spellings: Acme, Zorg")


def test_times_are_asked_for_by_a_schema() -> None:
    config = asked(response_format="srt")["generationConfig"]
    schema = config["responseJsonSchema"]["properties"]["segments"]["items"]

    assert config["responseMimeType"] == "application/json"
    assert schema["required"] == ["start", "end", "text"]
    assert (
        "speaker"
        in asked(response_format="diarized_json")["generationConfig"]["responseJsonSchema"]["properties"][
            "segments"
        ]["items"]["required"]
    )


@pytest.mark.parametrize(
    ("capabilities", "thinking"),
    [
        (Capabilities(levels=("minimal", "low")), {"thinkingLevel": "MINIMAL"}),
        (Capabilities(thinking="budget", thinking_off=True), {"thinkingBudget": 0}),
        (Capabilities(thinking="budget"), {"thinkingBudget": 128}),
        (Capabilities(thinking="none"), None),
    ],
)
def test_the_least_thinking(capabilities: Capabilities, thinking: Any) -> None:
    assert asked(capabilities=capabilities).get("generationConfig", {}).get("thinkingConfig") == thinking


@pytest.mark.parametrize(
    ("model", "sent"),
    [("gemini-2.5-flash", True), ("gemini-3-flash-preview", True), ("gemini-3.5-flash", True), ("gemini-3.6-flash", False),
     ("gemini-4-argon", False), ("gemini-flash-latest", False)],
)  # fmt: skip
def test_temperature_for_models_that_take_one(model: str, sent: bool) -> None:
    assert ("temperature" in asked(model, temperature="0.4")["generationConfig"]) is sent


def test_what_is_not_honoured_is_noted_or_refused() -> None:
    notes = Notes()
    wanted(
        notes=notes, prompt="He said that it was late", temperature="0.5", model="whisper-1", stream="true"
    )

    assert set(notes) == {"prompt", "temperature", "stream"}
    with pytest.raises(UnsupportedParameter):
        wanted(notes=Notes(strict=True), prompt="He said that it was late")


def test_formats_of_translations() -> None:
    with pytest.raises(BadRequest):
        wanted(by_chat=True, translate=True, response_format="diarized_json")
    assert "English" in words(asked(translate=True))
