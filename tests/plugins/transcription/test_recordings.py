"""Large recordings: a file of Google's for the time of the request, in one project, and none in memory."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.emulator.server import build_fake
from gateway.gemini.audio import Sound
from gateway.gemini.audio_encoder import encode
from gateway.plugin import SERVICES
from gateway.plugins.transcription import recordings
from tests.support.servers import Serve
from tests.support.sounds import RATE, tone, wav
from tests.support.team import Team
from tests.support.vertex import VertexTeam, vertex_team
from tests.support.waiting import eventually

WAV = wav(tone(1.4))
LARGE = 2**20 + 2**18
"""Bytes of a file that is on disk."""
TWENTY = 20 * 2**20


class Upstream:
    """The emulator, and what it is asked."""

    def __init__(self) -> None:
        self.url = ""
        self.calls: list[tuple[str, str, str]] = []
        self.bodies: list[Any] = []
        self.sizes: list[int] = []
        self.failures: list[tuple[str, int]] = []
        """Words of a path whose next request is refused with a status."""

    @web.middleware
    async def record(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        key = request.headers.get("x-goog-api-key", "").removeprefix("AIza-")
        self.calls.append((request.method, request.path, key))
        for word, status in self.failures:
            if word in request.path_qs:
                self.failures.remove((word, status))
                await request.read()
                return web.json_response({"error": {"code": status, "message": "no"}}, status=status)
        if "interactions" in request.path or "enerateContent" in request.path:
            self.bodies.append(await request.json())
        elif "upload_id" in request.path_qs:
            self.sizes.append(int(request.headers["Content-Length"]))
        return await handler(request)

    def keys(self, word: str) -> list[str]:
        return [key for method, path, key in self.calls if word in path and method != "DELETE"]


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    result = Upstream()
    app = build_fake(pace=0.001)
    app.middlewares.append(result.record)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    result.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield result
    await runner.cleanup()


@asynccontextmanager
async def asked(
    base: str, audio: bytes, name: str = "a.wav", key: str = "AQ.own", **fields: str
) -> AsyncIterator[aiohttp.ClientResponse]:
    data = aiohttp.FormData({"model": "whisper-1", **fields}, default_to_multipart=True)
    data.add_field("file", io.BytesIO(audio), filename=name, content_type="audio/wav")
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{base}/v1/audio/transcriptions", data=data) as response,
    ):
        yield response


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files over 1 MiB are large, so that tests need not send more."""
    monkeypatch.setattr(recordings, "INLINE", 2**20)


async def test_tr13_a_recording_of_20_mb_is_uploaded(serve: Serve, upstream: Upstream) -> None:
    base = await serve("", upstream.url)
    m4a = b"\x00\x00\x00\x20ftypM4A " + bytes(TWENTY)
    async with asked(base, m4a, "a.m4a") as response:
        assert (response.status, (await response.json())["text"] != "") == (200, True)

    (audio,) = upstream.bodies[0]["input"]
    assert set(audio) == {"type", "uri", "mime_type"}
    assert (audio["mime_type"], upstream.sizes) == ("audio/m4a", [len(m4a)])
    assert audio["uri"].startswith("https://generativelanguage.googleapis.com/v1beta/files/")
    assert serve.app[SERVICES].memory.used == 0


async def test_tr13_the_file_is_deleted_after_the_answer(
    serve: Serve, upstream: Upstream, small: None
) -> None:
    base = await serve("", upstream.url)
    async with asked(base, WAV.ljust(LARGE, b"\0")) as response:
        assert response.status == 200

    name = upstream.bodies[0]["input"][0]["uri"].partition("/v1beta/")[2]
    await eventually(lambda: upstream.calls[-1] == ("DELETE", f"/v1beta/{name}", "AQ.own"))


async def test_a_recording_below_the_limit_is_in_the_request(
    serve: Serve, upstream: Upstream, small: None
) -> None:
    base = await serve("", upstream.url)
    async with asked(base, WAV) as response:
        assert response.status == 200

    assert "data" in upstream.bodies[0]["input"][0]
    assert upstream.keys("upload") == []


async def test_a_chat_model_gets_the_file(serve: Serve, upstream: Upstream, small: None) -> None:
    base = await serve("", upstream.url)
    async with asked(base, WAV.ljust(LARGE, b"\0"), model="gemini-3.8-flash") as response:
        assert response.status == 200

    data = upstream.bodies[0]["contents"][0]["parts"][0]["fileData"]
    assert data["mimeType"] == "audio/wav"
    assert "/files/" in data["fileUri"]


