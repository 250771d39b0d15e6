"""The emulated transcription model: words as long as the audio, and refusals."""

import base64
import json
from typing import Any

import aiohttp
import pytest

from tests.support.servers import Fake
from tests.support.sounds import tone, wav

MODEL = "gemini-3.5-transcribe"
WORDS = {"type": "verbatim", "timestamp_granularities": ["word"]}


def body(seconds: float = 2.0, **config: Any) -> dict[str, Any]:
    audio = {"type": "audio", "data": base64.b64encode(wav(tone(seconds))).decode(), "mime_type": "audio/wav"}
    return {"model": MODEL, "input": [audio], "generation_config": {"transcription_config": config}}


async def ask(fake: Fake, request: Any, path: str = "interactions") -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession(headers={"x-goog-api-key": "AIza-x"}) as http,
        http.post(f"{fake.url}/v1beta/{path}", json=request) as response,
    ):
        return response.status, json.loads(await response.read())


async def test_words_have_times(fake: Fake) -> None:
    status, answer = await ask(fake, body(mode={**WORDS, "diarization_mode": "speaker"}))
    (content,) = answer["steps"][0]["content"]
    notes = content["annotations"]

    assert (status, answer["status"], content["text"]) == (200, "completed", "Good morning. The train")
    assert [note["text"] for note in notes] == content["text"].split()
    assert notes[1] == {
        "type": "word_info", "text": "morning.", "start_offset": "0.5s", "end_offset": "0.9s", "speaker": "spk_7",
    }  # fmt: skip
    assert notes[2]["speaker"] == "spk_2"
    assert answer["usage"]["input_tokens_by_modality"] == [{"modality": "audio", "tokens": 51}]


async def test_no_times_unless_asked_for(fake: Fake) -> None:
    _, answer = await ask(fake, body(custom_vocabulary=["Acme"]))

    assert answer["steps"][0]["content"] == [{"type": "text", "text": "Acme Good morning. The"}]


@pytest.mark.parametrize(
    "change",
    [
        {"system_instruction": "x"},
        {"tools": [{"type": "google_search"}]},
        {"stream": True},
        {"input": "words"},
        {"input": []},
        {"input": [{"type": "audio", "data": "AAAA", "mime_type": "audio/mp4"}]},
        {"input": [{"type": "audio", "data": "A", "mime_type": "audio/wav"}]},
        {"input": [{"type": "audio", "data": "", "mime_type": "audio/wav"}]},
        {"generation_config": {"temperature": 0}},
        {"generation_config": {"transcription_config": {"words": True}}},
        {"generation_config": {"transcription_config": {"mode": {**WORDS, "type": "smart"}}}},
    ],
)
async def test_refusals(fake: Fake, change: dict[str, Any]) -> None:
    status, answer = await ask(fake, {**body(), **change})

    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")


async def test_the_model_generates_no_content(fake: Fake) -> None:
    status, _ = await ask(fake, {"contents": [{"parts": [{"text": "x"}]}]}, f"models/{MODEL}:generateContent")

    assert status == 404
