"""Services of plugins that need no open store: names of models, background tasks, a folder, counters, clients."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from time import time

import msgspec
from aiohttp import web

from gateway.config.sections import GatewayConfig
from gateway.exchange.background_tasks import BackgroundTasks
from gateway.exchange.incoming.multipart import Form, Limits, read_form
from gateway.gemini.capabilities import CapabilityTable
from gateway.observability.prometheus import MetricSources
from gateway.observability.statistics import Statistics
from gateway.policy.clients.access import Access, Client
from gateway.policy.clients.budgets import BudgetUse
from gateway.policy.models.catalog import Catalog, ModelRoute
from gateway.policy.models.model_kinds import MediaKind, default_model, of_kind
from gateway.policy.pool.projects import KeyState
from gateway.store.state_folder import data_folder


class PluginServices:
    """Part of `Services`."""

    config: GatewayConfig
    catalog: Catalog
    capability_table: CapabilityTable
    statistics: Statistics
    access: Access
    metrics: MetricSources
    background_tasks: BackgroundTasks
    folders: Path = Path("plugins")
    """The folder of the plugins' folders."""
    beside: Path | None = None
    """The folder of the YAML file; None for a configuration that is not in a file."""

    def route(
        self, client: Client, requested: str | None, default: str | None = None, deployment: str = ""
    ) -> ModelRoute:
        """Return the model that a name stands for. Raises BadRequest, Forbidden or NotFound, naming `model`."""
        issued = bool(client.id)
        return self.catalog.route(client.rules, requested, default, issued=issued, deployment=deployment)

    def route_of_kind(
        self, client: Client, requested: str | None, kind: MediaKind, deployment: str = ""
    ) -> ModelRoute:
        """Return the model of a kind that a name stands for: the kind's default for names of other vendors.

        Raises what `route` does, and BadRequest for a model of another kind.
        """
        models = self.config.models
        asked = self.route(client, requested, default_model(models, kind), deployment)
        route = of_kind(asked, kind, models, self.capability_table.of)
        if route.model != asked.model:
            client.rules.check(route.model, requested or "")
        return route

    def background(self, name: str, work: Callable[[], Awaitable[object]]) -> asyncio.Task[None]:
        """Run `work` from a plugin's lifespan until it ends; `name` begins with the plugin's.

        A failure is logged and counted, and `work` called again after 1 second, 2, 4, … up to 300, until it returns.
        """
        return self.background_tasks.start(name, work)

    def folder(self, name: str) -> Path:
        """Return a writable folder of a plugin, which survives upgrades. Raises OSError if it cannot be made."""
        path = self.folders / name
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def data_folder(self, path: str | None, name: str) -> Path | None:
        """Return the folder that an option `path` of a plugin names, or `name` below STATE_DIRECTORY, or None.

        A relative `path` is below STATE_DIRECTORY, or without one beside the YAML file, as `state.file` is.
        """
        return data_folder(path, name, os.environ, self.beside)

    def form(
        self, request: web.Request, files: Collection[str], most: int
    ) -> AbstractAsyncContextManager[Form]:
        """Read a form: `async with services.form(request, ("file",), most) as form`.

        `files` names the fields that are files, and `most` is the largest body in bytes. Enter the request with
        `reads_body=False` before. Raises as `multipart.read_form` does.
        """
        limits = Limits(most, self.config.connections.body_timeout, self.folders.parent)
        return read_form(request, limits, files)

    def count(self, plugin: str, event: str) -> None:
        """Count an event of a plugin in `gateway_plugin_events_total`. The plugin's events must be few."""
        self.statistics.plugin_events[plugin, event] += 1

    def client_name(self, client: Client) -> str:
        """Return the name of a client's issued key, or the fingerprint of a key of its own."""
        return self.access.name(client.id) if client.id else client.fingerprint

    def pool_states(self) -> list[KeyState]:
        """Return the states of the pool's projects and keys, and of models for which a project is not free."""
        return self.metrics.pool.describe(time())

    async def budgets_used(self) -> list[BudgetUse]:
        """Return the use of each budget of the issued keys. Raises an error of the database."""
        read, refused = self.metrics.budgets.read, self.statistics.refused_budgets
        uses = await read() if read is not None else []
        return [
            use._replace(refused=refused.get((use.key_id, *msgspec.structs.astuple(use.budget)), 0.0))
            for use in uses
        ]
