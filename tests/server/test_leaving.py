"""Clients that leave at each step of an answer: their request ends as 499, and nothing is a crash."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from gateway.observability.request_log import RequestLog
from gateway.server.connection.protocol import Protocol
from gateway.server.process.lifecycle import DRAIN
from tests.support.rawc import RawClient
from tests.support.servers import Fake, Serve
from tests.support.waiting import eventually

MOST_STEPS = 200
AFTER = b"GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
"""Sent behind each request, so that the connection ends in any case."""
CHAT = "/v1/chat/completions"
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}]}
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "whole": (CHAT, HELLO),
    "streamed": (CHAT, {**HELLO, "stream": True}),
    "an error": (CHAT, {"messages": [{"role": "user", "content": "[[503]]"}]}),
    "two choices": (CHAT, {**HELLO, "n": 2}),
    "two choices, streamed": (CHAT, {**HELLO, "n": 2, "stream": True}),
    "an error in mid-stream": (CHAT, {"messages": [{"role": "user", "content": "[[error midstream]]"}], "stream": True}),
    "messages": ("/v1/messages", {**HELLO, "model": "m", "max_tokens": 9, "stream": True}),
    "responses": ("/v1/responses", {"input": "hello", "stream": True}),
    "embeddings": ("/v1/embeddings", {"input": "hello", "model": "gemini-embedding-001"}),
    "native": ("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", {"contents": [{"parts": [{"text": "hello"}]}]}),
}  # fmt: skip
QUICK = ("whole", "streamed")


class Steps:
    """Counts the callbacks of the event loop, and does something after one of them."""

    def __init__(self) -> None:
        self.left = -1
        """Callbacks to come before it is done; negative: it is not to be done."""
        self.then: Callable[[], object] = lambda: None

    def ran(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.then()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    counted = Steps()
    run = asyncio.Handle._run

    def counting(handle: asyncio.Handle) -> None:
        run(handle)
        counted.ran()

    monkeypatch.setattr(asyncio.Handle, "_run", counting)
    return counted


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.BaseTransport]:
    """The gateway's connections to its clients."""
    transports: list[asyncio.BaseTransport] = []
    made = Protocol.connection_made

    def noted(protocol: Protocol, transport: asyncio.BaseTransport) -> None:
        transports.append(transport)
        made(protocol, transport)

    monkeypatch.setattr(Protocol, "connection_made", noted)
    return transports


class Outcome(NamedTuple):
    """Bytes that a client has got, and the statuses of its request's log lines."""

    data: bytes
    statuses: list[int]


class Clients:
    """Clients of one gateway, which leave at a step of the loop, counted from their request."""

    def __init__(
        self,
        serve: Serve,
        base: str,
        steps: Steps,
        connections: list[asyncio.BaseTransport],
        lines: list[RequestLog],
    ) -> None:
        self._running, self._base, self._steps = serve.app[DRAIN].tasks, base, steps
        self._connections, self._lines = connections, lines

    async def ask(self, name: str, step: int = -1, leave: str = "close") -> Outcome:
        """Send a request. The gateway's transport is closed or aborted after a step, as when FIN or RST was read."""
        path, body = REQUESTS[name]
        self._connections.clear()
        self._lines.clear()
        async with asyncio.timeout(30), await RawClient.open(self._base) as client:
            await eventually(lambda: self._connections)
            self._steps.then, self._steps.left = getattr(self._connections[0], leave), step
            await client.post(path, json.dumps(body).encode(), "x-goog-api-key: k")
            await client.send(AFTER)
            try:
                data = await client.reader.read()
            except ConnectionError:
                data = b""
        await eventually(lambda: not self._running)
        return Outcome(data, [line.status for line in self._lines if line.method == "POST"])


@pytest.mark.parametrize("leave", ["close", pytest.param("abort", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in REQUESTS]
)
async def test_a_client_that_leaves_at_any_step_is_a_499(
    serve: Serve,
    fake: Fake,
    steps: Steps,
    connections: list[asyncio.BaseTransport],
    request_lines: list[RequestLog],
    event_lines: list[dict[str, Any]],
    leave: str,
    name: str,
) -> None:
    """A write may meet a closing transport before the handler is cancelled: that is no crash, and no 200 either."""
    plugins = "chat: {}, messages: {}, responses: {}, embeddings: {}, native: {}"
    base = await serve.text(
        f"upstream: {{base_url: '{fake.url}', retry: {{backoff: 0}}}}\nplugins: {{{plugins}}}"
    )
    clients = Clients(serve, base, steps, connections, request_lines)
    (end,) = (await clients.ask(name)).statuses
    for step in range(1, MOST_STEPS):
        await clients.ask(
            name
        )  # puts a connection to Google into the pool: each request takes the same steps
        data, statuses = await clients.ask(name, step, leave)
        if steps.left > 0:
            break
        assert statuses in ([], [499], [end]), step  # none: the request had not begun
        if leave == "close" and not data:
            assert statuses in ([], [499]), step

    assert 10 < step < MOST_STEPS - 1
    assert event_lines == []
