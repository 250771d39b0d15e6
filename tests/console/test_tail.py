"""Requests as they end, for viewers at their own speed."""

import asyncio
import json
from typing import Any

import pytest

from gateway.observability.request_log import RequestLog
from gateway.plugin import SERVICES
from tests.support.servers import Serve


def record(number: int, status: int = 200) -> RequestLog:
    return RequestLog(f"r{number}", "POST", "/v1", status)


async def events(response: Any, count: int) -> list[tuple[str, str, Any]]:
    """Return so many events: name, id, data."""
    result: list[tuple[str, str, Any]] = []
    while len(result) < count:
        frame = (await asyncio.wait_for(response.content.readuntil(b"\n\n"), 5)).decode()
        fields = dict(line.split(": ", 1) for line in frame.splitlines() if ": " in line)
        if "event" in fields:
            result.append((fields["event"], fields.get("id", ""), json.loads(fields["data"])))
    return result


async def test_viewers_see_what_passes_their_filter(admin: Any, serve: Serve) -> None:
    recent = serve.app[SERVICES].observed.recent
    async with admin.get("/admin/tail?filter=status:500") as some, admin.get("/admin/tail") as everything:
        for response in (some, everything):
            assert (await events(response, 1))[0][0] == "hello"
        for number, status in enumerate((200, 500, 200), 1):
            recent.add(record(number, status))
        recent.note("pool", {"project": "blue"})
        ((_, last, row),) = await events(some, 1)
        seen = await events(everything, 4)

    assert (last, row["request_id"]) == ("2", "r2")
    assert [(name, number) for name, number, _ in seen] == [
        ("exchange", "1"), ("exchange", "2"), ("exchange", "3"), ("pool", ""),
    ]  # fmt: skip
    assert everything.headers["Content-Type"].startswith("text/event-stream")
    assert "Content-Security-Policy" in everything.headers


async def test_a_viewer_goes_on_where_it_was_and_is_told_what_it_missed(admin: Any, serve: Serve) -> None:
    recent = serve.app[SERVICES].observed.recent
    for number in range(1, 2501):
        recent.add(record(number))
    async with admin.get("/admin/tail", headers={"Last-Event-ID": "2498"}) as response:
        resumed = await events(response, 3)
    async with admin.get("/admin/tail", headers={"Last-Event-ID": "100"}) as response:
        late = await events(response, 3)
    async with admin.get("/admin/tail", headers={"Last-Event-ID": "99999"}) as response:
        other = await events(response, 2)

    assert [number for _, number, _ in resumed[1:]] == ["2499", "2500"]
    assert late[1] == ("lost", "", {"count": 1400})
    assert late[2][1] == "1501"
    assert other[1][2] == {"count": 1500}  # of another process: all that is held


async def test_the_ninth_viewer_is_refused_and_a_place_is_given_back(admin: Any) -> None:
    responses = [await admin.get("/admin/tail") for _ in range(8)]
    async with admin.get("/admin/tail") as ninth:
        assert (ninth.status, (await ninth.json())["error"]["code"]) == (429, "busy")
    for response in responses:
        response.close()

    async with asyncio.timeout(5):
        while (again := await admin.get("/admin/tail")).status != 200:
            again.close()
            await asyncio.sleep(0.05)
    again.close()


async def test_a_viewer_ends_when_the_gateway_stops(
    admin: Any, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with admin.get("/admin/tail") as response:
        await events(response, 1)
        monkeypatch.setattr(serve.app[SERVICES], "draining", lambda: True)
        rest = await asyncio.wait_for(response.read(), 5)

    assert rest == b""


async def test_a_viewer_that_leaves_is_no_error(
    admin: Any, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    recent = serve.app[SERVICES].observed.recent
    async with admin.get("/admin/tail") as response:
        await events(response, 1)
        response.close()
    for number in range(4):
        recent.add(record(number))
        await asyncio.sleep(0.3)

    assert [line for line in caplog.records if line.name == "aiohttp.server"] == []
