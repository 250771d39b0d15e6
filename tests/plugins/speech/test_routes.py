"""Speech over HTTP, against an upstream that speaks what a test gives it; the vectors by their numbers."""

import base64
import json
import wave
from io import BytesIO
from typing import Any

import aiohttp
import openai
import pytest
from aiohttp import web

from gateway.observability.request_log import RequestLog
from gateway.plugins.speech import routes
from tests.plugins.speech.conftest import TONE, Speaker, refused, silent, spoken
from tests.support.servers import Serve
from tests.support.sounds import decoded, likeness, seconds, tone, wav
from tests.support.team import Google, Team

L16 = "audio/L16;codec=pcm;rate=24000"
LITE = "/v1beta/models/gemini-3.8-flash-lite-tts:generateContent"
STREAM = "/v1beta/models/gemini-3.8-flash-lite-tts:streamGenerateContent?alt=sse"
SAMPLES = TONE[:4800]


@pytest.fixture
async def base(serve: Serve, speaker: Speaker) -> str:
    return await serve("", speaker.url)


async def say(http: aiohttp.ClientSession, base: str, **body: Any) -> tuple[int, Any, bytes]:
    async with http.post(f"{base}/v1/audio/speech", json={"input": "Hi", **body}) as response:
        return response.status, response.headers, await response.read()


async def refusal(http: aiohttp.ClientSession, base: str, **body: Any) -> tuple[int, Any, dict[str, Any]]:
    status, headers, data = await say(http, base, **body)
    return status, headers, json.loads(data)["error"]


async def test_sp1_the_call_has_the_text_and_the_voice_and_nothing_else(
    http: aiohttp.ClientSession, base: str, speaker: Speaker
) -> None:
    status, headers, _ = await say(http, base, model="tts-1", voice="alloy", response_format="wav")

    assert (status, speaker.paths) == (200, [LITE])
    assert speaker.bodies == [
        {
            "contents": [{"parts": [{"text": "Hi"}], "role": "user"}],
            "generationConfig": {
                "responseModalities": ["AUDIO"],
                "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
            },
        }
    ]
    assert headers["x-gateway-notes"] == "model"


@pytest.mark.parametrize(
    ("model", "instructions", "parts"),
    [
        ("tts-1", "whisper", [{"text": "Hi", "speechMetadata": {"style": "whisper"}}]),
        ("gemini-2.5-flash-preview-tts", "whisper", [{"text": "whisper: Hi"}]),
        ("tts-1", "None", [{"text": "Hi"}]),
        ("tts-1", "null", [{"text": "Hi"}]),
        ("tts-1", "", [{"text": "Hi"}]),
        ("tts-1", None, [{"text": "Hi"}]),
    ],
)
async def test_sp2_instructions_are_a_style(
    http: aiohttp.ClientSession, base: str, speaker: Speaker, model: str, instructions: str, parts: Any
) -> None:
    await say(http, base, model=model, voice="alloy", instructions=instructions)

    assert speaker.parts == parts


SOUNDS = {
    "sp3": (wav(SAMPLES), "audio/wav"),
    "sp3 with a wrong type": (wav(SAMPLES), "audio/L16"),
    "sp4": (SAMPLES, L16),
    "sp4 in older words": (SAMPLES, "audio/l16; rate=24000; channels=1"),
    "sp5 with tags": (wav(SAMPLES, tags=b"INFOx"), "audio/wav"),
    "sp5 of unknown length": (wav(SAMPLES, size=0xFFFFFFFF), "audio/wav"),
}


@pytest.mark.parametrize("case", SOUNDS)
async def test_sp3_sp4_sp5_only_the_samples_count(
    http: aiohttp.ClientSession, base: str, speaker: Speaker, case: str
) -> None:
    speaker.answers = [spoken(*SOUNDS[case])]
    _, headers, file = await say(http, base, response_format="wav")
    _, raw_headers, raw = await say(http, base, response_format="pcm")

    assert (len(file), file.count(b"RIFF"), raw) == (4844, 1, SAMPLES)
    with wave.open(BytesIO(file)) as reader:
        assert (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) == (24000, 1, 2)
        assert reader.readframes(reader.getnframes()) == SAMPLES
    assert (headers["Content-Type"], raw_headers["Content-Type"]) == ("audio/wav", "audio/pcm")
    assert headers["Content-Length"] == "4844"


