"""Fixtures that every test may use."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import hypothesis
import pytest
from aiohttp import web

from gateway.emulator.server import build_fake
from gateway.exchange.calls.accounting import CallAccounting
from gateway.observability.json_log import JsonLog
from gateway.observability.request_log import RequestLog
from tests.support.gateway_process import Gateway
from tests.support.models import Today
from tests.support.servers import Fake, RawUpstream, Serve, upstream_of
from tests.support.team import Google, Team

_MEMORY = "/dev/shm"
_ROOM = 2**31
"""Bytes that the folders of tests may need."""
_HERE = Path(__file__).parent
_FROM_OUTSIDE = {"adversary", "advisories", "attacks", "deploy", "docs", "faults", "sdk"}
"""Folders whose tests do not count for coverage: a module's own tests cover its lines. Measuring would double their time."""


def pytest_configure() -> None:
    """Put the folders of tests into memory, where SQLite's commits wait for no disk; not where nothing may be started."""
    if "PYTEST_DEBUG_TEMPROOT" not in os.environ and os.access(_MEMORY, os.W_OK):
        volume = os.statvfs(_MEMORY)
        if volume.f_bavail * volume.f_frsize > _ROOM and not volume.f_flag & os.ST_NOEXEC:
            os.environ["PYTEST_DEBUG_TEMPROOT"] = _MEMORY


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Measure no coverage in tests that test the gateway from outside."""
    for item in items:
        if item.path.is_relative_to(_HERE) and item.path.relative_to(_HERE).parts[0] in _FROM_OUTSIDE:
            item.add_marker("no_cover")


def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes run the tests: more than processors, because the tests wait for a third of their time."""
    return (os.cpu_count() or 1) * 3 // 2


hypothesis.settings.register_profile("gateway", deadline=None)  # a clock depends on the machine
hypothesis.settings.load_profile("gateway")


@pytest.fixture(autouse=True)
def today(monkeypatch: pytest.MonkeyPatch) -> Today:
    """The day whose prices and successors of models apply: that of the shipped table, until a test sets another."""
    chosen = Today()
    monkeypatch.setattr(CallAccounting, "today", staticmethod(lambda: chosen.at))
    return chosen


@pytest.fixture
def event_lines(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Lines of the log beside those of requests, as they are written."""
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(JsonLog, "event", lambda _, name, **fields: lines.append({"event": name, **fields}))
    return lines


@pytest.fixture
def request_lines(monkeypatch: pytest.MonkeyPatch) -> list[RequestLog]:
    """Log records of requests, as they are written."""
    records: list[RequestLog] = []

    def exchange(_: JsonLog, record: RequestLog) -> RequestLog:
        records.append(record)
        return record

    monkeypatch.setattr(JsonLog, "exchange", exchange)
    return records


@pytest.fixture
async def pipe() -> AsyncIterator[tuple[int, int]]:
    """The two ends of a pipe: to read, and to write."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a gateway: `await serve(yaml, upstream_url)` returns its base URL."""
    serving = Serve()
    yield serving
    await serving.stop()


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    """The emulator of Gemini, with its `url`."""
    app = build_fake(pace=0.001)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield Fake(app, f"http://127.0.0.1:{runner.addresses[0][1]}")
    await runner.cleanup()


@pytest.fixture
async def gateway(serve: Serve, fake: Fake) -> str:
    """A gateway with shipped settings in front of the emulator."""
    return await serve("", fake.url)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client with a key."""
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer test-key"}) as session:
        yield session


@pytest.fixture
async def raw_upstream() -> AsyncIterator[RawUpstream]:
    """An upstream that answers with the bytes of its `scripts`."""
    upstream = RawUpstream()
    server = await asyncio.start_server(upstream.answer, "127.0.0.1", 0)
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield upstream
    server.close()
    await upstream.close()


@pytest.fixture
async def google() -> Google:
    """Google's side of `team`; a module may have another one, with an `answer`."""
    return Google()


@pytest.fixture
async def team(serve: Serve, tmp_path: Path, google: Google, aiohttp_server: Any) -> Team:
    """A gateway with a pool and a ledger, in front of `google`; it is still to be started."""
    return Team(serve, tmp_path, await upstream_of(aiohttp_server, google.answer))


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[list[Gateway]]:
    """The processes of gateways that the test starts; they are ended after it."""
    started: list[Gateway] = []
    yield started
    for entry in started:
        entry.close()
