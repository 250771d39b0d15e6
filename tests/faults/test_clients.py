"""Clients that leave: in each phase of a request, in each manner, alone and by hundreds."""

import asyncio
import json
from collections.abc import Callable

import pytest

from gateway.observability.request_log import RequestLog
from gateway.policy.ledger import Settlement
from gateway.store.ledger.writer import Ledger
from tests.support.fakegem import STREAM_HEAD, Step, chunk, event, message, pause, refusal, stream
from tests.support.rawc import RawClient
from tests.support.site import Site
from tests.support.surfaces import (
    CHAT,
    CHAT_STREAM,
    MESSAGES,
    MESSAGES_STREAM,
    NATIVE,
    NATIVE_STREAM,
    RESPONSES,
    RESPONSES_STREAM,
    Surface,
    assert_whole,
)
from tests.support.waiting import eventually

STREAMS = (CHAT_STREAM, RESPONSES_STREAM, MESSAGES_STREAM, NATIVE_STREAM)
UNARY = (CHAT, RESPONSES, MESSAGES, NATIVE)
BEGUN = stream(message("one ", None), message("two ", None))
FOREVER: list[Step] = [chunk(event(message("x" * 1000, None))), pause(0.02)] * 5_000
Leave = Callable[[RawClient], None]
MANNERS = pytest.mark.parametrize("leave", [RawClient.leave, RawClient.reset], ids=["FIN", "RST"])


async def ask(site: Site, surface: Surface) -> RawClient:
    """Return a client whose request is sent."""
    client = await RawClient.open(site.base)
    await client.post(surface.path, json.dumps(surface.body()).encode(), f"Authorization: Bearer {site.key}")
    return client


async def left(site: Site, count: int = 1) -> None:
    """Wait until the gateway has closed its connections of the last calls.

    It takes milliseconds (`make test-gone` measures it); a busy machine gets the time that it needs.
    """
    async with asyncio.timeout(30):
        while (
            sum(connection.busy for connection in site.upstream.connections)
            or len(site.upstream.requests) < count
        ):
            await asyncio.sleep(0.001)


async def assert_gone(site: Site, lines: list[RequestLog], count: int = 1) -> None:
    """Check that requests that were left are told as such: no crash, no 500, and a cancelled call in the ledger."""
    await eventually(lambda: len(lines) >= count)
    assert {(line.status, line.error) for line in lines[:count]} == {(499, None)}
    assert site.services.statistics.errors == {}
    assert set(await site.outcomes()) <= {"cancelled"}


@pytest.mark.row("A29", "C06", "C08", "C10")
@MANNERS
@pytest.mark.parametrize("surface", [*STREAMS, *UNARY])
async def test_c06_a_client_that_leaves_before_the_first_byte_ends_the_call(
    site: Site, surface: Surface, leave: Leave, request_lines: list[RequestLog]
) -> None:
    await site.start()
    site.upstream.queue.append([None])
    client = await ask(site, surface)
    await eventually(lambda: site.upstream.requests)
    leave(client)

    await left(site)
    await assert_gone(site, request_lines)


@pytest.mark.row("A29", "C07", "C08", "C10")
@MANNERS
@pytest.mark.parametrize("surface", STREAMS)
@pytest.mark.parametrize("rest", [[None], FOREVER], ids=["silent", "busy"])
async def test_c07_a_client_that_leaves_in_the_middle_ends_the_call(
    site: Site, surface: Surface, leave: Leave, rest: list[Step], request_lines: list[RequestLog]
) -> None:
    await site.start()
    site.upstream.queue.append([*BEGUN, *rest])
    client = await ask(site, surface)
    await client.reader.readuntil(b"two ")
    leave(client)

    await left(site)
    await assert_gone(site, request_lines)
    row = site.rows()[-1]
    assert row.prompt >= 10
    assert row.completion >= 5


LAST_BYTES = {
    "chat": b"[DONE]\n\n",
    "responses": b"response.completed",
    "messages": b"message_stop",
    "native": b'"e"',
}


