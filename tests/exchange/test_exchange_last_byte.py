"""A client that leaves at the last byte of a stream has had the whole answer, and the log says so."""

import asyncio
import re

import aiohttp
import pytest

from gateway.observability.request_log import RequestLog
from gateway.policy.ledger import Settlement
from gateway.store.ledger.writer import Ledger
from tests.support.team import Google, Team, good
from tests.support.waiting import eventually

TIMEOUT = aiohttp.ClientTimeout(total=30)
GUARD = "guard: {rules: [{name: bad, pattern: tulip, on: [answer]}]}"
SURFACES: dict[str, tuple[str, dict[str, object], str]] = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}, r"\[DONE\]"),
    "responses": (
        "/v1/responses",
        {"input": "x", "store": False},
        r"event: response\.(completed|incomplete)",
    ),
    "messages": (
        "/v1/messages",
        {"max_tokens": 9, "messages": [{"role": "user", "content": "x"}]},
        "message_stop",
    ),
}


@pytest.fixture
def settling(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set while a request waits for its row of the ledger, which is queued and takes for ever."""
    event = asyncio.Event()

    async def settle(ledger: Ledger, settlement: Settlement) -> None:
        ledger.note(settlement)
        event.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Ledger, "settle", settle)
    return event


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("text", ["fine", "a tulip"])
async def test_an_answer_whose_client_left_at_the_last_byte_is_recorded_whole(
    team: Team,
    google: Google,
    settling: asyncio.Event,
    request_lines: list[RequestLog],
    surface: str,
    text: str,
) -> None:
    google.answers["AIza-a"] = lambda: good(text)
    key = team.issue()
    await team.start("a", f"plugins: {{chat: {{}}, responses: {{}}, messages: {{}}, {GUARD}}}\n")
    path, body, last = SURFACES[surface]
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}, timeout=TIMEOUT) as http,
        http.post(team.base + path, json={"model": "gemini-2.5-flash", "stream": True, **body}) as response,
    ):
        received = ""
        while re.search(last, received) is None:
            received += (await response.content.readany()).decode()
        await settling.wait()
        response.close()
    await eventually(lambda: request_lines)

    (line,) = request_lines
    assert (line.status, line.upstream_status, line.error) == (200, 200, None)
    assert [(row.outcome, row.status) for row in await team.settled()] == [("ok", 200)]
