"""Services that a plugin has for itself: background tasks, a folder, counters, and what is known about clients."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import time

import msgspec

from gateway.exchange.background_tasks import BackgroundTasks
from gateway.observability.prometheus import MetricSources
from gateway.observability.statistics import Statistics
from gateway.policy.access import Access, Client
from gateway.policy.budgets import BudgetUse
from gateway.policy.pool_projects import KeyState


class PluginServices:
    """Part of `Services`."""

    statistics: Statistics
    access: Access
    metrics: MetricSources
    background_tasks: BackgroundTasks
    folders: Path = Path("plugins")
    """The folder of the plugins' folders."""

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
