"""The application of the admin listener: admin API, metrics, and the console's pages.

All but `/metrics`, the pages' files and the way in require an operator. The listener belongs on loopback, a Unix socket
or a private network.
"""

from collections.abc import AsyncIterator, Callable
from time import time

from aiohttp import web

from gateway.config.admin import SINGLE, AdminConfig
from gateway.console.about import About
from gateway.console.assets import Assets, to_page
from gateway.console.changes import Changes
from gateway.console.configuration import Configuration
from gateway.console.doctor import Doctor
from gateway.console.endpoint import Endpoint
from gateway.console.errors import Errors
from gateway.console.guard import READING, Guard
from gateway.console.keys import Keys
from gateway.console.models import Models
from gateway.console.openapi import OpenApi
from gateway.console.operators import Operators
from gateway.console.playground import Playground
from gateway.console.pool import Pool
from gateway.console.process import Process
from gateway.console.requests import Requests
from gateway.console.session import ENDED, Sessions
from gateway.console.sources import Sources
from gateway.console.summary import Summary
from gateway.console.tail import Tail
from gateway.console.usage import Usage
from gateway.observability.prometheus import exposition
from gateway.plugin import Services

_ALONE = Process()
_NEAR = ("/console", "/console/")
"""Addresses that people try for the console, which is at `/`."""
_LARGEST = 2**20
"""Bytes of a body, at most."""


class Admin:
    """Admin API and console. `services` returns those of the current application, which a reload replaces."""

    def __init__(
        self, services: Callable[[], Services], config: AdminConfig, process: Process = _ALONE
    ) -> None:
        self._sources = sources = Sources(services, process)
        self._assets = assets = Assets()
        self._operators = operators = Operators(config)
        self._guard = guard = Guard(operators, config.hosts, assets.build)
        rooms = (
            Sessions(operators, guard, sources, assets.build),
            About(sources, assets.build),
            Summary(sources, assets.build),
            Requests(sources),
            Tail(sources),
            Errors(sources),
            Keys(sources),
            Pool(sources),
            Usage(sources),
            Configuration(sources),
            Doctor(sources),
            Changes(sources),
            Models(sources),
            Playground(sources, config.playground),
        )
        self.endpoints: list[Endpoint] = [
            Endpoint("GET", "/metrics", self.metrics, "Return all metrics in Prometheus's text format.",
                     media="text/plain", access="everybody"),
            *(endpoint for room in rooms for endpoint in room.endpoints()),
        ]  # fmt: skip
        """The whole API."""
        self.endpoints += OpenApi(self.endpoints).endpoints()

    def app(self) -> web.Application:
        """Return the application of the admin listener."""
        app = web.Application(middlewares=[self._guard], client_max_size=_LARGEST)
        app.on_response_prepare.append(self._guard.finish)
        app.cleanup_ctx.append(self._sources.fleet.run)
        app.cleanup_ctx.append(self._ended_elsewhere)
        for endpoint in self.endpoints:
            app.router.add_route(endpoint.method, endpoint.path, endpoint.handler)
        app.router.add_get("/", self._assets.page)
        for path in _NEAR:
            app.router.add_get(path, to_page)
        app.router.add_get("/console/{build}/{name:.+}", self._assets.file)
        pages = {(method, path) for method in READING for path in ("/", *_NEAR, "/console/{build}/{name}")}
        self._guard.open = {(e.method, e.path) for e in self.endpoints if e.access == "everybody"} | pages
        return app

    def ticket(self) -> str:
        """Return a word that signs one browser in as the holder of `admin.token`, at /console/enter/TICKET."""
        return self._operators.ticket(SINGLE, time())

    async def _ended_elsewhere(self, _: web.Application) -> AsyncIterator[None]:
        """Refuse the sessions that were ended before this process started, at any process."""
        for number, expires in (await self._sources.fleet.remembered(ENDED)).items():
            self._operators.forget(number, expires)
        yield

    async def metrics(self, _: web.Request) -> web.Response:
        """Answer with all metrics, in Prometheus's text format."""
        sources = self._sources.services.metrics
        await sources.budgets.refresh()
        return exposition(sources)
