"""Transcription over HTTP, against an upstream that hears what a test gives it; the vectors by their numbers."""

import base64
import json
from io import StringIO
from typing import Any

import aiohttp
import openai
import pytest
import webvtt
from aiohttp import web

from gateway.gemini.audio import Sound
from gateway.gemini.audio_encoder import encode
from gateway.observability.request_log import RequestLog
from tests.plugins.transcription.conftest import Hearer, heard, refused, said
from tests.support.servers import Serve
from tests.support.sounds import RATE, tone, wav
from tests.support.team import Google, Team

AUDIO = wav(tone(1.4))
HELLO = heard("Hello world.", ("Hello", 0.1, 0.5, ""), ("world.", 0.6, 1.2, ""))
TWO = heard("Good day. Bye.", ("Good", 0.1, 0.4, ""), ("day.", 0.5, 0.9, ""), ("Bye.", 1.0, 1.3, ""))


@pytest.fixture
async def base(serve: Serve, hearer: Hearer) -> str:
    return await serve("", hearer.url)


def form(
    fields: dict[str, Any] | None = None, audio: bytes = AUDIO, name: str = "a.wav", kind: str = "audio/wav"
) -> aiohttp.FormData:
    data = aiohttp.FormData()
    for field, value in (fields or {}).items():
        for item in value if isinstance(value, list) else [value]:
            data.add_field(field, item)
    data.add_field("file", audio, filename=name, content_type=kind)
    return data


async def ask(
    http: aiohttp.ClientSession, base: str, path: str = "transcriptions", data: Any = None, **fields: Any
) -> tuple[int, Any, str]:
    sent = data if data is not None else form({"model": "whisper-1", **fields})
    async with http.post(f"{base}/v1/audio/{path}", data=sent) as response:
        return response.status, response.headers, await response.text()


async def test_tr1_a_file_becomes_an_interaction(
    http: aiohttp.ClientSession, base: str, hearer: Hearer, request_lines: list[RequestLog]
) -> None:
    status, headers, text = await ask(http, base, language="en")

    assert (status, hearer.paths) == (200, ["/v1beta/interactions"])
    assert hearer.bodies == [
        {
            "model": "gemini-3.5-transcribe",
            "input": [{"type": "audio", "data": base64.b64encode(AUDIO).decode(), "mime_type": "audio/wav"}],
            "generation_config": {"transcription_config": {"language_codes": ["en"]}},
            "store": False,
        }
    ]
    assert json.loads(text) == {
        "text": "Hello world.",
        "usage": {
            "type": "tokens", "input_tokens": 35, "output_tokens": 4, "total_tokens": 39,
            "input_token_details": {"audio_tokens": 35, "text_tokens": 0},
        },
    }  # fmt: skip
    assert headers["x-gateway-notes"] == "model"
    assert (request_lines[-1].surface, request_lines[-1].prompt_tokens) == ("transcription", 35)


async def test_tr2_srt(http: aiohttp.ClientSession, base: str, hearer: Hearer) -> None:
    hearer.answers = [HELLO]
    _, headers, text = await ask(http, base, response_format="srt")

    assert text == "1\n00:00:00,100 --> 00:00:01,200\nHello world.\n"
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert hearer.config["mode"] == {"type": "verbatim", "timestamp_granularities": ["word"]}


async def test_tr3_verbose_json(http: aiohttp.ClientSession, base: str, hearer: Hearer) -> None:
    hearer.answers = [HELLO]
    _, _, text = await ask(
        http, base, response_format="verbose_json", **{"timestamp_granularities[]": "word"}
    )
    answer = json.loads(text)

    assert answer["words"] == [
        {"word": "Hello", "start": 0.1, "end": 0.5},
        {"word": "world.", "start": 0.6, "end": 1.2},
    ]
    assert answer["segments"] == [
        {
            "id": 0, "seek": 0, "start": 0.1, "end": 1.2, "text": "Hello world.", "tokens": [], "temperature": 0.0,
            "avg_logprob": 0.0, "compression_ratio": 0.0, "no_speech_prob": 0.0,
        }
    ]  # fmt: skip
    assert (answer["task"], answer["language"], answer["duration"]) == ("transcribe", "", 1.4)
    assert answer["usage"] == {"type": "duration", "seconds": 1.4}
    assert len(answer["segments"][0]) == 10


