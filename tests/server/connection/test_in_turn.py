"""Handlers run in their connection's task, and leave nothing in it for the next request."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar

import aiohttp
import pytest
from aiohttp import web

from gateway.exchange.cancellation import BY_OPERATOR
from gateway.server.connection.protocol import Runner
from tests.support.waiting import eventually

VALUE: ContextVar[str] = ContextVar("value", default="nothing")
Ask = Callable[[str], aiohttp.client._RequestContextManager]


class Handlers:
    """Handlers that look at what they run in."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[object] | None] = []
        self.values: list[str] = []
        self.cancelling: list[int] = []
        self.turns: list[int] = []
        """The number of requests so far, each time that the loop has come round."""

    async def look(self, request: web.Request) -> web.Response:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.append(task)
        task.get_loop().call_soon(lambda: self.turns.append(len(self.tasks)))
        self.values.append(VALUE.get())
        self.cancelling.append(task.cancelling())
        if value := request.query.get("set"):
            VALUE.set(value)
        return web.Response(text=self.values[-1])

    async def wait(self, request: web.Request) -> web.Response:
        self.tasks.append(asyncio.current_task())
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as cancelled:
            return web.Response(text=str(cancelled.args[0]))
        return web.Response(text="not cancelled")

    async def fail(self, request: web.Request) -> web.Response:
        raise web.HTTPConflict if "http" in request.query else RuntimeError


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture
async def base(handlers: Handlers) -> AsyncIterator[str]:
    """The address of a server of the handlers."""
    app = web.Application()
    app.router.add_route("*", "/look", handlers.look)
    app.router.add_get("/wait", handlers.wait)
    app.router.add_get("/fail", handlers.fail)
    runner = Runner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def one() -> AsyncIterator[aiohttp.ClientSession]:
    """A client with one connection."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        yield session


async def text(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(url) as response:
        return await response.text()


async def test_requests_of_a_connection_share_its_task(
    base: str, one: aiohttp.ClientSession, handlers: Handlers
) -> None:
    for _ in range(3):
        await text(one, f"{base}/look")

    assert len(set(handlers.tasks)) == 1


async def test_a_variable_ends_with_its_request(
    base: str, one: aiohttp.ClientSession, handlers: Handlers
) -> None:
    for query in ("?set=one", "", "?set=two", ""):
        await text(one, f"{base}/look{query}")

    assert handlers.values == ["nothing"] * 4
    assert len(set(handlers.tasks)) == 4


async def test_a_handler_that_answers_its_cancellation_leaves_no_mark(
    base: str, one: aiohttp.ClientSession, handlers: Handlers
) -> None:
    waiting = asyncio.ensure_future(text(one, f"{base}/wait"))
    await eventually(lambda: len(handlers.tasks) == 1)
    task = handlers.tasks[0]
    assert task is not None
    task.cancel(BY_OPERATOR)

    assert await waiting == BY_OPERATOR
    assert await text(one, f"{base}/look") == "nothing"
    assert handlers.cancelling == [0]
    assert handlers.tasks[0] is handlers.tasks[1]


@pytest.mark.parametrize(("query", "status"), [("", 500), ("?http", 409)])
async def test_a_failure_is_answered(base: str, one: aiohttp.ClientSession, query: str, status: int) -> None:
    async with one.get(f"{base}/fail{query}") as response:
        assert response.status == status

    assert await text(one, f"{base}/look") == "nothing"


async def test_a_client_that_leaves_ends_the_handler(base: str, handlers: Handlers) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", int(base.rpartition(":")[2]))
    writer.write(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
    await eventually(lambda: len(handlers.tasks) == 1)
    writer.close()
    task = handlers.tasks[0]
    assert task is not None

    await eventually(task.done)


async def test_the_rest_of_an_unread_body_is_discarded(base: str, handlers: Handlers) -> None:
    """The answer is not lost in a reset, which unread bytes would cause, and the rest is no request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(base.rpartition(":")[2]))
    body = b"GET /look HTTP/1.1\r\nHost: a\r\n\r\n" * 20_000
    writer.write(b"POST /look HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
    await eventually(lambda: len(handlers.tasks) == 1)
    writer.write(body)
    await asyncio.wait_for(writer.drain(), 10)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()

    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"nothing")
    assert len(handlers.tasks) == 1


async def test_an_upgrade_that_is_offered_goes_aiohttps_way(base: str, handlers: Handlers) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(base.rpartition(":")[2]))
    for _ in range(2):
        writer.write(b"GET /look HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        await reader.readexactly(len("nothing"))
        assert head.startswith(b"HTTP/1.1 200")
    writer.close()

    assert len(set(handlers.tasks)) == 2


async def test_pipelined_requests_let_other_connections_go_on(base: str, handlers: Handlers) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", int(base.rpartition(":")[2]))
    writer.write(b"GET /look HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
    await eventually(lambda: len(handlers.turns) == 100)
    writer.close()

    assert handlers.turns == list(range(1, 101))
