"""Recorded traffic with media: through Gemini's own methods byte for byte, and through the surfaces that take such media."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.support.corpus import Record, recorded
from tests.support.servers import Serve, upstream_of
from tests.support.sounds import decoded, likeness, seconds

_STANDARD = str.maketrans("-_", "+/")
"""The alphabet of base64 in place of that of URLs (RFC 4648), which google-genai writes and Google reads alike."""
_SECOND = slice(48_000, 96_000)
"""The bytes of a second in which something is said."""
_EARLY = 80
"""Samples by which a bare stream of MP3 may begin early: FFmpeg takes its encoder's delay for a longer one."""


def media(record: Record) -> list[Any]:
    """The media in a request or an answer, as their names are written."""
    text = json.dumps([record["request"], record["response"]])
    return [name for name in ("inlineData", "inline_data", "fileData", "file_data") if f'"{name}"' in text]


def parts(request: Any) -> list[tuple[str, str, str]]:
    """Kind, type and content of each part of a request's turns; kinds are text, data and file."""
    return [part for content in request["contents"] for part in map(_part, content["parts"])]


def _part(part: dict[str, Any]) -> tuple[str, str, str]:
    if "text" in part:
        return "text", "", part["text"]
    data = part.get("inlineData") or part.get("inline_data")
    if data:
        return "data", data.get("mimeType") or data["mime_type"], data["data"].translate(_STANDARD)
    file = part.get("fileData") or part["file_data"]
    return "file", "", file.get("fileUri") or file["file_uri"]


def texts(answer: Any) -> str:
    chunks = answer if isinstance(answer, list) else [answer]
    return "".join(
        part["text"]
        for chunk in chunks
        for part in chunk["candidates"][0]["content"]["parts"]
        if "text" in part and not part.get("thought")
    )


def is_media(record: Record) -> bool:
    return record["api"] == "gemini" and record["request"] is not None and bool(media(record))


def is_one_turn(record: Record) -> bool:
    """Whether a request is one turn of texts, pictures, documents, sounds and videos."""
    if not is_media(record) or record["kind"] != "json" or record["endpoint"] != "generateContent":
        return False
    contents = record["request"]["contents"]
    if "picsum.photos" in json.dumps(contents):  # a file that the gateway would fetch from the internet
        return False
    kinds = {"text", "inlineData", "inline_data", "fileData", "file_data"}
    return len(contents) == 1 and all(part.keys() <= kinds for part in contents[0]["parts"])


MEDIA = recorded(is_media)
TURNS = recorded(lambda record: is_one_turn(record) and "inlineData" not in json.dumps(record["response"]))
SPEECH = recorded(lambda record: "can_speak" in record["id"])
TRANSCRIPTIONS = recorded(lambda record: "transcription_basic" in record["id"])


class Upstream:
    """Google, which gives the answer of a record, and keeps what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.record: Record = {}
        self.paths: list[str] = []
        self.body: bytes = b""

    @property
    def answer(self) -> bytes:
        return base64.b64decode(self.record["raw_b64"])

    @property
    def request(self) -> Any:
        return json.loads(self.body)

    async def respond(self, request: web.Request) -> web.Response:
        self.paths.append(request.path_qs)
        self.body = await request.read()
        headers = {"Content-Type": self.record["content_type"]}
        return web.Response(body=self.answer, status=self.record["status"], headers=headers)


@pytest.fixture
async def upstream(aiohttp_server: Any) -> Upstream:
    result = Upstream()
    result.url = await upstream_of(aiohttp_server, result.respond)
    return result


@pytest.fixture
async def base(serve: Serve, upstream: Upstream) -> str:
    return await serve("", upstream.url)


@pytest.mark.skipif(MEDIA[0].values == (None,), reason="no recorded Gemini traffic: set GATEWAY_CORPUS")
async def test_geminis_own_methods_pass_recorded_media_unchanged(
    http: aiohttp.ClientSession, base: str, upstream: Upstream
) -> None:
    records = [parameter.values[0] for parameter in MEDIA]
    assert len(records) > 30
    for record in records:
        upstream.record = record
        query = "?alt=sse" if record["kind"] == "sse" else ""
        path = f"{record['url_path']}{query}"
        sent = json.dumps(record["request"], indent=1).encode()
        headers = {"Content-Type": "application/json"}
        async with http.post(base + path, data=sent, headers=headers) as response:
            assert (response.status, await response.read()) == (record["status"], upstream.answer), record[
                "id"
            ]
        assert (upstream.paths[-1], upstream.body) == (path, sent), record["id"]


def chat(record: Record) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    for kind, mime, value in parts(record["request"]):
        url = f"data:{mime};base64,{value}"
        if kind == "text":
            content.append({"type": "text", "text": value})
        elif kind == "file":
            content.append({"type": "file", "file": {"file_id": value}})
        elif mime.startswith("image/"):
            content.append({"type": "image_url", "image_url": {"url": url}})
        elif mime == "audio/wav":
            content.append({"type": "input_audio", "input_audio": {"data": value, "format": "wav"}})
        else:
            content.append({"type": "file", "file": {"file_data": url, "filename": "a"}})
    return {"messages": [{"role": "user", "content": content}]}


def responses(record: Record) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    for kind, mime, value in parts(record["request"]):
        url = f"data:{mime};base64,{value}"
        if kind == "text":
            content.append({"type": "input_text", "text": value})
        elif kind == "file":
            content.append({"type": "input_file", "file_id": value})
        elif mime.startswith("image/"):
            content.append({"type": "input_image", "image_url": url})
        else:
            content.append({"type": "input_file", "file_data": url, "filename": "a"})
    return {"input": [{"role": "user", "content": content}]}


def messages(record: Record) -> dict[str, Any] | None:
    content: list[dict[str, Any]] = []
    for kind, mime, value in parts(record["request"]):
        if kind == "text":
            content.append({"type": "text", "text": value})
        elif kind == "data" and mime in ("image/png", "image/jpeg", "application/pdf"):
            block = "document" if mime == "application/pdf" else "image"
            source = {"type": "base64", "media_type": mime, "data": value}
            content.append({"type": block, "source": source})
        else:
            return None  # Anthropic's API has no other media
    return {"messages": [{"role": "user", "content": content}], "max_tokens": 4000}


def written(path: str, answer: Any) -> str:
    if path == "/v1/chat/completions":
        return str(answer["choices"][0]["message"]["content"])
    blocks = answer["content"] if path == "/v1/messages" else answer["output"][-1]["content"]
    return "".join(block["text"] for block in blocks if "text" in block)


def requests(record: Record) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each surface's path, with the request that means the same as the record's."""
    yield "/v1/chat/completions", chat(record)
    yield "/v1/responses", responses(record)
    if (body := messages(record)) is not None:
        yield "/v1/messages", body