async def test_tr3_words_only_when_they_are_asked_for(
    http: aiohttp.ClientSession, base: str, hearer: Hearer
) -> None:
    hearer.answers = [HELLO]
    _, _, text = await ask(http, base, response_format="verbose_json", language="de")

    assert "words" not in json.loads(text)
    assert json.loads(text)["language"] == "german"


async def test_tr4_speakers_in_the_order_of_their_turns(
    http: aiohttp.ClientSession, base: str, hearer: Hearer
) -> None:
    words = [
        ("Hi.", 0.0, 0.3, "spk_7"),
        ("Ho.", 0.4, 0.6, "spk_2"),
        ("Yes.", 0.7, 0.9, "spk_7"),
        ("So.", 1.0, 1.2, "spk_7"),
    ]
    hearer.answers = [heard("Hi. Ho. Yes. So.", *words)]
    _, _, text = await ask(http, base, response_format="diarized_json")
    answer = json.loads(text)

    assert [(part["id"], part["speaker"], part["text"]) for part in answer["segments"]] == [
        ("seg_0", "A", "Hi."), ("seg_1", "B", "Ho."), ("seg_2", "A", "Yes. So."),
    ]  # fmt: skip
    assert {part["type"] for part in answer["segments"]} == {"transcript.text.segment"}
    assert hearer.config["mode"]["diarization_mode"] == "speaker"


async def test_tr5_a_chat_model_is_asked_in_words(
    http: aiohttp.ClientSession, base: str, hearer: Hearer
) -> None:
    hearer.answers = [said("Hello world.\n")]
    status, headers, text = await ask(
        http, base, data=form({"model": "gemini-3.8-flash", "temperature": "0"})
    )
    body = hearer.bodies[0]
    parts = body["contents"][0]["parts"]

    assert (status, hearer.paths) == (200, ["/v1beta/models/gemini-3.8-flash:generateContent"])
    assert parts[0] == {"inlineData": {"mimeType": "audio/wav", "data": base64.b64encode(AUDIO).decode()}}
    assert list(parts[1]) == ["text"]
    assert body["generationConfig"] == {"thinkingConfig": {"thinkingLevel": "LOW"}}
    assert json.loads(text)["text"] == "Hello world."
    assert "x-gateway-notes" not in headers


async def test_tr6_a_chat_model_has_times_of_segments_alone(
    http: aiohttp.ClientSession, base: str, hearer: Hearer
) -> None:
    segments = [
        {"start": "00:00.1", "end": "00:00.9", "text": "Good day."},
        {"start": "00:00.5", "end": "99:00", "text": "Bye."},
    ]
    hearer.answers = [said(json.dumps({"segments": segments, "language": "English"}))]
    fields = {"model": "gemini-3.8-flash", "response_format": "verbose_json"}
    refused_status, _, refusal = await ask(
        http, base, data=form({**fields, "timestamp_granularities[]": "word"})
    )
    status, headers, text = await ask(
        http, base, data=form({**fields, "timestamp_granularities[]": "segment"})
    )
    answer = json.loads(text)

    assert (refused_status, json.loads(refusal)["error"]["param"]) == (400, "timestamp_granularities")
    assert "gemini-3.5-transcribe" in json.loads(refusal)["error"]["message"]
    assert (status, headers["x-gateway-notes"]) == (200, "timestamp_granularities")
    assert [(part["start"], part["end"]) for part in answer["segments"]] == [(0.1, 0.9), (0.5, 1.4)]
    assert (answer["text"], answer["language"]) == ("Good day. Bye.", "english")


@pytest.mark.parametrize(
    ("fields", "vocabulary", "notes"),
    [
        ({"keywords[]": "Acme", "prompt": "Acme, Zorg"}, ["Acme", "Zorg"], "model"),
        ({"prompt": "Acme"}, ["Acme"], "model"),
        ({"prompt": "Ada Lovelace\nGrace Hopper"}, ["Ada Lovelace", "Grace Hopper"], "model"),
        ({"prompt": "He said that it was late"}, None, "prompt,model"),
    ],
)
async def test_tr7_names(
    http: aiohttp.ClientSession,
    base: str,
    hearer: Hearer,
    fields: dict[str, str],
    vocabulary: Any,
    notes: str,
) -> None:
    _, headers, _ = await ask(http, base, **fields)
    config = hearer.bodies[0].get("generation_config", {}).get("transcription_config", {})

    assert config.get("custom_vocabulary") == vocabulary
    assert headers["x-gateway-notes"] == notes


