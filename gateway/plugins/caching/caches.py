"""The cached contents that are made for long beginnings of prompts, used, put off and deleted."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from math import ceil
from time import time
from typing import Annotated, Any

import msgspec
from msgspec import Struct, structs

from gateway.errors import GatewayError, UpstreamError, forget_frames
from gateway.exchange.calls.accounting import Target
from gateway.exchange.calls.cost import CostEstimate
from gateway.exchange.context import RequestContext
from gateway.exchange.offload import offload
from gateway.exchange.report import ExchangeReport
from gateway.gemini.call import GeminiCall
from gateway.gemini.errors import from_response
from gateway.gemini.resources import is_name
from gateway.gemini.usage import TokenCounts
from gateway.gemini.wire import encode_json
from gateway.plugin import Services
from gateway.plugins.caching.options import CachingConfig
from gateway.policy.bounded import BoundedMapping
from gateway.policy.prefixes import Cache, Prefix, PrefixMemory, prefixes

_BYTES = 4
"""Bytes of a token, roughly."""
_GONE = (400, 403, 404)
"""Google's statuses for a cache that it cannot use or does not know. The call is made again without one."""
_PAUSE = 600.0
"""Seconds without a new cache for a client, project and model after Google has refused one."""
_MOST_CLIENTS = 10_000
_MOST_AT_ONCE = 8
"""Caches that are being made."""
_DAY = 86_400.0
_log = logging.getLogger("gateway.caching")


class _Usage(Struct, rename="camel"):
    total_token_count: Annotated[int, msgspec.Meta(ge=0, le=2**31)] = 0


class _Made(Struct, rename="camel"):
    name: str
    usage_metadata: _Usage = msgspec.field(default_factory=_Usage)


_decode = msgspec.json.Decoder(_Made)


