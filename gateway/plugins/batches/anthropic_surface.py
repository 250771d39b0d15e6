"""Anthropic's batches, as the engine sees them: their lines, their plugin, and the file with their results."""

import os
from asyncio import to_thread
from collections.abc import Sequence
from functools import partial
from typing import Any

from gateway.errors import BadRequest, GatewayError
from gateway.exchange.batches.results import LineResult, results
from gateway.exchange.context import RequestContext
from gateway.plugin import Plugin, Services
from gateway.plugins.batches import estimate
from gateway.plugins.batches.anthropic_request import StoredLines
from gateway.plugins.batches.anthropic_response import errored, succeeded, unanswered
from gateway.policy.clients.access import Client
from gateway.policy.clients.kept_batches import Batch, Part
from gateway.store.batches.batch_store import BatchStore

_PIECE = 2**18
_KINDS = {"cancelled": "canceled", "expired": "expired"}


class MessageSurface:
    """Batches of Anthropic's clients."""

    store: BatchStore

    def __init__(self, config: Any, services: Services) -> None:
        self._config = config
        self._services = services

    async def admit(self, batch: Batch, context: RequestContext) -> None:
        """Raise GatewayError for a batch that a budget of its client cannot pay."""
        client = context.client
        if not client.rules.budgets:
            return
        model_of, accounting = partial(self._model, client), self._services.exchange.accounting
        cost = await to_thread(estimate.most, self.lines(batch), model_of, accounting)
        estimate.check(cost, await self._services.budgets_used(), client)

    def lines(self, batch: Batch) -> StoredLines:
        """Return the requests of a batch."""
        return StoredLines(self.store.input(batch))

    def plugin(self, batch: Batch) -> Plugin:
        """Return the plugin of the Messages API. Raises BadRequest if it is not active any more."""
        plugin = self._services.plugins.get("messages")
        if plugin is None:
            raise BadRequest(f"{batch.endpoint} is not served here.", code="unsupported_value")
        return plugin

    def runs_here(self, batch: Batch) -> bool:
        """Return whether the gateway answers the requests one by one."""
        return bool(self._config.run == "here")

    def error(self, error: GatewayError) -> bytes:
        """Return an error in Anthropic's format."""
        plugin = self._services.plugins["messages"]
        return plugin.error_formats()["anthropic"](error, "")[1]

    async def finish(self, batch: Batch, parts: Sequence[Part], context: RequestContext) -> None:
        """Write the file with results, which is whole or not there, and count them."""
        path, lines = self.store.results(batch), list[bytes]()
        counts = dict.fromkeys(("succeeded", "errored", "canceled", "expired"), 0)
        usage = dict.fromkeys(("input", "cached", "output", "thoughts"), 0)
        new, size = path.with_suffix(".new"), 0
        file = await to_thread(new.open, "wb")
        try:
            async for result in results(self.store, batch, parts, self.plugin(batch), context):
                kind, line = self._line(result)
                counts[kind] += 1
                for name in usage:
                    usage[name] += getattr(result.counts, name)
                lines.append(line)
                size += len(line)
                if size > _PIECE:
                    await to_thread(file.write, b"".join(lines))
                    lines, size = [], 0
            await to_thread(file.write, b"".join(lines))
            await to_thread(file.flush)
            await to_thread(os.fsync, file.fileno())
        finally:
            await to_thread(file.close)
        await to_thread(os.replace, new, path)
        batch.details.results, batch.details.usage = counts, usage
        batch.completed = counts["succeeded"]
        batch.failed = batch.total - batch.completed
        await to_thread(self.store.save, batch)

    def _line(self, result: LineResult) -> tuple[str, bytes]:
        """Return the kind of a result, and its line."""
        if result.unanswered is not None:
            kind = _KINDS[result.unanswered]
            return kind, unanswered(result.custom_id, kind)
        if result.error is not None:
            return "errored", errored(result.custom_id, self.error(result.error))
        if result.refused:
            return "errored", errored(result.custom_id, result.refused)
        return "succeeded", succeeded(result.custom_id, result.body)

    def _model(self, client: Client, name: str | None) -> str:
        return self._services.route(client, name, None).model
