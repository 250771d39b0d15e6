"""`alert` in a gateway: what it sends to a webhook, and how often."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import time
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.errors import ConfigError
from gateway.plugin import SERVICES
from gateway.plugins.alert.plugin import AlertPlugin, remaining
from gateway.policy.budgets import Budget
from gateway.policy.call_outcome import Rejected
from tests.support.certificates import Authority
from tests.support.servers import Serve
from tests.support.waiting import eventually


class Channel:
    """A webhook of a chat."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.status = 200
        self.url = ""

    async def post(self, request: web.Request) -> web.Response:
        self.messages.append(await request.json())
        return web.Response(status=self.status)


@pytest.fixture
async def channel(serve: Serve) -> AsyncIterator[Channel]:
    result = Channel()
    app = web.Application()
    app.add_routes([web.post("/hook", result.post)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    result.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    serve.environ = {"HOOK": result.url, "K": "AIza" + "k" * 35}
    yield result
    await runner.cleanup()


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    return tmp_path / "plugins" / "alert"


def plugin(serve: Serve) -> AlertPlugin:
    result = serve.app[SERVICES].plugins["alert"]
    assert isinstance(result, AlertPlugin)
    return result


def options(more: str = "every: 3600") -> str:
    return f"plugins: {{alert: {{url: {{env: HOOK}}, {more}}}}}"


async def test_o20_failed_requests_are_told_once(serve: Serve, channel: Channel, folder: Path) -> None:
    await serve(options("every: 3600, errors: {requests: 5}"))
    statistics = serve.app[SERVICES].statistics
    statistics.exchanges["m", 200] += 5
    statistics.exchanges["", 502] += 5
    await plugin(serve).look()
    await plugin(serve).look()

    (message,) = channel.messages
    assert message["text"].endswith("] 5 of the last 10 requests failed (50 %).")
    assert (message["alert"], message["severity"], message["resolved"]) == ("errors", "critical", False)
    assert statistics.plugin_events == {("alert", "errors sent"): 1}
    assert (folder / "state.json").exists()


async def test_o20_what_was_sent_is_known_after_a_restart(
    serve: Serve, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.plugins.alert.plugin.age", lambda _: 70)
    for _ in range(2):
        await serve(options())
        await plugin(serve).look()
        await serve.stop()

    assert [message["alert"] for message in channel.messages] == ["prices"]


async def test_o20_an_alert_that_could_not_be_sent_stays_due(
    serve: Serve, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.plugins.alert.plugin.age", lambda _: 70)
    await serve(options())
    channel.status = 500
    with pytest.raises(aiohttp.ClientError, match="the webhook answered 500"):
        await plugin(serve).look()
    channel.status = 200
    await plugin(serve).look()
    await plugin(serve).look()

    assert [message["alert"] for message in channel.messages] == ["prices", "prices"]


async def test_a_state_that_cannot_be_read_is_told(
    serve: Serve, channel: Channel, folder: Path, event_lines: list[dict[str, Any]]
) -> None:
    folder.mkdir(parents=True)
    (folder / "state.json").write_text("no json")
    await serve(options())

    assert "may be sent again" in event_lines[0]["message"]


async def test_o20_budgets_of_keys_are_told(serve: Serve, channel: Channel) -> None:
    await serve(options())

    async def used() -> list[tuple[str, Budget, int]]:
        return [
            ("carl", Budget("money", "month", 1_000_000), 850_000),
            ("eva", Budget("tokens", "day", 10), 1),
        ]

    serve.app[SERVICES].read_budgets = used
    await plugin(serve).look()

    assert [m["text"].partition("] ")[2] for m in channel.messages] == [
        "The key carl has used 85 % of its budget (1 dollars, month)."
    ]


async def test_o20_a_refused_key_is_told(serve: Serve, channel: Channel) -> None:
    pool = "pool: {projects: [{name: a, keys: [{env: K}]}]}\nledger: {url: ledger.db}"
    await serve(f"{options()}\n{pool}")
    keys = serve.app[SERVICES].metrics.pool
    keys.settle(keys.acquire("m", time()), Rejected("bad"), time(), 0.0)
    await plugin(serve).look()

    assert "Google refuses the key: replace it." in channel.messages[0]["text"]
    assert "AIza" not in str(channel.messages)


async def test_o20_it_looks_by_itself(serve: Serve, channel: Channel) -> None:
    await serve(options("every: 1, text_field: content, budgets: [], projects: false, errors: {requests: 1}"))
    statistics = serve.app[SERVICES].statistics
    statistics.exchanges["", 502] += 5
    await eventually(lambda: bool(channel.messages))

    assert channel.messages[0]["content"].endswith("requests failed (100 %).")


async def test_o20_the_certificate_of_a_server_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    trusting = authority.trusting()
    monkeypatch.setattr("gateway.plugins.alert.plugin.ssl.create_default_context", lambda: trusting)
    results = []
    for days in (5, -1):
        context = authority.server("localhost", days=days)
        server = await asyncio.start_server(lambda _, writer: writer.close(), "localhost", 0, ssl=context)
        results.append(await remaining("localhost", server.sockets[0].getsockname()[1]))
        server.close()

    (left, fault), (expired, reason) = results
    assert left is not None
    assert 4 < left < 6
    assert (fault, expired, reason) == ("", None, "certificate has expired")
    assert (await remaining("localhost", 9))[1] == "localhost:9 does not answer (ConnectionRefusedError)"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("budgets: [0]", "budgets"),
        ("every: 0", "every"),
        ("errors: {share: 2}", "share"),
        ("certificate: {}", "host"),
        ("certificate: {host: x, port: 99999}", "port"),
        ("text_field: ''", "text_field"),
    ],
)
async def test_a_mistake_is_told_with_its_place(
    serve: Serve, channel: Channel, more: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        await serve(options(more))


async def test_the_url_is_one(serve: Serve) -> None:
    serve.environ = {"HOOK": "no-url"}
    with pytest.raises(ConfigError, match=r"`url` must refer to an http\(s\) URL"):
        await serve(options())
