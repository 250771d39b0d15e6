"""Files of each surface, in every way that clients give them, reach Gemini with a type, a resolution and frames."""

import base64
import json
from typing import Any

import aiohttp
import pytest

from tests.support.servers import RawUpstream, Serve, ok

ANSWER = {"candidates": [{"content": {"parts": [{"text": "fine"}]}, "finishReason": "STOP"}]}
OCTETS = "application/octet-stream"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()
PDF = base64.b64encode(b"%PDF-1.4\n").decode()
MP3 = base64.b64encode(b"ID3\x04" + bytes(20)).decode()
MP4 = base64.b64encode(b"\x00\x00\x00\x20ftypisom" + bytes(20)).decode()
TEXT = base64.b64encode(b"# Hi").decode()
HIGH = "MEDIA_RESOLUTION_HIGH"
FRAMES = {"fps": 2, "start_offset": 10, "end_offset": "20s"}
SENT_FRAMES = {"fps": 2, "startOffset": "10s", "endOffset": "20s"}
VIDEO = "https://generativelanguage.googleapis.com/v1beta/files/abc"


def octets(data: str) -> str:
    return f"data:{OCTETS};base64,{data}"


def chat(part: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "/v1/chat/completions", {"messages": [{"role": "user", "content": [part]}]}


def responses(part: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "/v1/responses", {"store": False, "input": [{"role": "user", "content": [part]}]}


def messages(block: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": [block]}]}


async def first_file(
    http: aiohttp.ClientSession, serve: Serve, upstream: RawUpstream, request: tuple[str, dict[str, Any]]
) -> Any:
    """Return the first file of the last content that reaches Gemini."""
    upstream.scripts = [ok(ANSWER)]
    path, body = request
    base = await serve("", upstream.url)
    async with http.post(base + path, json={"model": "gemini-3.8-flash", **body}) as response:
        assert response.status == 200, await response.text()
    sent = json.loads(upstream.requests[0].partition(b"\r\n\r\n")[2])["contents"][-1]["parts"]
    return next(part for part in sent if "text" not in part)


@pytest.mark.row("T8")
@pytest.mark.parametrize(
    ("request_", "mime_type"),
    [
        (chat({"type": "file", "file": {"filename": "notes.md", "file_data": octets(TEXT)}}), "text/plain"),
        (chat({"type": "file", "file": {"filename": "a.pdf", "file_data": octets(PDF)}}), "application/pdf"),
        (chat({"type": "file", "file": {"filename": "a.bin", "file_data": octets(PDF)}}), "application/pdf"),
        (chat({"type": "file", "file": {"file_data": MP4, "format": OCTETS}}), "video/mp4"),
        (chat({"type": "file", "file": {"file_data": TEXT}}), "text/plain"),
        (chat({"type": "image_url", "image_url": {"url": octets(PNG)}}), "image/png"),
        (chat({"type": "image_url", "image_url": octets(PNG)}), "image/png"),
        (chat({"type": "audio_url", "audio_url": {"url": octets(MP3)}}), "audio/mpeg"),
        (chat({"type": "video_url", "video_url": {"url": octets(MP4)}}), "video/mp4"),
        (chat({"type": "input_audio", "input_audio": {"data": octets(MP3), "format": "mp3"}}), "audio/mpeg"),
        (chat({"type": "input_file", "filename": "x.go", "file_data": octets(TEXT)}), "text/plain"),
        (chat({"type": "document", "title": "x.csv",
               "source": {"type": "base64", "media_type": OCTETS, "data": TEXT}}), "text/csv"),
        (responses({"type": "input_file", "filename": "x.py", "file_data": octets(TEXT)}), "text/x-python"),
        (responses({"type": "input_file", "filename": "x", "file_data": PDF}), "application/pdf"),
        (responses({"type": "input_image", "image_url": octets(PNG)}), "image/png"),
        (messages({"type": "document", "title": "a.md",
                   "source": {"type": "base64", "media_type": OCTETS, "data": TEXT}}), "text/plain"),
        (messages({"type": "document", "source": {"type": "base64", "media_type": OCTETS, "data": PDF}}), "application/pdf"),
        (messages({"type": "document", "source": {"type": "base64", "data": PNG}}), "image/png"),
        (messages({"type": "image", "source": {"type": "base64", "media_type": OCTETS, "data": PNG}}), "image/png"),
    ],
)  # fmt: skip
async def test_t08_the_name_or_the_bytes_show_the_type(
    http: aiohttp.ClientSession,
    serve: Serve,
    raw_upstream: RawUpstream,
    request_: tuple[str, dict[str, Any]],
    mime_type: str,
) -> None:
    part = await first_file(http, serve, raw_upstream, request_)

    assert part["inlineData"]["mimeType"] == mime_type


@pytest.mark.row("T8")
@pytest.mark.parametrize(
    ("request_", "level", "frames"),
    [
        (chat({"type": "file", "file": {"file_id": VIDEO, "format": "video/mp4", "detail": "high",
                                        "video_metadata": FRAMES}}), HIGH, SENT_FRAMES),
        (chat({"type": "file", "file": {"file_id": VIDEO, "format": "video/mp4"}, "detail": "high",
               "videoMetadata": FRAMES}), HIGH, SENT_FRAMES),
        (chat({"type": "video_url", "video_url": {"url": VIDEO, "detail": "high", "video_metadata": FRAMES}}), HIGH, SENT_FRAMES),
        (chat({"type": "video_url", "video_url": {"url": VIDEO}, "video_metadata": FRAMES}), None, SENT_FRAMES),
        (chat({"type": "video_url", "video_url": {"url": VIDEO, "fps": 2}}), None, {"fps": 2}),
        (chat({"type": "video_url", "video_url": VIDEO, "fps": 2, "media_resolution": HIGH}), HIGH, {"fps": 2}),
        (chat({"type": "image_url", "image_url": {"url": VIDEO, "detail": "high"}}), HIGH, None),
        (chat({"type": "image_url", "image_url": VIDEO, "mediaResolution": {"level": HIGH}}), HIGH, None),
        (chat({"type": "input_file", "file_id": "files/abc", "detail": "high"}), HIGH, None),
        (responses({"type": "input_file", "file_id": "files/abc", "detail": "high", "video_metadata": FRAMES}), HIGH, SENT_FRAMES),
        (responses({"type": "input_image", "file_id": "files/abc", "detail": "high"}), HIGH, None),
        (responses({"type": "video_url", "video_url": {"url": VIDEO, "video_metadata": FRAMES}}), None, SENT_FRAMES),
        (messages({"type": "image", "source": {"type": "url", "url": VIDEO}, "detail": "high"}), HIGH, None),
        (messages({"type": "document", "source": {"type": "file", "file_id": "files/abc"}, "video_metadata": FRAMES}),
         None, SENT_FRAMES),
    ],
)  # fmt: skip
async def test_t08_resolution_and_frames_are_read_wherever_they_stand(
    http: aiohttp.ClientSession,
    serve: Serve,
    raw_upstream: RawUpstream,
    request_: tuple[str, dict[str, Any]],
    level: str | None,
    frames: dict[str, Any] | None,
) -> None:
    part = await first_file(http, serve, raw_upstream, request_)

    assert part["fileData"]["fileUri"] == VIDEO
    assert part.get("mediaResolution") == ({"level": level} if level else None)
    assert part.get("videoMetadata") == frames
