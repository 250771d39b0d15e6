"""What survives every fault, checked after each test of this folder.

(a) the same process and loop serve on, (b) the client got exactly one well-formed answer: each test checks it by
`assert_whole`, `assert_refused` or `assert_broken_off` of `tests.support.surfaces`, (c) the next request succeeds,
(d) within five seconds descriptors, tasks, places, leases of keys and the memory account are back, (e) no key is in log,
answers or ledger, (f) the ledger has one settled row for each call of the upstream, (g) the log shows no forgotten task
or connection, no crash, and no line above 4 KB, (h) in tests marked `timed`, the loop was away for 50 ms at most.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.observability.json_log import JsonLog
from gateway.plugin import SERVICES
from tests.support.apart import Apart, running
from tests.support.fakegem import FakeGem
from tests.support.site import Site, WatchedServe, all_returned

_FORGOTTEN = (b"never retrieved", b"Unclosed", b"never awaited", b'"event":"crash"', b"Traceback")
_MOST_LAG = 0.05
"""Seconds."""
_MOST_LINE = 4096
"""Bytes of a line of the log."""


@pytest.fixture
async def serve() -> AsyncIterator[WatchedServe]:
    """Starts a gateway: `await serve(yaml, upstream_url)` returns its base URL."""
    serving = WatchedServe()
    yield serving
    await serving.stop()


@pytest.fixture
async def fakegem() -> AsyncIterator[FakeGem]:
    """A running upstream that answers well until a test wants a fault."""
    upstream = FakeGem()
    await upstream.start()
    yield upstream
    await upstream.stop()


@pytest.fixture
async def apart(tmp_path: Path) -> AsyncIterator[Apart]:
    """A gateway in front of `tests.soak.hostile_upstream`, each a process of its own."""
    async with running(tmp_path) as result:
        yield result


@pytest.fixture
async def site(serve: WatchedServe, fakegem: FakeGem, tmp_path: Path) -> AsyncIterator[Site]:
    """A gateway in front of `fakegem`, to be started by the test."""
    gateway = Site(serve, tmp_path, fakegem)
    yield gateway
    await gateway.leave()


@pytest.fixture(autouse=True)
async def survived(
    request: pytest.FixtureRequest,
    serve: WatchedServe,
    fakegem: FakeGem,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[None]:
    """Check the conditions after the test, for every gateway that ran in this process.

    The fixtures of the parameters last until the checks are made: the upstream, and what the test replaced.
    """
    forgotten: list[Any] = []
    log: list[bytes] = []
    take = JsonLog._take

    def taken(own: JsonLog) -> bytes:
        log.append(take(own))
        return log[-1]

    monkeypatch.setattr(JsonLog, "_take", taken)
    asyncio.get_running_loop().set_exception_handler(lambda _, context: forgotten.append(context))
    yield
    if serve.baseline is not None and request.node.get_closest_marker("timed"):
        assert serve.app[SERVICES].metrics.loop_lag.largest <= _MOST_LAG
    site = serve.site
    if site is not None and site.base:
        await site.check()
    if serve.baseline is not None:
        await all_returned(serve.app, serve.baseline)
    await serve.stop()
    lines = b"".join(log)
    assert [word for word in _FORGOTTEN if word in lines] == [], lines[-5000:]
    assert max(map(len, lines.split(b"\n"))) <= _MOST_LINE
    assert forgotten == []
    if site is not None:
        assert site.traces(lines) == []
