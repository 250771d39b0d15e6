"""A gateway with batches that is killed in the middle of a call, and started again."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import time

import sqlalchemy as sa
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.emulator.server import build_fake
from gateway.policy.clients.client_rules import Rules
from gateway.store.ledger import client_keys
from gateway.store.ledger.tables import open_engine
from tests.support.batches import BatchClient
from tests.support.gateway_process import Gateway, config, ready


class Google:
    """The emulator. Its first answer to a path does not arrive, and then the call has been made if `is_done`."""

    def __init__(self, path: str, *, is_done: bool) -> None:
        self.path, self.is_done = path, is_done
        self.url = ""
        self.reached = asyncio.Event()
        self.calls: list[str] = []
        """Paths of the calls that were made."""

    def count(self, word: str) -> int:
        """Return the number of calls that were made whose path has a word."""
        return sum(word in path for path in self.calls)

    @web.middleware
    async def around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        is_cut = not self.reached.is_set() and self.path in request.path
        if is_cut and not self.is_done:
            return await self._cut()
        self.calls.append(request.path)
        response = await handler(request)
        return await self._cut() if is_cut else response

    async def _cut(self) -> web.StreamResponse:
        self.reached.set()
        await asyncio.sleep(30)  # until the connection is gone
        raise web.HTTPBadGateway


@asynccontextmanager
async def google_that_hangs(path: str, *, is_done: bool) -> AsyncIterator[Google]:
    """Serve the emulator."""
    upstream = Google(path, is_done=is_done)
    app = build_fake(pace=0.001)
    app.middlewares.append(upstream.around)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    upstream.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield upstream
    await runner.cleanup()


class KilledBatches:
    """A gateway of one project, whose key is `KEY_A` of the environment, and a client with an issued key."""

    def __init__(self, folder: Path, upstream: Google, plugins: str, options: str = "") -> None:
        self.folder, self.upstream = folder, upstream
        self.settings = config(upstream.url) + (
            "pool: {projects: [{name: a, keys: [{env: KEY_A}]}]}\n"
            f"ledger: {{url: {folder}/ledger.db}}\n"
            f"plugins: {{{plugins}, health: {{}}, "
            f"batches: {{path: {folder}/batches, poll: 0.2, longest_poll: 0.5{options}}}}}\n"
        )
        with self.ledger() as engine:
            _, self._key = client_keys.issue(engine, "x", Rules(dollars={"month": 5.0}), time(), None)

    @contextmanager
    def ledger(self) -> Iterator[sa.Engine]:
        """Open the ledger's database."""
        engine = open_engine(f"{self.folder}/ledger.db", None)
        yield engine
        engine.dispose()

    async def client(self, start: list[Gateway]) -> BatchClient:
        """Start the gateway. Return a client of it."""
        gateway = Gateway(self.folder, self.settings)
        start.append(gateway)
        return BatchClient(await ready(gateway), self._key)

    async def killed(self, start: list[Gateway]) -> BatchClient:
        """Kill the gateway in the middle of the call, and start it again. Return a client of it."""
        await asyncio.wait_for(self.upstream.reached.wait(), 20)
        start[-1].close()
        (self.folder / "notify").unlink()
        return await self.client(start)