@pytest.mark.row("A29", "C07")
@MANNERS
@pytest.mark.parametrize("surface", [*STREAMS, NATIVE])
async def test_a29_a_client_that_leaves_at_the_last_byte_was_served(
    site: Site,
    surface: Surface,
    leave: Leave,
    request_lines: list[RequestLog],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SDKs close the connection at `[DONE]`, while the gateway still settles the call."""

    async def settle(ledger: Ledger, settlement: Settlement) -> None:
        ledger.note(settlement)
        await asyncio.Event().wait()

    await site.start()
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "settle", settle)
        client = await ask(site, surface)
        await client.reader.readuntil(b"fine" if surface is NATIVE else LAST_BYTES[surface.name])
        leave(client)
        await eventually(lambda: request_lines)

    assert [line.status for line in request_lines] == [200]
    assert await site.outcomes() == ["ok"]


@pytest.mark.row("A29", "C09", "C10")
@MANNERS
@pytest.mark.parametrize("surface", UNARY)
async def test_c09_a_client_that_leaves_a_unary_call_ends_it(
    site: Site, surface: Surface, leave: Leave, request_lines: list[RequestLog]
) -> None:
    await site.start()
    site.upstream.queue.append(
        [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{", None]
    )
    client = await ask(site, surface)
    await eventually(lambda: site.upstream.requests)
    leave(client)

    await left(site)
    await assert_gone(site, request_lines)


@pytest.mark.row("A29", "C11")
@MANNERS
@pytest.mark.parametrize("surface", [CHAT, CHAT_STREAM, MESSAGES_STREAM])
async def test_c11_a_client_that_leaves_between_two_attempts_makes_no_other(
    site: Site, surface: Surface, leave: Leave, request_lines: list[RequestLog]
) -> None:
    await site.start(retry="backoff: 10")
    site.upstream.always = refusal(503, "UNAVAILABLE")
    client = await ask(site, surface)
    await eventually(lambda: site.rows() and site.rows()[-1].ended is not None)
    calls = len(site.upstream.requests)
    leave(client)
    await eventually(lambda: request_lines)

    assert request_lines[0].status == 499
    assert len(site.upstream.requests) == calls
    assert site.services.admission.in_progress == 0


@pytest.mark.row("A29", "C18")
@MANNERS
@pytest.mark.parametrize("surface", UNARY)
async def test_c18_a_client_that_leaves_while_it_sends_begins_no_call(
    site: Site, surface: Surface, leave: Leave, request_lines: list[RequestLog]
) -> None:
    await site.start()
    client = await RawClient.open(site.base)
    await client.send(
        f"POST {surface.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.key}\r\nContent-Length: 1000\r\n\r\n{{".encode()
    )
    await eventually(lambda: site.services.running)
    leave(client)
    await eventually(lambda: request_lines)

    assert [line.status for line in request_lines] == [499]
    assert not site.upstream.requests
    assert site.services.admission.in_progress == 0


@pytest.mark.row("A29")
@MANNERS
async def test_a29_a_client_that_leaves_an_upload_ends_it(
    site: Site, leave: Leave, request_lines: list[RequestLog]
) -> None:
    await site.start()
    site.upstream.queue.append([None])
    client = await RawClient.open(site.base)
    await client.send(
        f"POST /upload/v1beta/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {site.key}\r\n"
        "Content-Length: 3000000\r\n\r\n".encode()
        + b"x" * 100_000
    )
    await eventually(lambda: site.services.exchange.accounting.statistics.calls)
    leave(client)
    await eventually(lambda: request_lines)

    assert [line.status for line in request_lines] == [499]
    await left(site, 0)


@pytest.mark.row("C13")
@pytest.mark.parametrize("surface", [CHAT, CHAT_STREAM, NATIVE])
async def test_c13_a_client_that_ends_its_half_counts_as_gone(
    site: Site, surface: Surface, request_lines: list[RequestLog]
) -> None:
    await site.start()
    site.upstream.queue.append([None])
    client = await ask(site, surface)
    await eventually(lambda: site.upstream.requests)
    client.half_close()

    await left(site)
    await assert_gone(site, request_lines)
    assert await client.reader.read() == b""
    client.leave()


CROWD = 200


@pytest.mark.row("A29", "C14")
@pytest.mark.parametrize(
    ("surface", "phase"),
    [
        (CHAT, "before"), (CHAT_STREAM, "before"), (CHAT_STREAM, "silent"), (CHAT_STREAM, "busy"), (NATIVE_STREAM, "busy"),
        *(
            pytest.param(surface, phase, marks=pytest.mark.slow)
            for surface in (MESSAGES_STREAM, RESPONSES_STREAM, NATIVE_STREAM)
            for phase in ("before", "silent", "busy")
        ),
    ],
)  # fmt: skip
async def test_c14_when_a_crowd_leaves_at_once_nothing_crashes(
    site: Site, surface: Surface, phase: str, request_lines: list[RequestLog]
) -> None:
    await site.start()
    steps: dict[str, list[Step]] = {
        "before": [None],
        "silent": [*BEGUN, None],
        "busy": [STREAM_HEAD, *FOREVER],
    }
    site.upstream.always = steps[phase]
    clients = [await ask(site, surface) for _ in range(CROWD)]
    if phase == "before":
        await eventually(lambda: len(site.upstream.requests) == CROWD)
    else:
        await asyncio.gather(
            *(client.reader.readuntil(b"two " if phase == "silent" else b"xxxx") for client in clients)
        )
    for number, client in enumerate(clients):
        (client.reset if number % 2 else client.leave)()

    async with asyncio.timeout(60):
        while any(connection.busy for connection in site.upstream.connections):
            await asyncio.sleep(0.005)
    await assert_gone(site, request_lines, CROWD)


@pytest.mark.row("C40")
@pytest.mark.parametrize("surface", [CHAT, CHAT_STREAM, RESPONSES, MESSAGES, NATIVE])
async def test_c40_the_same_request_twice_at_once_is_two_requests(site: Site, surface: Surface) -> None:
    await site.start()
    first, second = await asyncio.gather(site.ask(surface), site.ask(surface))

    assert_whole(first)
    assert_whole(second)
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert await site.outcomes() == ["ok", "ok"]
