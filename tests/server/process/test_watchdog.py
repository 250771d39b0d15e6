"""Parts of the process that stop while the event loop goes on."""

import asyncio
import threading
from pathlib import Path

import pytest

from gateway.plugin import SERVICES
from gateway.server.process.watchdog import stuck_part
from tests.support.servers import Serve
from tests.support.waiting import eventually


@pytest.mark.row("P31")
async def test_p31_a_ledger_that_does_not_go_on_is_noticed(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await serve(f"ledger: {{url: {tmp_path}/ledger.db}}\n")
    services = serve.app[SERVICES]
    assert stuck_part(services) is None
    going_on, begun = threading.Event(), threading.Event()
    writer = services.exchange.accounting.ledger._writer  # type: ignore[union-attr]

    def commit(_: object) -> None:
        begun.set()
        going_on.wait(30)

    monkeypatch.setattr(writer.thread, "_commit", commit)
    writer.thread.put([])
    await eventually(begun.is_set)
    assert stuck_part(services) is None  # not for long yet
    monkeypatch.setattr("gateway.server.process.watchdog._LONGEST", 0.0)
    await eventually(lambda: "ledger" in (stuck_part(services) or ""))
    going_on.set()
    await eventually(lambda: stuck_part(services) is None)


@pytest.mark.row("P31")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_p31_a_ledger_whose_thread_has_died_is_noticed(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await serve(f"ledger: {{url: {tmp_path}/ledger.db}}\n")
    services = serve.app[SERVICES]
    thread = services.exchange.accounting.ledger._writer.thread  # type: ignore[union-attr]
    monkeypatch.setattr(thread, "_commit", lambda _: 1 / 0)
    thread.put([])

    await eventually(lambda: "ledger" in (stuck_part(services) or ""))


@pytest.mark.row("P31", "P32")
async def test_p31_a_lookup_that_does_not_end_is_noticed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    going_on = threading.Event()

    def hang(*_: object) -> list[object]:
        going_on.wait(30)
        raise OSError("no answer")

    monkeypatch.setattr("gateway.upstream.resolver._addresses", hang)
    await serve.text("upstream: {base_url: 'http://gemini.invalid'}\n")
    services = serve.app[SERVICES]
    monkeypatch.setattr("gateway.server.process.watchdog._LONGEST", 0.0)
    assert stuck_part(services) is None
    lookup = asyncio.create_task(services.exchange._upstream._resolver.resolve("gemini.invalid"))
    await eventually(lambda: "DNS" in (stuck_part(services) or ""))
    going_on.set()
    with pytest.raises(OSError, match="no answer"):
        await lookup

    assert stuck_part(services) is None
