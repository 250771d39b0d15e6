"""A key that is revoked or expires ends the work that is in progress for it, on every surface."""

import asyncio
import json
from pathlib import Path
from time import monotonic, time
from typing import Any

import aiohttp
import pytest

from gateway.policy.clients.access import digest
from gateway.policy.clients.client_rules import Rules
from gateway.store.ledger import client_keys
from gateway.store.ledger.tables import open_engine
from tests.support.servers import RawUpstream, Serve, chunked
from tests.support.team import Team
from tests.support.waiting import eventually

MODEL = "gemini-2.5-flash"
EVENT = b'data: {"candidates":[{"content":{"parts":[{"text":"Once"}]}}],"usageMetadata":{"promptTokenCount":3}}\r\n\r\n'
HANGING = [*chunked(EVENT), None]
TURN = {"messages": [{"role": "user", "content": "hi"}]}
CONTENTS = {"contents": [{"parts": [{"text": "hi"}]}]}
STREAMS: dict[str, tuple[str, dict[str, Any], str]] = {
    "chat": ("/v1/chat/completions", {"model": MODEL, "stream": True, **TURN}, "invalid_api_key"),
    "completions": ("/v1/completions", {"model": MODEL, "stream": True, "prompt": "hi"}, "invalid_api_key"),
    "responses": ("/v1/responses", {"model": MODEL, "stream": True, "input": "hi"}, "invalid_api_key"),
    "messages": (
        "/v1/messages", {"model": MODEL, "stream": True, "max_tokens": 50, **TURN}, "authentication_error",
    ),
    "native": (f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse", CONTENTS, "UNAUTHENTICATED"),
    "background": (
        "/v1/responses", {"model": MODEL, "stream": True, "background": True, "input": "hi"}, "invalid_api_key",
    ),
}  # fmt: skip
"""Path, body, and the word for a wrong key in the surface's errors."""


class Revoking:
    """A gateway with one issued key, and an upstream whose answers do not end."""

    def __init__(self, team: Team, upstream: RawUpstream) -> None:
        self.team = team
        self.upstream = upstream
        self.key, self.other = team.issue(), team.issue()
        self.headers = {"x-goog-api-key": self.key}

    def revoke(self) -> None:
        """As another process does it."""
        engine = open_engine(str(self.team.file), None)
        for entry in client_keys.issued(engine):
            if entry.hash == digest(self.key):
                client_keys.revoke(engine, entry.id, time())
        engine.dispose()


@pytest.fixture
async def gateway(serve: Serve, tmp_path: Path, raw_upstream: RawUpstream) -> Revoking:
    raw_upstream.scripts = [HANGING]
    result = Revoking(Team(serve, tmp_path, raw_upstream.url), raw_upstream)
    await result.team.start("a")
    return result


@pytest.mark.row("A26", "S45")
@pytest.mark.parametrize("surface", STREAMS)
async def test_a26_a_stream_is_cut_within_a_second_with_an_error_in_its_dialect(
    gateway: Revoking, surface: str
) -> None:
    path, body, word = STREAMS[surface]
    async with (
        aiohttp.ClientSession(headers=gateway.headers) as http,
        http.post(gateway.team.base + path, json=body) as response,
    ):
        assert response.status == 200
        text = b""
        while b"Once" not in text:
            text += await response.content.readany()
        gateway.revoke()
        began = monotonic()
        text += await response.content.read()
        elapsed = monotonic() - began
    await gateway.upstream.left.wait()

    assert word in text.decode().rpartition("Once")[2]
    assert elapsed < 1.0
    (row,) = await gateway.team.settled()
    assert (row.exact, row.completion >= 50) == (False, True)
    assert (row.client != "", row.surface) == (True, "responses" if surface == "background" else surface)


@pytest.mark.row("A26", "S45")
async def test_a26_a_whole_answer_is_a_401(gateway: Revoking) -> None:
    async with aiohttp.ClientSession(headers=gateway.headers) as http:
        waiting = asyncio.create_task(
            http.post(f"{gateway.team.base}/v1/chat/completions", json={"model": MODEL, **TURN})
        )
        await eventually(lambda: bool(gateway.upstream.requests))
        gateway.revoke()
        async with await waiting as response:
            assert response.status == 401
            assert (await response.json())["error"]["code"] == "invalid_api_key"


@pytest.mark.row("A26", "S45")
async def test_a26_a_background_response_fails_and_stays_so(gateway: Revoking) -> None:
    body = {"model": MODEL, "background": True, "input": "hi"}
    async with aiohttp.ClientSession(headers=gateway.headers) as http:
        async with http.post(f"{gateway.team.base}/v1/responses", json=body) as response:
            assert (await response.json())["status"] == "queued"
        await eventually(lambda: bool(gateway.upstream.requests))
        gateway.revoke()
        await gateway.upstream.left.wait()


@pytest.mark.row("A26", "S45")
async def test_a26_an_expired_key_ends_its_work_too(
    serve: Serve, tmp_path: Path, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [HANGING]
    team = Team(serve, tmp_path, raw_upstream.url)
    engine = open_engine(str(team.file), None)
    _, key = client_keys.issue(engine, "x", Rules(), time(), time() + 1.0)
    engine.dispose()
    await team.start("a")
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as http,
        http.post(
            f"{team.base}/v1/chat/completions", json={"model": MODEL, "stream": True, **TURN}
        ) as response,
    ):
        text = await response.text()

    last = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")][-1]
    assert last["error"]["code"] == "invalid_api_key"


@pytest.mark.row("A26", "S45")
async def test_a26_other_keys_are_not_cut(gateway: Revoking) -> None:
    url, body = f"{gateway.team.base}/v1/chat/completions", {"model": MODEL, "stream": True, **TURN}
    other = {"Authorization": f"Bearer {gateway.other}"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, json=body, headers=other) as kept,
        http.post(url, json=body, headers=gateway.headers) as cut,
    ):
        for response in (kept, cut):
            await response.content.readuntil(b"Once")
        gateway.revoke()
        assert b"invalid_api_key" in await cut.content.read()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.7):  # longer than the gateway takes to look at its keys
                await kept.content.readuntil(b"error")
