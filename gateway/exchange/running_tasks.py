"""Tasks of work in progress, each with the request that it answers."""

import asyncio
from typing import Any

from aiohttp import web


class RunningTasks(dict["asyncio.Task[Any]", web.BaseRequest | None]):
    """The tasks that a drain waits for. It can be used as a set; work without a request has None."""

    def add(self, task: "asyncio.Task[Any]") -> None:
        """Add work that answers no request."""
        self.setdefault(task, None)

    def discard(self, task: "asyncio.Task[Any]") -> None:
        """Remove work that has ended."""
        self.pop(task, None)