@pytest.mark.parametrize(
    ("voice", "expected"),
    [
        ("kore", {"prebuiltVoiceConfig": {"voiceName": "Kore"}}),
        ("ZEPHYR", {"prebuiltVoiceConfig": {"voiceName": "Zephyr"}}),
        ("coral", {"prebuiltVoiceConfig": {"voiceName": "Sulafat"}}),
        ("vi-vn-advisor-1", {"voice": "vi-vn-advisor-1"}),
        ({"id": "voice_ab"}, {"voice": "voice_ab"}),
        ("nova", {"prebuiltVoiceConfig": {"voiceName": "Zephyr"}}),
        ("House", {"voice": "voice_house"}),
    ],
)
async def test_sp6_voices(
    http: aiohttp.ClientSession, serve: Serve, speaker: Speaker, voice: Any, expected: Any
) -> None:
    base = await serve("plugins: {speech: {voices: {nova: Zephyr, house: voice_house}}}", speaker.url)
    status, _, _ = await say(http, base, voice=voice, response_format="wav")

    assert (status, speaker.voice) == (200, expected)


async def test_sp6_an_id_that_is_none(http: aiohttp.ClientSession, base: str, speaker: Speaker) -> None:
    status, headers, error = await refusal(http, base, voice={"id": "x"})

    assert (status, error["param"], speaker.bodies) == (400, "voice", [])
    assert headers["x-should-retry"] == "false"


async def test_sp6_a_voice_that_google_refuses_is_explained(
    http: aiohttp.ClientSession, base: str, speaker: Speaker
) -> None:
    speaker.answers = [refused(400, "Voice name vi-vn-nobody is not supported.")]
    status, _, error = await refusal(http, base, voice="vi-vn-nobody")

    assert (status, error["param"]) == (400, "voice")
    assert "alloy" in error["message"]
    assert "Zubenelgenubi" in error["message"]


@pytest.mark.parametrize("option", ["wav", "refuse"])
async def test_sp7_without_an_encoder(
    http: aiohttp.ClientSession, serve: Serve, speaker: Speaker, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setattr(routes, "is_available", lambda: False)
    base = await serve(f"plugins: {{speech: {{without_encoder: {option}}}}}", speaker.url)
    status, headers, data = await say(http, base, voice="alloy", speed=1.5)

    if option == "wav":
        assert (status, headers["Content-Type"], data[:4]) == (200, "audio/wav", b"RIFF")
        assert headers["x-gateway-notes"].split(",") == ["response_format", "speed"]
        assert speaker.parts[0]["speechMetadata"] == {"style": "speak quickly"}
    else:
        error = json.loads(data)["error"]
        assert (status, error["param"]) == (400, "response_format")
        assert all(word in error["message"] for word in ("'wav'", "'pcm'", "'audio'"))


@pytest.mark.parametrize(
    ("asked", "kind", "beginnings"),
    [
        (None, "audio/mpeg", (b"ID3", b"\xff\xf3", b"\xff\xfb")),
        ("mp3", "audio/mpeg", (b"ID3", b"\xff\xf3", b"\xff\xfb")),
        ("opus", "audio/ogg", (b"OggS",)),
        ("ogg", "audio/ogg", (b"OggS",)),
        ("aac", "audio/aac", (b"\xff\xf1",)),
        ("flac", "audio/flac", (b"fLaC",)),
        ("pcm16", "audio/pcm", (b"",)),
        ("raw", "audio/pcm", (b"",)),
    ],
)
async def test_sp8_formats(
    http: aiohttp.ClientSession, base: str, asked: str | None, kind: str, beginnings: tuple[bytes, ...]
) -> None:
    status, headers, data = await say(http, base, **({"response_format": asked} if asked else {}))

    assert (status, headers["Content-Type"]) == (200, kind)
    assert data.startswith(beginnings)


def chunks(*pieces: bytes, mime: str = L16) -> list[Any]:
    return [spoken(piece, mime) for piece in pieces]


async def test_sp9_events(http: aiohttp.ClientSession, base: str, speaker: Speaker) -> None:
    first, last = chunks(TONE[:1001], TONE[1001:])
    first["usageMetadata"] = {"promptTokenCount": 9, "candidatesTokenCount": 1, "totalTokenCount": 10}
    speaker.answers = [[first, last]]
    status, headers, data = await say(http, base, stream_format="sse", response_format="pcm")
    events = [json.loads(line.removeprefix("data: ")) for line in data.decode().split("\n\n") if line]

    assert (status, speaker.paths) == (200, [STREAM])
    assert headers["Content-Type"].startswith("text/event-stream")
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
    assert b"[DONE]" not in data
    assert events[-1]["type"] == "speech.audio.done"
    assert b"".join(base64.b64decode(event["audio"]) for event in events[:-1]) == TONE
    assert events[-1]["usage"] == {"input_tokens": 9, "output_tokens": 40, "total_tokens": 49}


@pytest.mark.parametrize("way", [{"stream_format": "audio"}, {"stream": True}])
async def test_a_stream_of_bytes(
    http: aiohttp.ClientSession, base: str, speaker: Speaker, way: dict[str, Any]
) -> None:
    speaker.answers = [chunks(TONE[:2000], TONE[2000:])]
    _, headers, data = await say(http, base, response_format="wav", **way)

    assert data[:4] == b"RIFF"
    assert data[4:8] == data[40:44] == b"\xff\xff\xff\xff"
    assert data[44:] == TONE
    assert (headers["Content-Type"], headers["Transfer-Encoding"]) == ("audio/wav", "chunked")
    assert "Content-Length" not in headers


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "pcm", "wav"])
async def test_a_stream_that_begins_with_a_wav_header(
    http: aiohttp.ClientSession, base: str, speaker: Speaker, form: str
) -> None:
    sound = tone(0.5)
    speaker.answers = [[spoken(wav(sound[:10000], size=0xFFFFFFFF)), *chunks(sound[10000:])]]
    _, _, data = await say(http, base, response_format=form, stream_format="audio")
    result = data if form == "pcm" else decoded(data)

    assert abs(seconds(result) - 0.5) <= 0.02
    assert likeness(sound, result, most_shift=520) > 0.9