class Caches:
    """All clients' caches. The table is lost at a restart; the caches at Google end by themselves."""

    def __init__(self, options: CachingConfig, services: Services) -> None:
        self.options = options
        self.least = options.least * _BYTES
        self.memory = PrefixMemory(options.asks, options.ttl, options.most)
        self._services = services
        self._paused: BoundedMapping[tuple[str, str, str], float] = BoundedMapping(_MOST_CLIENTS)
        self._spent: BoundedMapping[str, tuple[float, int]] = BoundedMapping(_MOST_CLIENTS)
        """The day, and what caches have cost on it in millionths of a US dollar, by client."""
        self._making: set[tuple[str, str]] = set()
        """Clients and projects for which a cache is being made."""

    async def use(self, call: GeminiCall, context: RequestContext) -> "Use | None":
        """Return the caches of a call; None for one that gets none."""
        request, client = call.request, context.client
        if not (client.id or self.options.own_keys) or request.cached_content is not None or call.files:
            return None
        if not (request.tools or call.expected_size >= self.least) or not self._has_caches(call):
            return None
        beginnings = await offload(call.heavy, prefixes, request, call.model, self.least)
        return Use(self, call, context, beginnings) if beginnings else None

    def count(self, event: str) -> None:
        """Count an event in the metrics."""
        self._services.count("caching", event)

    def make(self, use: "Use", prefix: Prefix, project: str, current: Cache | None) -> None:
        """Make a cache in the background, and delete the one that it replaces."""
        client = use.context.client
        place = (client.scope, project)
        if place in self._making or len(self._making) >= _MOST_AT_ONCE or self._is_on_vertex(project):
            return
        if self._paused.get((*place, use.call.model), 0.0) > time() or not self._affords(use, prefix):
            return
        self._making.add(place)
        task = self._spawn(use, self._make(use, prefix, project, current))
        task.add_done_callback(lambda _: self._making.discard(place))

    def renew(self, use: "Use", cache: Cache, project: str) -> None:
        """Put off the end of a cache that is in use, in the background."""
        cache.renewing = True
        self._spawn(use, self._renew(use, cache, project))

    def _spawn(self, use: "Use", work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        return self._services.spawn(work, "caching", use.context.client)

    def _has_caches(self, call: GeminiCall) -> bool:
        """Return whether a model has explicit caches, as far as is known, and answers with text."""
        config = call.request.generation_config
        is_text = config is None or config.response_modalities is None
        return is_text and self._services.capability_table.of(call.model).caches

    def _is_on_vertex(self, project: str) -> bool:
        """Return whether a project of the pool is on Vertex AI, where this gateway makes no caches."""
        return self._services.exchange.accounting.pool.kinds.get(project) == "vertex"

    def _affords(self, use: "Use", prefix: Prefix) -> bool:
        """Return whether the client's caches of today may cost what one more does."""
        day, micros = self._spent.get(use.context.client.scope, (0.0, 0))
        spent = micros if day == time() // _DAY else 0
        if spent + self._price(use.call.model, prefix.size // _BYTES) <= self.options.dollars * 1e6:
            return True
        self.count("ceiling")
        return False

    def _price(self, model: str, tokens: int, *, stored_only: bool = False) -> int:
        accounting = self._services.exchange.accounting
        return accounting.prices.micros(
            model, self._counts(tokens, stored_only=stored_only), accounting.today()
        )

    def _counts(self, tokens: int, *, stored_only: bool = False) -> TokenCounts:
        stored = ceil(tokens * self.options.ttl / 3600)
        return TokenCounts(prompt=0 if stored_only else tokens, stored=stored)

    def _spend(self, use: "Use", micros: int) -> None:
        scope, today = use.context.client.scope, time() // _DAY
        day, spent = self._spent.get(scope, (0.0, 0))
        self._spent[scope] = (today, micros + (spent if day == today else 0))

    async def _make(self, use: "Use", prefix: Prefix, project: str, current: Cache | None) -> None:
        context, model, scope = self._context(use, "POST"), use.call.model, use.context.client.scope
        began = time()
        try:
            context.memory.take_encoded(prefix.size)
            body = await offload(use.call.heavy, self._body, use.call, prefix)
            created = _read(await self._call(context, model, project, "POST", "cachedContents", body))
        except GatewayError as error:
            forget_frames(error)
            self._refuse(use, project, error)
            return
        finally:
            context.memory.release()
        tokens = created.usage_metadata.total_token_count
        self.memory.keep(scope, project, Cache(created.name, prefix, tokens, began + self.options.ttl))
        self._spend(use, self._price(model, tokens))
        self.count("made")
        self._services.finished(context, 200)
        if current is not None:
            self.memory.forget(scope, project, current)
            await self._delete(use, current, project)

    def _body(self, call: GeminiCall, prefix: Prefix) -> bytes:
        request = call.request
        fields = {
            "model": f"models/{call.model}", "ttl": f"{self.options.ttl:g}s", "displayName": "gateway",
            "systemInstruction": request.system_instruction, "tools": request.tools,
            "toolConfig": request.tool_config, "contents": request.contents[: prefix.contents] or None,
        }  # fmt: skip
        return encode_json({name: value for name, value in fields.items() if value is not None})

    def _refuse(self, use: "Use", project: str, error: GatewayError) -> None:
        self._paused[use.context.client.scope, project, use.call.model] = time() + _PAUSE
        self.count("refused")
        _log.warning(
            "a cache for %s was refused; none is made for %d s: %s",
            use.call.model,
            _PAUSE,
            error.message[:300],
        )

    async def _renew(self, use: "Use", cache: Cache, project: str) -> None:
        context, model = self._context(use, "PATCH"), use.call.model
        began, body = time(), encode_json({"ttl": f"{self.options.ttl:g}s"})
        try:
            await self._call(
                context, model, project, "PATCH", f"{cache.name}?updateMask=ttl", body, cache.tokens
            )
        except GatewayError as error:
            forget_frames(error)
            self.memory.forget(use.context.client.scope, project, cache)
            self.count("lost")
            return
        finally:
            cache.renewing = False
        cache.expires = began + self.options.ttl
        self._spend(use, self._price(model, cache.tokens, stored_only=True))
        self.count("renewed")
        self._services.finished(context, 200)

    async def _delete(self, use: "Use", cache: Cache, project: str) -> None:
        """Delete a cache that a longer one has replaced. Without it, Google keeps it until its end."""
        try:
            await self._call(
                self._context(use, "DELETE"), use.call.model, project, "DELETE", cache.name, None
            )
        except GatewayError as error:
            _log.info("a cache that was replaced stays at Google until its end: %s", error.message[:300])

    async def _call(
        self, context: RequestContext, model: str, project: str, method: str, path: str, body: bytes | None,
        kept: int = 0,
    ) -> bytes:  # fmt: skip
        """Return the body of Google's answer to one call about a cache. Raises GatewayError.

        `kept` is the number of tokens whose end is put off. What a new cache costs is in its answer.
        """
        version = self._services.config.upstream.api_version
        cost = CostEstimate(len(body or b"")) if method == "POST" else CostEstimate()
        headers = {"Content-Type": "application/json"} if body else {}
        exchange = self._services.exchange
        target = Target(model, cost, project=project)
        async with exchange.attempt(context, target) as attempt:
            with await exchange.forward(attempt, method, f"/{version}/{path}", headers, body) as answer:
                if answer.status >= 400:
                    raise from_response(answer.status, await answer.refusal())
                data = await answer.whole()
            if method == "POST":
                attempt.count(self._counts(_read(data).usage_metadata.total_token_count))
            elif kept:
                attempt.count(self._counts(kept, stored_only=True))
            return data

    def _context(self, use: "Use", method: str) -> RequestContext:
        """Return the context of a call about a cache: a record, and memory, of its own."""
        memory = self._services.memory.open()
        memory.owner = use.context.memory.owner
        path = f"/{self._services.config.upstream.api_version}/cachedContents"
        report = ExchangeReport(use.call.model, use.call.model)
        return structs.replace(
            use.context, method=method, path=path, surface="caching", report=report, hooks=None, trace=None,
            cache=0.0, memory=memory, started=asyncio.get_running_loop().time(),
        )  # fmt: skip


class Use:
    """The caches of one call."""

    def __init__(
        self, caches: Caches, call: GeminiCall, context: RequestContext, beginnings: Sequence[Prefix]
    ) -> None:
        self.call = call
        self.context = context
        self._caches = caches
        self._beginnings = beginnings
        self._cache: Cache | None = None
        """The one that the last attempt has named."""
        self._project = ""
        self._is_off = False
        self._is_counted = False

    def applied(self, call: GeminiCall, project: str) -> GeminiCall | None:
        """Return the call, or its continuation, with the cached content that holds its beginning in a project."""
        memory, scope = self._caches.memory, self.context.client.scope
        self._cache = cache = None if self._is_off else memory.find(scope, project, self._beginnings, time())
        if cache is None:
            return None
        self._project = project
        request = call.request
        return call.with_request(
            structs.replace(
                request, cached_content=cache.name, system_instruction=None, tools=None, tool_config=None,
                contents=request.contents[cache.prefix.contents :],
            )
        )  # fmt: skip

    def refused(self, error: GatewayError) -> bool:
        """Return whether a call with a cached content was refused. Then it is made again, without one."""
        cache, self._cache = self._cache, None
        if cache is None or error.upstream_status not in _GONE:
            return False
        self._is_off = True
        self._caches.memory.forget(self.context.client.scope, self._project, cache)
        self._caches.count("lost")
        return True

    def answered(self, project: str) -> None:
        """Note that the call was answered; make or put off a cache for those that begin alike."""
        if self._is_counted:
            return
        self._is_counted = True
        caches, scope, now, cache = self._caches, self.context.client.scope, time(), self._cache
        if cache is not None:
            caches.count("used")
        worth = caches.memory.see(scope, self._beginnings, now)
        if worth is not None and caches.memory.wants(scope, project, worth, cache, now):
            caches.make(self, worth, project, cache)
        elif cache is not None and not cache.renewing and cache.expires - now < caches.options.ttl / 2:
            caches.renew(self, cache, project)


def _read(data: bytes) -> _Made:
    try:
        created = _decode.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        created = None
    if created is None or not is_name("cachedContents", created.name):
        raise UpstreamError("Google's answer about a cache cannot be read.", code="upstream_bad_response")
    return created
