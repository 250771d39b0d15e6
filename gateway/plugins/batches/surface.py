"""OpenAI's batches, as the engine sees them: their lines, their plugins, and their files with results."""

import sqlite3
from asyncio import to_thread
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

from gateway.errors import BadRequest, GatewayError, NotFound, openai_error
from gateway.exchange.batches.engine import BatchSurface, Engine, Poll
from gateway.exchange.batches.engine import Services as EngineServices
from gateway.exchange.batches.results import results
from gateway.exchange.calls.cost import PICTURE_OUTPUT
from gateway.exchange.context import RequestContext
from gateway.plugin import Plugin, Services
from gateway.plugins.batches import estimate
from gateway.plugins.batches.input_file import FileLimits, InputFile
from gateway.plugins.batches.output_files import write
from gateway.plugins.batches.request import PLUGINS
from gateway.policy.clients.access import Client
from gateway.policy.clients.kept_batches import Batch, Part
from gateway.policy.clients.kept_files import StoredFile
from gateway.store.batches.batch_store import BatchStore

if TYPE_CHECKING:
    from gateway.store.files.file_store import FileStore

MiB = 2**20
_IMAGES = "/v1/images/generations"


class Surface:
    """Batches of OpenAI's clients."""

    store: BatchStore

    def __init__(self, config: Any, services: Services) -> None:
        self._config = config
        self._services = services

    async def admit(self, batch: Batch, context: RequestContext) -> None:
        """Raise GatewayError for a batch without a file, and for one that a budget of its client cannot pay."""
        file = await to_thread(self._input, batch)
        if file.purpose != "batch":
            raise BadRequest(
                f"The purpose of the input file must be 'batch', but it is '{file.purpose[:40]}'.",
                param="input_file_id",
                code="invalid_purpose",
            )
        client = context.client
        if not client.rules.budgets:
            return
        lines, accounting = await to_thread(self.lines, batch), self._services.exchange.accounting
        if await to_thread(lines.faults):
            return
        longest = PICTURE_OUTPUT if batch.endpoint == _IMAGES else None
        model = partial(self._model, client, batch)
        cost = await to_thread(estimate.most, lines, model, accounting, longest)
        estimate.check(cost, await self._services.budgets_used(), client)

    def lines(self, batch: Batch) -> InputFile:
        """Return the lines of a batch. Raises FileNotFoundError for a file that was deleted."""
        try:
            path = self._files.path(self._input(batch).id)
        except NotFound:
            raise FileNotFoundError(batch.details.input_file) from None
        config = self._config
        limits = FileLimits(config.lines, config.megabytes * MiB, self._services.config.limits.body)
        return InputFile(path, batch.endpoint, limits)

    def plugin(self, batch: Batch) -> Plugin:
        """Return the plugin that answers the lines. Raises BadRequest if it is not active any more."""
        plugin = self._services.plugins.get(PLUGINS[batch.endpoint])
        if plugin is None:
            raise BadRequest(f"{batch.endpoint} is not served here.", code="unsupported_value")
        return plugin

    def runs_here(self, batch: Batch) -> bool:
        """Return whether the gateway answers the lines one by one."""
        return bool(self._config.run == "here")

    def error(self, error: GatewayError) -> bytes:
        """Return an error in OpenAI's format."""
        return openai_error(error)

    async def finish(self, batch: Batch, parts: Sequence[Part], context: RequestContext) -> None:
        """Write the files with results and errors."""
        lines = results(self.store, batch, parts, self.plugin(batch), context)
        await write(batch, lines, self._files, partial(self.store.save, batch), self.store.folder)

    @property
    def _files(self) -> "FileStore":
        files: Any = self._services.plugins.get("files")
        if files is None:
            raise NotFound("Files are not kept here: batches need the plugin `files`.", code="files_not_kept")
        store: FileStore = files.store
        return store

    def _input(self, batch: Batch) -> StoredFile:
        name, files = batch.details.input_file, self._files
        key = name[5:]
        known = files.find(batch.scope, [key], time()) if name.startswith(("file-", "file_")) else {}
        if key not in known:
            raise NotFound(f"No such File object: {name[:80]}", param="input_file_id", code="file_not_found")
        return known[key]

    def _model(self, client: Client, batch: Batch, name: str | None) -> str:
        if batch.endpoint == _IMAGES:
            return self._services.route_of_kind(client, name, "image").model
        models = self._services.config.models
        default = models.embeddings if batch.endpoint == "/v1/embeddings" else None
        return self._services.route(client, name, default).model


def opened(
    folder: Path, config: Any, services: Services, surfaces: dict[str, BatchSurface], name: str
) -> Engine:
    """Open the store, and return the engine. Raises RuntimeError for a folder that cannot be used. Blocks."""
    try:
        store = BatchStore(folder)
    except (OSError, sqlite3.Error, ValueError) as error:
        raise RuntimeError(f"the folder {folder} (`path`) cannot be used: {error}") from None
    engine_services = EngineServices(
        services.exchange, services.hooks, services.memory, services.holder, services.draining,
        partial(services.count, name),
    )  # fmt: skip
    poll = Poll(config.poll, longest=config.longest_poll)
    version = services.config.upstream.api_version
    return Engine(store, engine_services, surfaces, poll, version)