async def test_tr8_first_bytes_tell_the_type(http: aiohttp.ClientSession, base: str, hearer: Hearer) -> None:
    ogg = encode(Sound(tone(0.2), RATE), "opus")
    await ask(http, base, data=form({}, ogg, "upload", "application/octet-stream"))

    assert hearer.bodies[0]["input"][0]["mime_type"] == "audio/ogg"


@pytest.mark.parametrize(
    ("audio", "name", "code"),
    [
        (b"%PDF-1.7 ...", "a.mp3", "invalid_value"),
        (b"", "a.wav", "audio_too_short"),
        (wav(b""), "a.wav", "audio_too_short"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "a.wav", "invalid_value"),
        (b"<html>no audio</html>", "a.mp3", "invalid_value"),
        (b"PK\x03\x04" + bytes(50), "a.zip", "invalid_value"),
        (bytes(50), "a", "invalid_value"),
    ],
)
async def test_tr8_what_is_no_audio(
    http: aiohttp.ClientSession, base: str, hearer: Hearer, audio: bytes, name: str, code: str
) -> None:
    status, headers, text = await ask(http, base, data=form({}, audio, name, "audio/wav"))
    error = json.loads(text)["error"]

    assert (status, error["param"], error["code"], hearer.bodies) == (400, "file", code, [])
    assert headers["x-should-retry"] == "false"


async def test_tr9_text_is_bare(http: aiohttp.ClientSession, base: str, hearer: Hearer) -> None:
    hearer.answers = [heard('a "b"')]
    _, headers, text = await ask(http, base, response_format="text")

    assert (text, headers["Content-Type"]) == ('a "b"\n', "text/plain; charset=utf-8")


def events(text: str) -> list[Any]:
    return [
        json.loads(line.removeprefix("data: ")) for line in text.split("\n\n") if line.startswith("data: ")
    ]


async def test_tr10_a_delta_for_each_segment(http: aiohttp.ClientSession, base: str, hearer: Hearer) -> None:
    hearer.answers = [TWO]
    _, headers, text = await ask(http, base, data=form({"model": "gpt-4o-transcribe", "stream": "true"}))
    deltas = events(text)

    assert headers["Content-Type"].startswith("text/event-stream")
    assert [event["type"] for event in deltas] == ["transcript.text.delta"] * 2 + ["transcript.text.done"]
    assert "".join(event["delta"] for event in deltas[:-1]) == deltas[-1]["text"] == "Good day. Bye."
    assert deltas[-1]["usage"]["total_tokens"] == 39


async def test_tr10_speakers_are_events(http: aiohttp.ClientSession, base: str, hearer: Hearer) -> None:
    hearer.answers = [heard("Hi. Ho.", ("Hi.", 0, 0.3, "x"), ("Ho.", 0.4, 0.6, "y"))]
    fields = {"model": "gpt-4o-transcribe-diarize", "stream": "true", "response_format": "diarized_json"}
    _, _, text = await ask(http, base, data=form(fields))

    assert [event["type"] for event in events(text)] == ["transcript.text.segment"] * 2 + [
        "transcript.text.done"
    ]


async def test_a_chat_model_streams(http: aiohttp.ClientSession, base: str, hearer: Hearer) -> None:
    first = {"candidates": [{"content": {"parts": [{"text": "Good "}]}}]}
    hearer.answers = [[first, said("day.")]]
    _, _, text = await ask(http, base, data=form({"model": "gemini-3.8-flash", "stream": "true"}))

    assert hearer.paths == ["/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse"]
    assert [event.get("delta") for event in events(text)] == ["Good ", "day.", None]
    assert events(text)[-1]["text"] == "Good day."


@pytest.mark.parametrize(
    "fields", [{"model": "whisper-1"}, {"model": "gpt-4o-transcribe", "response_format": "srt"}]
)
async def test_a_stream_that_there_is_not(
    http: aiohttp.ClientSession, base: str, hearer: Hearer, fields: dict[str, str]
) -> None:
    hearer.answers = [HELLO]
    _, headers, _ = await ask(http, base, data=form({"stream": "true", **fields}))

    assert not headers["Content-Type"].startswith("text/event-stream")
    assert "stream" in headers["x-gateway-notes"].split(",")


