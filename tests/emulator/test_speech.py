"""The emulated speech models: forms of sound by generation, and refusals."""

import base64
import json
import wave
from io import BytesIO
from typing import Any

import aiohttp
import pytest

from tests.support.servers import Fake

NEW, OLD, OLDEST = "gemini-3.8-flash-tts", "gemini-3.1-flash-tts-preview", "gemini-2.5-flash-preview-tts"
VOICE = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}


def body(text: str = "Hello.", speech: Any = VOICE, **config: Any) -> dict[str, Any]:
    own = {"speechConfig": speech} if speech else {}
    generation = {"responseModalities": ["AUDIO"], **own, **config}
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], "generationConfig": generation}


async def ask(fake: Fake, model: str, request: Any, *, stream: bool = False) -> tuple[int, list[Any]]:
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    async with (
        aiohttp.ClientSession(headers={"x-goog-api-key": "AIza-x"}) as http,
        http.post(f"{fake.url}/v1beta/models/{model}:{verb}", json=request) as response,
    ):
        data = await response.read()
    if not stream:
        return response.status, [json.loads(data)]
    lines = [line.removeprefix(b"data: ") for line in data.split(b"\r\n\r\n") if line]
    return response.status, [json.loads(line) for line in lines]


def blobs(chunks: list[Any]) -> list[tuple[str, bytes]]:
    parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    inner = [part["inlineData"] for part in parts if "inlineData" in part]
    return [(blob["mimeType"], base64.b64decode(blob["data"])) for blob in inner]


async def test_the_newest_answer_a_file_and_stream_samples(fake: Fake) -> None:
    _, whole = await ask(fake, NEW, body())
    _, chunks = await ask(fake, NEW, body(), stream=True)
    ((mime, file),) = blobs(whole)
    pieces = blobs(chunks)

    assert mime == "audio/wav"
    with wave.open(BytesIO(file)) as reader:
        assert (reader.getframerate(), reader.getnchannels()) == (24000, 1)
        samples = reader.readframes(reader.getnframes())
    assert len(samples) == 6 * 2400
    assert {kind for kind, _ in pieces} == {"audio/l16; rate=24000; channels=1"}
    assert b"".join(piece for _, piece in pieces) == samples
    assert len(pieces) > 1
    usage = whole[0]["usageMetadata"]
    assert usage["candidatesTokensDetails"] == [{"modality": "AUDIO", "tokenCount": 8}]
    assert chunks[-1]["usageMetadata"]["candidatesTokenCount"] == 8


@pytest.mark.parametrize(("model", "several"), [(OLD, True), (OLDEST, False)])
async def test_older_ones_answer_samples(fake: Fake, model: str, several: bool) -> None:
    _, whole = await ask(fake, model, body())
    _, chunks = await ask(fake, model, body(), stream=True)
    ((mime, samples),) = blobs(whole)

    assert mime == "audio/L16;codec=pcm;rate=24000"
    assert b"".join(piece for _, piece in blobs(chunks)) == samples
    assert (len(blobs(chunks)) > 1) is several


async def test_voices_differ(fake: Fake) -> None:
    other = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Puck"}}}
    sounds = [blobs((await ask(fake, NEW, body(speech=voice)))[1]) for voice in (VOICE, other)]

    assert sounds[0] != sounds[1]


@pytest.mark.parametrize(
    ("model", "request_"),
    [
        (NEW, body(temperature=1)),
        (NEW, {**body(), "systemInstruction": {"parts": [{"text": "x"}]}}),
        (OLD, body(speech=None)),
        (NEW, body(speech={"multiSpeakerVoiceConfig": {"speakerVoiceConfigs": [{}]}})),
        (NEW, body(speech={"multiSpeakerVoiceConfig": {"speakerVoiceConfigs": [{}, {}, {}]}})),
        (NEW, {"contents": [{"parts": [{"text": "x", "speechMetadata": {"mood": "x"}}]}]}),
        (NEW, body("x" * 70_000)),
    ],
)
async def test_refusals(fake: Fake, model: str, request_: dict[str, Any]) -> None:
    status, answer = await ask(fake, model, request_)

    assert (status, answer[0]["error"]["status"]) == (400, "INVALID_ARGUMENT")


async def test_an_older_model_has_a_voice_of_its_own(fake: Fake) -> None:
    assert (await ask(fake, OLDEST, body(speech=None)))[0] == 200
