"""Files of the gateway's own at Google: what the Files API is sent, and what its answers mean."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from gateway.errors import BadRequest, GatewayError, UpstreamError
from gateway.exchange.context import RequestContext
from gateway.exchange.files import google_files
from gateway.exchange.files.google_files import GoogleFiles, Source
from gateway.exchange.report import ExchangeReport
from gateway.plugin import SERVICES
from gateway.policy.clients.access import Client
from gateway.policy.clients.kept_files import FileCopy
from tests.support.servers import Serve, upstream_of

NAME = "files/abc"
STARTED = {"X-Goog-Upload-URL": "https://host.example/upload/v1beta/files?upload_id=7"}


class Google:
    """The Files API. Each answer of `answers` is given once, in turn."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: list[Any] = []

    async def answer(self, request: web.Request) -> web.Response:
        headers = {k.lower(): v for k, v in request.headers.items() if k.lower().startswith("x-goog-upload")}
        self.calls.append((request.method, request.path_qs, headers, await request.read()))
        body = self.answers.pop(0)
        if isinstance(body, int):
            return web.json_response({"error": {"code": body, "message": "no"}}, status=body)
        return web.json_response(body, headers=STARTED if "upload_id" not in request.path_qs else None)


def file(state: str = "ACTIVE", **fields: Any) -> dict[str, Any]:
    uri = f"https://generativelanguage.googleapis.com/v1beta/{NAME}"
    return {"name": NAME, "uri": uri, "state": state, "expirationTime": "2100-01-01T00:00:00.5Z", **fields}


async def two_pieces() -> AsyncIterator[bytes]:
    yield b"RIFF"
    yield b"more"


def source() -> Source:
    return Source("a.wav", "audio/wav", 8, two_pieces(), "gemini-3.5-transcribe")


@pytest.fixture
def google() -> Google:
    return Google()


@pytest.fixture
async def files(serve: Serve, google: Google, aiohttp_server: Any) -> GoogleFiles:
    await serve("", await upstream_of(aiohttp_server, google.answer))
    return GoogleFiles(serve.app[SERVICES].exchange, "v1beta")


@pytest.fixture
def context() -> RequestContext:
    return RequestContext("r", "POST", "/", 0.0, ExchangeReport(), client=Client("AQ.key", "f", "s"))


async def test_a_file_is_sent_in_pieces(files: GoogleFiles, google: Google, context: RequestContext) -> None:
    google.answers = [{}, {"file": file("PROCESSING")}]
    copy = await files.upload(context, "", source())

    begin, send = google.calls
    assert begin[:2] == ("POST", "/upload/v1beta/files")
    assert begin[3] == b'{"file":{"displayName":"a.wav"}}'
    assert begin[2] == {
        "x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start",
        "x-goog-upload-header-content-length": "8", "x-goog-upload-header-content-type": "audio/wav",
    }  # fmt: skip
    assert send[1].endswith("?upload_id=7")
    assert send[2] == {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
    assert send[3] == b"RIFFmore"
    assert (copy.name, copy.project, copy.active) == (NAME, "", False)
    assert context.report.attempts == 0  # no attempts at the request's own call


@pytest.mark.parametrize("answers", [[{}, {}], [{}, {"file": {}}], [403], [{}, 503]])
async def test_an_upload_that_fails(
    files: GoogleFiles, google: Google, context: RequestContext, answers: list[Any]
) -> None:
    google.answers = answers
    with pytest.raises(GatewayError):
        await files.upload(context, "", source())


async def test_an_answer_without_an_address_is_an_error(
    files: GoogleFiles, google: Google, context: RequestContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STARTED, "X-Goog-Upload-URL", "https://host.example/elsewhere")
    google.answers = [{}]
    with pytest.raises(UpstreamError, match="no address"):
        await files.upload(context, "", source())


@pytest.mark.parametrize(
    ("states", "error"),
    [(["PROCESSING", "ACTIVE"], None), (["FAILED"], BadRequest), (["PROCESSING"] * 2, UpstreamError)],
)
async def test_processing(
    files: GoogleFiles,
    google: Google,
    context: RequestContext,
    monkeypatch: pytest.MonkeyPatch,
    states: list[str],
    error: type[GatewayError] | None,
) -> None:
    monkeypatch.setattr(google_files, "_POLLS", [0.0] * 2)
    google.answers = [file(state) for state in states]
    copy = FileCopy("", NAME, "", 0, active=False)
    if error is None:
        await files.processed(copy, "a.wav", context)
    else:
        with pytest.raises(error):
            await files.processed(copy, "a.wav", context)

    assert [call[1] for call in google.calls] == [f"/v1beta/{NAME}"] * len(states)


async def test_a_deletion_that_fails_is_logged(
    files: GoogleFiles, google: Google, context: RequestContext, caplog: pytest.LogCaptureFixture
) -> None:
    google.answers = [{}, 500]
    await files.delete(FileCopy("", NAME, "", 0, active=True), context)
    assert not caplog.records
    await files.delete(FileCopy("", NAME, "", 0, active=True), context)

    assert [call[0] for call in google.calls] == ["DELETE", "DELETE"]
    assert "48 hours" in caplog.text