async def test_tr11_translations_are_made_by_a_chat_model(
    http: aiohttp.ClientSession, base: str, hearer: Hearer
) -> None:
    hearer.answers = [
        said(
            json.dumps({"segments": [{"start": "0:00", "end": "0:01", "text": "Hi."}], "language": "Danish"})
        )
    ]
    status, _, text = await ask(http, base, "translations", response_format="verbose_json")
    answer = json.loads(text)

    assert (status, hearer.paths) == (200, ["/v1beta/models/gemini-flash-latest:generateContent"])
    assert "English" in hearer.bodies[0]["contents"][0]["parts"][1]["text"]
    assert (answer["task"], answer["language"], answer["text"]) == ("translate", "english", "Hi.")


async def test_tr12_vtt(http: aiohttp.ClientSession, base: str, hearer: Hearer) -> None:
    hearer.answers = [HELLO]
    _, headers, text = await ask(http, base, response_format="vtt")

    assert text.startswith("WEBVTT\n\n00:00:00.100 --> ")
    assert headers["Content-Type"] == "text/vtt; charset=utf-8"


@pytest.mark.parametrize("kind", ["srt", "vtt"])
async def test_subtitles_are_read_by_a_player(
    http: aiohttp.ClientSession, base: str, hearer: Hearer, kind: str
) -> None:
    words = [(f"w{i}{'.' if i % 5 == 4 else ''}", i * 0.5, i * 0.5 + 0.4, "") for i in range(40)]
    text = " ".join(word for word, *_ in words)
    hearer.answers = [heard(text, *words)]
    _, _, subtitles = await ask(http, base, response_format=kind)
    read = webvtt.from_buffer(StringIO(subtitles), kind).captions

    assert " ".join(caption.text for caption in read) == text
    assert [caption.start_in_seconds for caption in read] == [0, 2, 5, 7, 10, 12, 15, 17]


async def test_w3_a_worked_example(http: aiohttp.ClientSession, base: str, hearer: Hearer) -> None:
    hearer.answers = [heard("Good morning.", ("Good", 0.2, 0.5, ""), ("morning.", 0.5, 1.1, ""))]
    _, _, text = await ask(
        http, base, response_format="verbose_json", **{"timestamp_granularities[]": "word"}
    )

    assert json.loads(text) == {
        "task": "transcribe", "language": "", "duration": 1.4, "text": "Good morning.",
        "segments": [{"id": 0, "seek": 0, "start": 0.2, "end": 1.1, "text": "Good morning.", "tokens": [],
                      "temperature": 0.0, "avg_logprob": 0.0, "compression_ratio": 0.0, "no_speech_prob": 0.0}],
        "words": [{"word": "Good", "start": 0.2, "end": 0.5}, {"word": "morning.", "start": 0.5, "end": 1.1}],
        "usage": {"type": "duration", "seconds": 1.4},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("transcriptions", {"response_format": "xml"}, "response_format"),
        ("transcriptions", {"timestamp_granularities[]": "letter"}, "timestamp_granularities"),
        ("transcriptions", {"temperature": "hot"}, "temperature"),
        ("transcriptions", {"temperature": "2"}, "temperature"),
        ("transcriptions", {"stream": "perhaps"}, "stream"),
        ("transcriptions", {"model": "gemini-3.8-live"}, "model"),
        ("transcriptions", {"model": "gemini-3.5-transcribe-live"}, "model"),
        ("transcriptions", {"model": "gemini-embedding-001"}, "model"),
        ("transcriptions", {"model": "gemini-3.8-flash-tts"}, "model"),
        ("transcriptions", {"model": "gemma-3-27b-it"}, "model"),
        ("translations", {"model": "gemini-3.5-transcribe"}, "model"),
        ("translations", {"response_format": "diarized_json"}, "response_format"),
    ],
)
async def test_bad_requests_call_nothing(
    http: aiohttp.ClientSession, base: str, hearer: Hearer, path: str, fields: dict[str, str], param: str
) -> None:
    status, headers, text = await ask(http, base, path, data=form({"model": "whisper-1", **fields}))

    assert (status, json.loads(text)["error"]["param"], hearer.bodies) == (400, param, [])
    assert headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"{}", "application/json"),
        (b"--x\r\n", "multipart/form-data"),
        (b"--x\r\n\r\n", "multipart/form-data; boundary=x"),
    ],
)
async def test_what_is_no_form(
    http: aiohttp.ClientSession, base: str, hearer: Hearer, data: bytes, kind: str
) -> None:
    async with http.post(
        f"{base}/v1/audio/transcriptions", data=data, headers={"Content-Type": kind}
    ) as response:
        assert response.status == 400
        assert "error" in await response.json()


