"""Makes Google's explicit caches for long beginnings of prompts that come again."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiohttp import web

from gateway.plugin import Plugin
from gateway.plugins.caching.options import CachingConfig


class Caching(Plugin):
    """Explicit caches, for chat, Messages, Responses and completions."""

    Config = CachingConfig

    def routes(self) -> Sequence[web.RouteDef]:
        return ()

    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        from gateway.plugins.caching.caches import Caches  # memory only where it is in use

        services: Any = self.services
        services.exchange.prefixes = Caches(self.config, self.services)
        yield
        services.exchange.prefixes = None
