"""Interface of the caches of prompts' beginnings, for calls that may use one."""

from typing import Protocol

from gateway.errors import GatewayError
from gateway.exchange.context import RequestContext
from gateway.gemini.call import GeminiCall


class PrefixUse(Protocol):
    """The caches of one call (`plugins.caching.caches.Use`)."""

    call: GeminiCall
    """The call as its client has made it."""

    def applied(self, call: GeminiCall, project: str) -> GeminiCall | None:
        """Return the call, or its continuation, with the cached content that holds its beginning in a project."""

    def refused(self, error: GatewayError) -> bool:
        """Return whether a call with a cached content was refused. Then it is made again, without one."""

    def answered(self, project: str) -> None:
        """Note that the call was answered; make or put off a cache for those that begin alike."""


class PrefixCaches(Protocol):
    """Cached contents that the gateway makes for long beginnings of prompts (`plugins.caching.caches.Caches`)."""

    least: int
    """Bytes of the shortest beginning."""

    async def use(self, call: GeminiCall, context: RequestContext) -> PrefixUse | None:
        """Return the caches of a call; None for one that gets none."""
