"""The plugin contract: what a third party relies on, and what a mistake is told."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable
from importlib.metadata import EntryPoint
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from msgspec import Struct

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.plugin import SERVICES, Plugin
from gateway.server.application import build_app, open_in_memory
from gateway.server.process.lifecycle import DRAIN
from tests.support.paths import TESTS
from tests.support.servers import Serve
from tests.support.waiting import eventually

ACME = TESTS / "acme_gateway"
events: list[str] = []


class Lively(Plugin):
    """Sets up and tears down."""

    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        events.append("in")
        yield
        events.append("out")


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    here = __name__
    points = [
        EntryPoint(n.lower(), f"{here}:{n}", "gateway.plugins")
        for n in ("Lively", "Talkative", "Unready", "Busy", "Reader")
    ]
    monkeypatch.setattr("gateway.server.plugin_loader.entry_points", lambda: points)
    monkeypatch.setitem(sys.modules, here, sys.modules[__name__])


class Talkative(Plugin):
    """Logs what it does."""

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.get("/talk", self.answer)]

    async def answer(self, request: web.Request) -> web.Response:
        self.logger.info("answering %s", request.path)
        return web.Response(text=self.name)


async def test_a_log_record_of_a_plugin_is_a_line_with_its_name(
    http: aiohttp.ClientSession, serve: Serve, event_lines: list[dict[str, Any]]
) -> None:
    base = await serve("plugins: {talkative: {}}")
    async with http.get(base + "/talk") as response:
        assert await response.text() == "talkative"

    assert event_lines == [
        {"event": "log", "logger": "gateway.plugins.talkative", "level": "info", "message": "answering /talk"}
    ]


async def test_a_plugin_lives_as_long_as_the_application(serve: Serve) -> None:
    events.clear()
    source = Source("plugins: {lively: {}}", "g", {})
    app = build_app(source.decode(GatewayConfig), source)
    runner = web.AppRunner(app)
    await runner.setup()
    await runner.cleanup()

    assert events == ["in", "out"]


class Unready(Plugin):
    """Fails to start, or has a lifespan that is none."""

    class Config(Struct, frozen=True):
        how: str = ""

    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        if self.config.how == "raises":
            raise OSError("no database")
        if self.config.how == "yields":
            yield


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raises", "plugin 'unready' failed to start: OSError: no database"),
        ("", "plugin 'unready' failed to start: its lifespan does not yield"),
    ],
)
async def test_a_failure_at_the_start_names_the_plugin(serve: Serve, how: str, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        await serve(f"plugins: {{unready: {{how: '{how}'}}}}")


class Busy(Plugin):
    """Starts work that outlives its request."""

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.post("/work", self.start), web.post("/fail", self.fail)]

    async def start(self, request: web.Request) -> web.Response:
        self.services.spawn(self._work(), "work")
        return web.Response(text=str(len(self.services.running)))

    async def fail(self, request: web.Request) -> web.Response:
        task = self.services.spawn(self._fail(), "hopeless")
        await asyncio.wait([task])
        return web.Response()

    async def _work(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            events.append("cancelled")

    async def _fail(self) -> None:
        raise KeyError("a client's text")


async def test_background_work_is_waited_for_and_its_failure_is_logged(
    http: aiohttp.ClientSession, serve: Serve, event_lines: list[dict[str, Any]]
) -> None:
    events.clear()
    base = await serve("plugins: {busy: {}}")
    async with http.post(base + "/work") as response:
        assert await response.text() == "2"  # the request and the work
    async with http.post(base + "/fail") as response:
        assert response.status == 200
    serve.app[DRAIN].expire()
    while serve.app[DRAIN].tasks:
        await asyncio.sleep(0)

    assert events == ["cancelled"]
    assert [(line["logger"], line["level"], line["message"]) for line in event_lines] == [
        ("gateway.plugins", "error", "task hopeless failed")
    ]
    assert "client" not in str(event_lines)


class Reader(Plugin):
    """Reads bodies as aiohttp offers it."""

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.post("/whole", self.whole), web.post("/pieces", self.pieces)]

    async def whole(self, request: web.Request) -> web.Response:
        async with self.services.enter(request, self.name):
            return web.Response(text=f"{self.services.admission.in_progress} {await request.text()}")

    async def pieces(self, request: web.Request) -> web.Response:
        async with self.services.enter(request, self.name, reads_body=False):
            events.append(f"{self.services.admission.in_progress} entered")
            return web.Response(body=b"".join([data async for data in request.content.iter_any()]))


@pytest.mark.row("A16", "A27")
@pytest.mark.parametrize("path", ["/whole", "/pieces"])
async def test_a27_a_plugin_says_whether_it_holds_a_place_while_a_body_arrives(
    http: aiohttp.ClientSession, serve: Serve, path: str
) -> None:
    events.clear()
    base = await serve("plugins: {reader: {}}")
    services, begun = serve.app[SERVICES], asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"half "
        await begun.wait()
        yield b"and half"

    asking = asyncio.create_task(http.post(base + path, data=body()))
    await eventually(lambda: services.running and (path == "/whole" or events))
    assert services.admission.in_progress == (path == "/pieces")
    begun.set()
    async with await asking as response:
        assert await response.text() == ("1 half and half" if path == "/whole" else "half and half")


def test_services_that_open_later_raise_until_then() -> None:
    source = Source("plugins: {hello: {}}", "test.yaml", {})
    services = build_app(source.decode(GatewayConfig), source)[SERVICES]

    for name in ("exchange", "delivery", "counters", "tracing", "refresh_keys"):
        with pytest.raises(RuntimeError, match="from a plugin's lifespan on"):
            getattr(services, name)
    open_in_memory(services)
    assert services.counters is services.exchange.accounting.counters