async def test_models_that_do_not_stream_answer_in_one_piece(
    http: aiohttp.ClientSession, base: str, speaker: Speaker
) -> None:
    model = "gemini-2.5-flash-preview-tts"
    _, headers, data = await say(http, base, model=model, response_format="pcm", stream_format="audio")

    assert speaker.paths == [f"/v1beta/models/{model}:generateContent"]
    assert (data, headers["Transfer-Encoding"]) == (TONE, "chunked")


def long_text(characters: int) -> str:
    sentence = "This is a sentence of fifty characters, or nearly. "
    return (sentence * (characters // len(sentence) + 1))[: characters - 1] + "."


@pytest.mark.parametrize("way", [{}, {"stream_format": "audio"}])
async def test_sp10_a_long_text_is_cut_and_joined(
    http: aiohttp.ClientSession, base: str, speaker: Speaker, way: dict[str, Any]
) -> None:
    text = long_text(9000)

    def speak(body: dict[str, Any]) -> dict[str, Any]:
        at = text.index(body["contents"][0]["parts"][0]["text"][-200:])
        return spoken(wav(at.to_bytes(4, "little")))

    speaker.speak = speak
    status, headers, data = await say(
        http, base, input=text, voice="alloy", response_format="wav" if not way else "pcm", **way
    )
    said = [body["contents"][0]["parts"][0]["text"] for body in speaker.bodies]
    places = memoryview(data.removeprefix(data[:44]) if not way else data).cast("I").tolist()

    assert (status, len(said), places) == (200, 3, sorted(places))
    assert len(places) == 3
    assert " ".join(sorted(said, key=text.index)) == text.strip()
    assert all(len(piece) <= 3500 for piece in said)
    assert headers["x-gateway-notes"] == "input"


async def test_a_text_over_the_limit_is_refused(
    http: aiohttp.ClientSession, serve: Serve, speaker: Speaker
) -> None:
    base = await serve("plugins: {speech: {most: 5000}}", speaker.url)
    status, _, error = await refusal(http, base, input="x" * 5001)

    assert (status, error["code"], error["param"]) == (400, "string_above_max_length", "input")
    assert speaker.bodies == []


async def test_a_piece_that_fails_fails_the_whole(
    http: aiohttp.ClientSession, base: str, speaker: Speaker
) -> None:
    speaker.answers = [spoken(wav(TONE)), refused(400, "bad"), spoken(wav(TONE))]
    status, _, _ = await say(http, base, input=long_text(9000))

    assert status == 400


@pytest.mark.parametrize(("speed", "part"), [(2, 0.5), (0.5, 2), (4, 0.25)])
async def test_sp11_speed(
    http: aiohttp.ClientSession, base: str, speaker: Speaker, speed: float, part: float
) -> None:
    speaker.answers = [spoken(wav(tone(4)))]
    _, _, data = await say(http, base, speed=speed, response_format="pcm")

    assert abs(seconds(data) / 4 - part) <= 0.01 * part


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"speed": 5}, "speed"),
        ({"speed": 0.1}, "speed"),
        ({"speed": "fast"}, "speed"),
        ({"input": ""}, "input"),
        ({"input": " \n"}, "input"),
        ({"input": None}, "input"),
        ({"input": ["a"]}, "input"),
        ({"response_format": "midi"}, "response_format"),
        ({"stream_format": "ws"}, "stream_format"),
        ({"voice": 5}, "voice"),
        ({"voice": "v" * 300}, "voice"),
        ({"model": "gemini-3.8-flash"}, "model"),
        ({"model": "gemini-embedding-001"}, "model"),
    ],
)
async def test_sp11_bad_requests_call_nothing(
    http: aiohttp.ClientSession, base: str, speaker: Speaker, body: dict[str, Any], param: str
) -> None:
    status, headers, error = await refusal(http, base, **body)

    assert (status, error["param"], speaker.bodies) == (400, param, [])
    assert headers["x-should-retry"] == "false"


