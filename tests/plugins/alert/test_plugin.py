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
from gateway.policy.clients.budgets import Budget, BudgetUse
from gateway.policy.clients.client_rules import Rules
from gateway.policy.pool.call_outcome import Rejected
from gateway.store.ledger.client_keys import issue
from gateway.store.ledger.tables import open_engine
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
    statistics.exchanges["m", 200] = 5
    statistics.exchanges["", 502] = 5
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

    async def used() -> list[BudgetUse]:
        return [
            BudgetUse("carl", Budget("money", "month", 1_000_000), 850_000),
            BudgetUse("eva", Budget("tokens", "day", 10), 1),
        ]

    serve.app[SERVICES].metrics.budgets.read = used
    await plugin(serve).look()

    assert [m["text"].partition("] ")[2] for m in channel.messages] == [
        "The key carl has used 85 % of its budget (1 dollars, month)."
    ]


async def test_o20_a_budget_that_refuses_is_told_once_in_its_period_also_after_a_restart(
    serve: Serve, channel: Channel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    noon = 1_795_780_800.0  # 2026-11-27 12:00 UTC
    key = issued_key(tmp_path, tokens={"day": 500})
    body = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "hello"}]}
    team = f"pool: {{projects: [{{name: a, keys: [{{env: K}}]}}]}}\nledger: {{url: {tmp_path}/ledger.db}}"
    for day in (0, 0, 1):  # a start each; the second is a restart on the same day
        monkeypatch.setattr("gateway.plugins.alert.plugin.time", lambda day=day: noon + day * 86400)
        alerting = options("every: 3600, prices: 0").replace("plugins: {", "plugins: {chat: {}, ")
        base = await serve(f"{alerting}\n{team}")
        if not channel.messages:
            monkeypatch.setattr("gateway.exchange.calls.attempt.time", lambda: noon)
            headers = {"Authorization": f"Bearer {key}"}
            async with (
                aiohttp.ClientSession(base, headers=headers) as http,
                http.post("/v1/chat/completions", json=body) as response,
            ):
                assert (await response.json())["error"]["code"] == "insufficient_quota"
        for _ in range(2):
            await plugin(serve).look()
        await serve.stop()

    text = "The key x has used 0 % of its budget (500 tokens, day). It was refused a request that may have cost more than the rest."
    assert [m["text"].partition("] ")[2] for m in channel.messages] == [text, f"Resolved: {text}"]
    assert {m["severity"] for m in channel.messages} == {"critical"}


def issued_key(folder: Path, **rules: Any) -> str:
    engine = open_engine(str(folder / "ledger.db"), None)
    _, key = issue(engine, "x", Rules(**rules), time(), None)
    engine.dispose()
    return key


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
    statistics.exchanges["", 502] = 5
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


@pytest.mark.parametrize(("days", "end"), [(30.0, 2_592_050.0), (None, 0.0)])
async def test_the_end_of_a_certificate_is_a_metric(
    serve: Serve, channel: Channel, monkeypatch: pytest.MonkeyPatch, days: float | None, end: float
) -> None:
    async def read(_: str, __: int) -> tuple[float | None, str]:
        return days, "it is not accepted"

    monkeypatch.setattr("gateway.plugins.alert.plugin.remaining", read)
    monkeypatch.setattr("gateway.plugins.alert.plugin.time", lambda: 50.0)
    await serve(options("every: 3600, certificate: {host: h}"))
    await plugin(serve).look()
    certificates = serve.app[SERVICES].statistics.certificates

    assert certificates == {("h",): end}
    await serve.stop()
    assert certificates == {}


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