@pytest.mark.parametrize("record", TURNS)
async def test_recorded_media_mean_the_same_on_each_surface(
    http: aiohttp.ClientSession, base: str, upstream: Upstream, record: Record
) -> None:
    upstream.record = record
    for path, body in requests(record):
        body["model"] = record["model"]
        async with http.post(base + path, json=body) as response:
            answer = await response.json()
        assert response.status == 200, (path, answer)
        assert [part for part in parts(upstream.request) if part[0] != "text"] == [
            part for part in parts(record["request"]) if part[0] != "text"
        ], path
        assert written(path, answer) == texts(record["response"]), path


@pytest.mark.parametrize("record", SPEECH)
@pytest.mark.parametrize("form", ["pcm", "wav", "mp3", "opus", "aac", "flac"])
async def test_recorded_speech_is_heard_in_each_format(
    http: aiohttp.ClientSession, base: str, upstream: Upstream, record: Record, form: str
) -> None:
    upstream.record = record
    samples = base64.b64decode(
        record["response"]["candidates"][0]["content"]["parts"][0]["inlineData"]["data"]
    )
    text = record["request"]["contents"][0]["parts"][0]["text"]
    body = {"model": record["model"], "input": text, "voice": "alloy", "response_format": form}
    for stream in (False, True):
        async with http.post(f"{base}/v1/audio/speech", json={**body, "stream": stream}) as response:
            assert response.status == 200
            data = await response.read()
        result = data if form == "pcm" else decoded(data)
        assert abs(seconds(result) - seconds(samples)) <= 0.02
        assert likeness(result[_SECOND], samples[_SECOND.start : _SECOND.stop + 160], _EARLY) > 0.9

        assert form not in ("pcm", "wav", "flac") or result == samples

    expected = {name: value for name, value in record["request"].items() if name != "model"}
    assert upstream.request == expected


@pytest.mark.parametrize("record", TRANSCRIPTIONS)
async def test_recorded_speech_is_written_down(
    http: aiohttp.ClientSession, base: str, upstream: Upstream, record: Record, tmp_path: Path
) -> None:
    upstream.record = record
    ((_, mime, data),) = [part for part in parts(record["request"]) if part[0] == "data"]
    counts = record["response"]["usageMetadata"]
    form = aiohttp.FormData({"model": record["model"]}, default_to_multipart=True)
    if "language_hint" in record["id"]:
        form.add_field("language", "en")
    form.add_field("file", base64.b64decode(data), filename="a.wav", content_type="application/octet-stream")
    async with http.post(f"{base}/v1/audio/transcriptions", data=form) as response:
        answer = await response.json()

    assert (response.status, answer["text"]) == (200, texts(record["response"]))
    usage = answer["usage"]
    assert (usage["input_tokens"], usage["total_tokens"]) == (
        counts["promptTokenCount"],
        counts["totalTokenCount"],
    )
    audio = next(each["tokenCount"] for each in counts["promptTokensDetails"] if each["modality"] == "AUDIO")
    assert usage["input_token_details"]["audio_tokens"] == audio
    assert parts(upstream.request)[0] == ("data", mime, data)
    instruction = parts(upstream.request)[1][2]
    assert ("The language is: en." in instruction) is ("language_hint" in record["id"])