@pytest.mark.parametrize("model", ["whisper-1", "gemini-3.8-flash"])
async def test_tr13_the_project_of_the_file_is_asked_alone(
    serve: Serve, tmp_path: Path, upstream: Upstream, small: None, model: str
) -> None:
    team = Team(serve, tmp_path, upstream.url)
    key = team.issue()
    await team.start("abc")
    for _ in range(3):
        async with asked(team.base, WAV.ljust(LARGE, b"\0"), key=key, model=model) as response:
            assert response.status == 200

    uploads = upstream.keys("upload")[::2]  # of each upload its start
    assert len(uploads) == 3
    assert upstream.keys("interactions") + upstream.keys("enerateContent") == uploads
    rows = await team.settled()
    assert {(row.surface, row.micros == 0) for row in rows} >= {("files", True), ("transcription", False)}


@pytest.mark.parametrize(("status", "uploads", "answer"), [(503, 2, 200), (400, 1, 400)])
async def test_an_upload_is_tried_twice_at_most(
    serve: Serve, upstream: Upstream, small: None, status: int, uploads: int, answer: int
) -> None:
    upstream.failures = [("/upload/v1beta/files", status)]
    base = await serve("", upstream.url)
    async with asked(base, WAV.ljust(LARGE, b"\0")) as response:
        assert response.status == answer

    assert len([path for _, path, key in upstream.calls if "upload" in path]) == (3 if uploads == 2 else 1)


@pytest.mark.parametrize("form", ["wav", "flac"])
async def test_the_length_of_a_large_file(serve: Serve, upstream: Upstream, small: None, form: str) -> None:
    base = await serve("", upstream.url)
    sound = tone(30)
    audio = wav(sound) if form == "wav" else encode(Sound(sound, RATE), "flac").ljust(LARGE, b"\0")
    async with asked(base, audio, f"a.{form}", response_format="verbose_json") as response:
        assert (await response.json())["duration"] == pytest.approx(30, abs=0.1)

    assert upstream.sizes == [len(audio)]


async def test_a_failed_call_leaves_no_file(serve: Serve, upstream: Upstream, small: None) -> None:
    upstream.failures = [("interactions", 400)]
    base = await serve("", upstream.url)
    async with asked(base, WAV.ljust(LARGE, b"\0")) as response:
        assert response.status == 400

    await eventually(lambda: upstream.calls[-1][0] == "DELETE")


async def test_no_audio_is_not_uploaded(serve: Serve, upstream: Upstream, small: None) -> None:
    base = await serve("", upstream.url)
    async with asked(base, b"%PDF-1.7".ljust(LARGE)) as response:
        assert (response.status, json.loads(await response.text())["error"]["param"]) == (400, "file")

    assert upstream.calls == []


async def test_many_large_recordings_at_once_take_little_memory(
    serve: Serve, upstream: Upstream, small: None
) -> None:
    base = await serve("limits: {memory: 67108864}\n", upstream.url)

    async def transcribe() -> int:
        async with asked(base, WAV.ljust(4 * 2**20, b"\0")) as response:
            return response.status

    assert await asyncio.gather(*(transcribe() for _ in range(12))) == [200] * 12


@pytest.fixture
async def vertex(serve: Serve, tmp_path: Path, aiohttp_server: Any) -> VertexTeam:
    return await vertex_team(serve, tmp_path, aiohttp_server)


@pytest.mark.parametrize(
    ("default", "instead"),
    [
        ("gemini-3.8-flash", "a chat model, such as `gemini-3.8-flash`,"),
        ("gemma-4-31b-it", "a chat model, for"),
    ],
)
@pytest.mark.parametrize("size", [0, LARGE])
async def test_a_pool_on_vertex_ai_is_told_a_chat_model(
    vertex: VertexTeam, small: None, default: str, instead: str, size: int
) -> None:
    key = vertex.issue()
    await vertex.start("express", f"models: {{default: {default}}}\n")
    async with asked(vertex.base, WAV.ljust(size, b"\0"), key=key) as response:
        status, error = response.status, (await response.json())["error"]

    assert (status, error["param"], error["code"]) == (400, "model", "unsupported")
    assert "Vertex AI, which does not have `gemini-3.5-transcribe`" in error["message"]
    assert instead in error["message"]


async def test_a_chat_model_on_vertex_ai_hears_what_needs_no_upload(vertex: VertexTeam, small: None) -> None:
    key = vertex.issue()
    await vertex.start("express")
    async with asked(vertex.base, WAV, key=key, model="gemini-3.8-flash") as response:
        heard = response.status
    async with asked(vertex.base, WAV.ljust(LARGE, b"\0"), key=key, model="gemini-3.8-flash") as response:
        status, error = response.status, (await response.json())["error"]

    assert (heard, status, error["param"], error["code"]) == (200, 400, "file", "unsupported")
    assert "takes files of up to 15 MiB" in error["message"]