async def test_sp12_lists_need_no_key(base: str) -> None:
    async with aiohttp.ClientSession() as nobody:
        async with nobody.get(f"{base}/v1/audio/voices") as response:
            voices = (await response.json())["voices"]
            assert response.status == 200
        async with nobody.get(f"{base}/v1/audio/models") as response:
            models = (await response.json())["models"]
            assert response.status == 200

    assert len(voices) == 43
    assert voices[0] == {"id": "alloy", "name": "alloy"}
    assert {"id": "Kore", "name": "Kore (Firm)"} in voices
    assert models == [{"id": "gemini-3.8-flash-lite-tts"}, {"id": "gemini-3.8-flash-tts"}]


@pytest.mark.parametrize(
    "path", ["/v1beta/openai/audio/speech", "/openai/deployments/tts/audio/speech?api-version=2024-10-21"]
)
async def test_go4_az2_googles_base_url_and_azures_speak(
    http: aiohttp.ClientSession, base: str, speaker: Speaker, path: str
) -> None:
    body = {"model": "tts-1", "input": "Hi", "voice": "alloy", "response_format": "pcm"}
    async with http.post(base + path, json=body) as response:
        assert (response.status, await response.read()) == (200, TONE)

    assert speaker.paths == [LITE]


async def test_sp13_chat_sends_no_sampling(http: aiohttp.ClientSession, base: str, speaker: Speaker) -> None:
    body = {
        "model": "gemini-3.8-flash-tts",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.7,
        "top_p": 0.9,
    }
    async with http.post(f"{base}/v1/chat/completions", json=body) as response:
        notes = response.headers["x-gateway-notes"]
        audio = (await response.json())["choices"][0]["message"]["audio"]["data"]

    assert not speaker.bodies[0]["generationConfig"].keys() & {"temperature", "topP", "topK"}
    assert set(notes.split(",")) == {"temperature", "top_p"}
    assert base64.b64decode(audio) == wav(TONE)


def speakers(*names: str) -> dict[str, Any]:
    voices = [
        {"speaker": name, "voice_config": {"prebuilt_voice_config": {"voice_name": "Puck"}}} for name in names
    ]
    return {"multi_speaker_voice_config": {"speaker_voice_configs": voices}}


TURNS = [{"text": "Hello.", "speaker": "Joe"}, {"text": "Hi!", "speaker": "Jane", "style": "happy"}]


@pytest.mark.parametrize("way", ["google", "extra_body"])
async def test_sp14_a_dialogue_of_two(
    http: aiohttp.ClientSession, base: str, speaker: Speaker, way: str
) -> None:
    google = {"turns": TURNS, "speech_config": speakers("Joe", "Jane")}
    body: dict[str, Any] = {"google": google} if way == "google" else {"extra_body": {"google": google}}
    status, _, _ = await say(http, base, response_format="wav", **body)

    assert (status, speaker.parts) == (
        200,
        [
            {"text": "Hello.", "speechMetadata": {"speaker": "Joe"}},
            {"text": "Hi!", "speechMetadata": {"style": "happy", "speaker": "Jane"}},
        ],
    )
    config = speaker.bodies[0]["generationConfig"]["speechConfig"]["multiSpeakerVoiceConfig"]
    assert [entry["speaker"] for entry in config["speakerVoiceConfigs"]] == ["Joe", "Jane"]


