"""Application Default Credentials, by Google's own library: the metadata server of a machine, and a quota project."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from google.auth.compute_engine import _metadata

from gateway.errors import GatewayError
from gateway.policy.pool.call_outcome import Broken, Rejected, outcome
from gateway.upstream.vertex import token_request, tokens
from gateway.upstream.vertex.token_request import TokenRequest
from gateway.upstream.vertex.tokens import AccessTokens, loader
from tests.support.servers import Serve, upstream_of
from tests.support.vertex import account, vertex_team

SERVICE_ACCOUNT = "/computeMetadata/v1/instance/service-accounts/default/"
EMAIL = "machine@cloud.example"


class MetadataServer:
    """Answers as a machine of Google's does (https://cloud.google.com/compute/docs/metadata/querying-metadata)."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        self.slow: set[str] = set()
        """Paths that get no answer in time."""

    async def answer(self, request: web.Request) -> web.Response:
        assert request.headers["Metadata-Flavor"] == "Google"
        path = request.path.replace(EMAIL, "default")  # by its address once that is known
        self.asked.append(path)
        if path in self.slow:
            await asyncio.sleep(0.1)
        headers = {"Metadata-Flavor": "Google"}
        if self.status != 200:
            return web.Response(status=self.status, headers=headers)
        if path == SERVICE_ACCOUNT:
            answer = {"email": EMAIL, "scopes": [tokens.SCOPE], "aliases": ["default"]}
            return web.json_response(answer, headers=headers)
        if path == f"{SERVICE_ACCOUNT}token":
            token = {"access_token": "ya29.machine", "expires_in": 3599, "token_type": "Bearer"}
            return web.json_response(token, headers=headers)
        return web.Response(text="cloud-1", content_type="application/text", headers=headers)


@pytest.fixture
async def machine(aiohttp_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MetadataServer:
    """A machine with a metadata server and no other credentials. Nobody waits between attempts."""
    server = MetadataServer()
    host = (await upstream_of(aiohttp_server, server.answer)).removeprefix("http://")
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_QUOTA_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))  # without gcloud
    monkeypatch.setenv("GCE_METADATA_IP", host)
    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", host)
    monkeypatch.setattr(token_request, "_SECONDS", 0.04)
    monkeypatch.setattr("time.sleep", lambda _: None)
    return server


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the monotonic clock of the module forward."""
    now = [1000.0]
    monkeypatch.setattr(tokens, "monotonic", lambda: now[0])

    def pass_seconds(seconds: float) -> None:
        now[0] += seconds

    return pass_seconds


def of_machine() -> AccessTokens:
    request = TokenRequest(None)
    return AccessTokens("blue", loader(None, request), request)


async def failure(holder: AccessTokens) -> object:
    """Return what the failure to get a token means for the pool."""
    with pytest.raises(GatewayError) as caught:
        await holder.headers()
    return outcome(caught.value)


async def test_the_metadata_server_gives_tokens(machine: MetadataServer) -> None:
    holder = of_machine()
    assert (await holder.headers())["authorization"] == "Bearer ya29.machine"

    assert machine.asked[-1] == f"{SERVICE_ACCOUNT}token"
    asked = len(machine.asked)
    await holder.headers()
    assert len(machine.asked) == asked


async def test_a_metadata_server_that_is_slow_or_down_is_asked_again(
    machine: MetadataServer, clock: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Whether it fails at the start or later, the project is failing, and its credentials are not bad."""
    holder = of_machine()
    machine.slow = {"/"}
    assert await failure(holder) == Broken(connection=True)
    assert "project blue: no access token: Your default credentials were not found" in caplog.text
    clock(6)
    machine.slow = {f"{SERVICE_ACCOUNT}token"}
    assert await failure(holder) == Broken(connection=True)
    clock(6)
    machine.slow.clear()
    machine.status = 503
    assert await failure(holder) == Broken(connection=True)
    clock(6)
    machine.status = 200
    assert (await holder.headers())["authorization"] == "Bearer ya29.machine"


@pytest.mark.parametrize("content", [None, "", "no JSON", '{"type": "other"}', '{"type": "service_account"}'])
async def test_a_wrong_file_of_credentials_is_bad(
    machine: MetadataServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    file = tmp_path / "account.json"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))

    assert await failure(of_machine()) == Rejected("bad")
    assert machine.asked == []


@pytest.mark.parametrize("payer", ["", "payer-1"])
async def test_the_quota_project_of_the_environment_is_named_in_calls(
    serve: Serve, tmp_path: Path, aiohttp_server: Any, monkeypatch: pytest.MonkeyPatch, payer: str
) -> None:
    vertex = await vertex_team(serve, tmp_path, aiohttp_server)
    file = tmp_path / "account.json"
    file.write_text(account(vertex.url))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", payer)
    key = vertex.issue()
    project = f"{{name: cloud, vertex: {{project: cloud-1, location: us-east1, base_url: '{vertex.url}'}}}}"
    vertex.base = await serve(f"pool: {{projects: [{project}]}}\n{vertex.config}", vertex.url)

    status, _, answer = await vertex.ask(key)
    assert status == 200, answer
    sent = vertex.calls[-1].headers
    assert sent["authorization"].startswith("Bearer ya29.")
    assert sent.get("x-goog-user-project", "") == payer