async def test_a_form_without_a_file(http: aiohttp.ClientSession, base: str) -> None:
    data = aiohttp.FormData({"model": "whisper-1"}, default_to_multipart=True)
    status, _, text = await ask(http, base, data=data)

    assert (status, json.loads(text)["error"]["param"]) == (400, "file")


@pytest.mark.parametrize(
    ("answers", "calls", "status"),
    [
        ([refused(500), HELLO], 2, 200),
        ([refused(503), HELLO], 2, 200),
        ([refused(500), refused(500), HELLO], 2, 500),
        ([refused(503), refused(503), HELLO], 2, 503),
        ([refused(400), HELLO], 1, 400),
        ([heard("", status="failed")], 1, 502),
        ([heard("Hel", status="incomplete")], 1, 200),
        ([heard("")], 1, 200),
        ([{"status": "completed"}], 1, 200),
        ([{"steps": 5}], 1, 502),
    ],
)
async def test_failures(
    http: aiohttp.ClientSession, base: str, hearer: Hearer, answers: list[Any], calls: int, status: int
) -> None:
    hearer.answers = list(answers)
    got, _, _ = await ask(http, base)

    assert (got, len(hearer.bodies)) == (status, calls)


@pytest.mark.parametrize("form_", ["mp3", "flac", "opus", "aac"])
async def test_the_length_of_any_format(
    http: aiohttp.ClientSession, base: str, hearer: Hearer, form_: str
) -> None:
    hearer.answers = [HELLO]
    audio = encode(Sound(tone(2.5), RATE), form_)
    data = form({"response_format": "verbose_json"}, audio, f"a.{form_}", f"audio/{form_}")
    _, _, text = await ask(http, base, data=data)

    assert json.loads(text)["duration"] == pytest.approx(2.5, abs=0.3 if form_ == "aac" else 0.06)


async def test_silence_is_an_empty_text(http: aiohttp.ClientSession, base: str, hearer: Hearer) -> None:
    hearer.answers = [{"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 40}}]
    status, _, text = await ask(http, base, data=form({"model": "gemini-3.8-flash"}))

    assert (status, json.loads(text)["text"], len(hearer.bodies)) == (200, "", 1)


async def test_a_filter_is_named(http: aiohttp.ClientSession, base: str, hearer: Hearer) -> None:
    hearer.answers = [said("", "SAFETY")]
    status, _, text = await ask(http, base, data=form({"model": "gemini-3.8-flash"}))

    assert (status, json.loads(text)["error"]["code"]) == (400, "content_policy_violation")


async def test_the_sdk_in_each_format(base: str, hearer: Hearer) -> None:
    hearer.answers = [HELLO]
    async with openai.AsyncOpenAI(base_url=f"{base}/v1", api_key="k", max_retries=0) as sdk:
        file = ("a.wav", AUDIO)
        create = sdk.audio.transcriptions.create
        plain = await create(model="whisper-1", file=file)
        text = await create(model="whisper-1", file=file, response_format="text")
        srt = await create(model="whisper-1", file=file, response_format="srt")
        verbose = await create(
            model="whisper-1", file=file, response_format="verbose_json", timestamp_granularities=["word"]
        )
        diarized = await create(
            model="gpt-4o-transcribe-diarize",
            file=file,
            response_format="diarized_json",
            chunking_strategy="auto",
        )
        stream = await create(model="gpt-4o-transcribe", file=file, stream=True)
        types = [event.type async for event in stream]

    assert plain.text == text.strip() == "Hello world."
    assert srt.startswith("1\n")
    assert verbose.words is not None
    assert verbose.words[0].word == "Hello"
    assert diarized.segments[0].speaker == "A"
    assert types == ["transcript.text.delta", "transcript.text.done"]


async def test_the_ledger(http: aiohttp.ClientSession, team: Team, google: Google) -> None:
    """35 tokens of audio at $2 and 4 of text at $12 a million."""
    key = team.issue(dollars={"day": 1})
    google.answers = {"AIza-a": lambda: web.json_response(HELLO)}
    await team.start("a")
    http.headers["Authorization"] = f"Bearer {key}"
    status, _, _ = await ask(http, team.base)
    (row,) = await team.settled()

    assert (status, row.surface, row.model, row.micros) == (
        200,
        "transcription",
        "gemini-3.5-transcribe",
        118,
    )