@pytest.mark.parametrize("names", [("Joe",), ("Joe", "Jane", "Jim"), ("Joe", "Jim")])
async def test_sp14_another_number_of_speakers_is_refused(
    http: aiohttp.ClientSession, base: str, speaker: Speaker, names: tuple[str, ...]
) -> None:
    google = {"turns": TURNS, "speech_config": speakers(*names)}
    status, _, error = await refusal(http, base, google=google)

    assert (status, error["param"].startswith("google."), speaker.bodies) == (400, True, [])


@pytest.mark.parametrize("way", [{}, {"stream_format": "sse"}, {"stream_format": "audio"}])
@pytest.mark.parametrize(
    ("answers", "calls", "status", "code"),
    [
        ([silent("OTHER"), spoken(wav(TONE))], 2, 200, ""),
        ([silent("STOP", "I cannot speak."), spoken(wav(TONE))], 2, 200, ""),
        ([silent("OTHER")], 2, 502, "no_audio"),
        ([silent("STOP")], 2, 502, "no_audio"),
        ([spoken(b"", L16)], 2, 502, "no_audio"),
        ([silent("SAFETY")], 1, 400, "content_policy_violation"),
        ([silent("PROHIBITED_CONTENT")], 1, 400, "content_policy_violation"),
        ([{"promptFeedback": {"blockReason": "SAFETY"}}], 1, 400, "content_policy_violation"),
        ([refused(429, "quota"), spoken(wav(TONE))], 1, 429, "rate_limit_exceeded"),
        ([refused(503, "busy"), spoken(wav(TONE))], 2, 200, ""),
        ([refused(503, "busy"), refused(503, "busy"), spoken(wav(TONE))], 2, 503, None),
        ([refused(500, "broken"), spoken(wav(TONE))], 1, 500, None),
        ([refused(400, "bad")], 1, 400, None),
    ],
)
async def test_failures_are_tried_again_once_at_most(
    http: aiohttp.ClientSession,
    base: str,
    speaker: Speaker,
    way: dict[str, Any],
    answers: list[Any],
    calls: int,
    status: int,
    code: str | None,
) -> None:
    speaker.answers = list(answers)
    got, headers, data = await say(http, base, response_format="wav", **way)

    assert (got, len(speaker.bodies)) == (status, calls)
    if status != 200:
        error = json.loads(data)["error"]
        assert code is None or error["code"] == code
        assert headers["x-should-retry" if status in range(400, 500) and status != 429 else "x-request-id"]


@pytest.mark.parametrize(
    ("model", "said"),
    [("gemini-2.5-flash-preview-tts", ["Hi", "Say: Hi"]), ("gemini-3.8-flash-tts", ["Hi"])],
)
async def test_an_older_model_that_would_answer_is_told_to_speak(
    http: aiohttp.ClientSession, base: str, speaker: Speaker, model: str, said: list[str]
) -> None:
    message = "Model tried to generate text, but it should only be used for TTS."
    speaker.answers = [refused(400, message), spoken(wav(TONE))]
    await say(http, base, model=model)

    assert [body["contents"][0]["parts"][0]["text"] for body in speaker.bodies] == said


@pytest.mark.parametrize("cut", [None, {"error": {"code": 500, "message": "broken", "status": "INTERNAL"}}])
async def test_a_stream_of_bytes_that_breaks_is_cut(
    http: aiohttp.ClientSession, base: str, speaker: Speaker, request_lines: list[RequestLog], cut: Any
) -> None:
    chunk = spoken(TONE, L16)
    del chunk["candidates"][0]["finishReason"]
    speaker.answers = [[chunk, cut]]
    async with http.post(
        f"{base}/v1/audio/speech", json={"input": "Hi", "response_format": "pcm", "stream": True}
    ) as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()

    assert len(speaker.bodies) == 1


@pytest.mark.parametrize("cut", [None, {"error": {"code": 500, "message": "broken", "status": "INTERNAL"}}])
async def test_events_that_break_end_with_an_error(
    http: aiohttp.ClientSession, base: str, speaker: Speaker, cut: Any
) -> None:
    chunk = spoken(TONE, L16)
    del chunk["candidates"][0]["finishReason"]
    speaker.answers = [[chunk, cut]]
    _, _, data = await say(http, base, response_format="pcm", stream_format="sse")
    events = [json.loads(line.removeprefix("data: ")) for line in data.decode().split("\n\n") if line]

    assert [event["type"] for event in events] == ["speech.audio.delta", "error"]
    assert set(events[-1]["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "part",
    [
        wav(SAMPLES, rate=1),
        wav(SAMPLES, rate=4_000_000_000 // 2),
        wav(SAMPLES).replace(b"\x02\0\x10\0data", b"\x02\0\x08\0data"),
    ],
)
async def test_sound_that_cannot_be_is_the_upstreams_fault(
    http: aiohttp.ClientSession, base: str, speaker: Speaker, part: bytes
) -> None:
    speaker.answers = [spoken(part)]
    status, _, error = await refusal(http, base)

    assert (status, error["code"]) == (502, "upstream_bad_response")


async def test_another_rate_is_resampled_for_pcm_and_kept_for_wav(
    http: aiohttp.ClientSession, base: str, speaker: Speaker
) -> None:
    sound = tone(0.5, 16000)
    speaker.answers = [spoken(sound, "audio/L16;rate=16000")]
    _, _, file = await say(http, base, response_format="wav")
    _, _, raw = await say(http, base, response_format="pcm")

    assert file == wav(sound, 16000)
    assert abs(seconds(raw) - 0.5) < 0.002
    assert likeness(tone(0.5), raw, most_shift=40) > 0.99


async def test_the_sdk_streams_to_a_file(base: str, speaker: Speaker, tmp_path: Any) -> None:
    speaker.answers = [spoken(wav(tone(0.3)))]
    async with (
        openai.AsyncOpenAI(base_url=f"{base}/v1", api_key="k", max_retries=0) as sdk,
        sdk.audio.speech.with_streaming_response.create(
            model="gpt-4o-mini-tts", voice="coral", input="Hi", instructions="warm"
        ) as response,
    ):
        await response.stream_to_file(tmp_path / "speech.mp3")

    assert abs(seconds(decoded((tmp_path / "speech.mp3").read_bytes())) - 0.3) <= 0.02


async def test_unknown_fields_are_noted_and_a_missing_voice_too(
    http: aiohttp.ClientSession, base: str, request_lines: list[RequestLog]
) -> None:
    status, headers, _ = await say(http, base, model="gemini-3.8-flash-tts", user="me", response_format="wav")

    assert (status, headers["x-gateway-notes"]) == (200, "user,voice")
    assert headers["x-gateway-model"] == "gemini-3.8-flash-tts"
    assert (request_lines[-1].surface, request_lines[-1].completion_tokens) == ("speech", 40)


async def test_configured_thresholds_are_sent(
    http: aiohttp.ClientSession, serve: Serve, speaker: Speaker
) -> None:
    base = await serve("safety: {HARM_CATEGORY_HARASSMENT: BLOCK_LOW_AND_ABOVE}", speaker.url)
    await say(http, base, response_format="wav")

    assert speaker.bodies[0]["safetySettings"] == [
        {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_LOW_AND_ABOVE"}
    ]


async def test_a_language_is_sent(http: aiohttp.ClientSession, base: str, speaker: Speaker) -> None:
    await say(http, base, language="de-DE", response_format="wav")

    assert speaker.bodies[0]["generationConfig"]["speechConfig"]["languageCode"] == "de-DE"


async def test_a_key_is_needed(base: str) -> None:
    async with (
        aiohttp.ClientSession() as nobody,
        nobody.post(f"{base}/v1/audio/speech", json={"input": "Hi"}) as response,
    ):
        assert (response.status, response.headers["x-should-retry"]) == (401, "false")


async def test_w2_the_ledger_and_a_budget(http: aiohttp.ClientSession, team: Team, google: Google) -> None:
    """Nine tokens of text at $0.50 and forty of audio at $6 a million; the answer settles what was reserved."""
    key = team.issue(dollars={"day": 1})
    google.answers = {"AIza-a": lambda: web.json_response(spoken(wav(TONE)))}
    await team.start("a")
    http.headers["Authorization"] = f"Bearer {key}"
    status, _, _ = await say(http, team.base, model="gpt-4o-mini-tts", voice="coral")
    (row,) = await team.settled()

    assert (status, row.surface, row.model, row.micros) == (200, "speech", "gemini-3.8-flash-lite-tts", 245)
