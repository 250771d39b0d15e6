"""Shared parts of all upstream calls: key pool, ledger, prices, client limits, and the estimate of a call's cost.

A client with a Gemini key of its own is passed through: its calls use no key of the pool, and the ledger, if there is
one, records them without a client.
"""

import logging
from collections.abc import Awaitable, Callable
from time import time
from typing import Protocol

from msgspec import Struct, field, structs

from gateway.errors import GatewayError, RateLimited
from gateway.exchange.calls.cost import (
    MOST_OUTPUT,
    PICTURE_OUTPUT,
    UNKNOWN_COST,
    CostEstimate,
    ModelOutput,
    call_cost,
    prompt_tokens,
)
from gateway.exchange.context import RequestContext
from gateway.exchange.report import ExchangeReport
from gateway.gemini.call import GeminiCall
from gateway.gemini.capabilities import Capabilities, CapabilityTable
from gateway.gemini.vertex import is_served
from gateway.gemini.wire import encode_json
from gateway.observability.statistics import Statistics
from gateway.policy.clients.access import Client
from gateway.policy.clients.rate_limits import Taken, Window
from gateway.policy.ledger import Intent, Settlement
from gateway.policy.models.pricing import Prices, Tier
from gateway.policy.models.successors import is_alias
from gateway.policy.pool import call_outcome
from gateway.policy.pool.errors import too_large
from gateway.policy.pool.keypool import KeyPool
from gateway.policy.pool.projects import PoolUpdate
from gateway.store.rate_counters import Counters

_OTHER_IS_FREE = 1.0
"""Seconds after which a client may try again while another project is free."""
_TEXT = ("text",)
_NONE = (None,) * 4
_AROUND_CONFIG = len(b'{"contents":[],"generationConfig":}')
_LONG_WAIT = 60
"""Seconds from which on an SDK should not wait for a limit by itself."""


class LedgerWriter(Protocol):
    """Ledger interface that attempts use (`store.ledger.writer.Ledger`)."""

    def begin(self, intent: Intent) -> Awaitable[object]: ...
    def settle(self, settlement: Settlement) -> Awaitable[object]: ...
    def note(self, settlement: Settlement) -> None: ...


class Target(Struct):
    """Target of an attempt: the model, and the facts that decide which key is used for it."""

    model: str
    """Empty when the call names none."""
    cost: CostEstimate = UNKNOWN_COST
    affinity: bytes = b""
    """Digest of the conversation; calls with the same digest prefer the same project."""
    project: str = ""
    """The only project that may be asked; "" for any."""
    tried: list[str] = field(default_factory=list)
    """Projects that have been asked, in order. Attempts add to it."""
    price_factor: int = 1
    """Multiple of the standard price that the call costs at most."""
    tier: Tier | None = None
    """Tier of service that is asked for, where it is understood."""
    call: GeminiCall | None = None
    """The call, where its cost is estimated only if it is needed."""
    feature: str = ""
    """Feature of the call with a quota of its own; "" for none."""
    gemini_only: bool = True
    """Projects on Vertex AI cannot serve the call."""
    own_deadline: bool = False
    """The client has told Google when to give up (`X-Server-Timeout`)."""
    once: bool = False
    """The call is tried again once at most: what it makes is billed, also if it does not arrive."""
    too_large: bool = False
    """The prompt may be larger than the tokens per minute of the project that was asked last."""

    @property
    def prompt(self) -> int:
        """Prompt tokens, roughly; those of attachments are left out."""
        return prompt_tokens(self.call) if self.call is not None else self.cost.prompt


def target_of(path: str, model: str, cost: CostEstimate, *, project: str, once: bool) -> Target:
    """Return the target of a call by its path below the API's version. Its method has a quota of its own."""
    method = path.partition(":")[2]
    return Target(model, cost, project=project, feature=method, once=once, gemini_only=not is_served(path))


class CallAccounting(Struct, frozen=True):
    """Pool, prices, statistics, ledger and the clients' rate counters, shared by all attempts."""

    pool: KeyPool
    prices: Prices
    capability_table: CapabilityTable
    statistics: Statistics
    counters: Counters
    ledger: LedgerWriter | None = None
    on_pool_update: Callable[[list[PoolUpdate]], None] = lambda _: None
    """Called with what the pool learned, for its store and for other machines."""

    def estimate(self, call: GeminiCall, client: Client) -> CostEstimate:
        """Return the most that a call can cost: its own limit of output tokens counts, or the model's.

        UNKNOWN_COST for a client without token limits and budgets, for whom nothing depends on it.
        """
        if not client.id or not client.rules.counts_tokens:
            return UNKNOWN_COST
        return self.ceiling(call)

    def ceiling(self, call: GeminiCall) -> CostEstimate:
        """Return the most that a call can cost."""
        config = call.request.generation_config
        config_bytes = len(encode_json(config)) if config is not None else 0
        return call_cost(call, _prompt_bytes(call, config_bytes), self.model_output(call.model), config_bytes)

    def model_output(self, model: str) -> ModelOutput:
        """Return the longest answer of a model, of the one that answers for its name."""
        capabilities = self.capability_table.of(self.prices.successors.of(model, self.today()))
        tokens = capabilities.output_tokens or MOST_OUTPUT
        if capabilities.output == _TEXT:
            return ModelOutput(tokens)
        if "video" in capabilities.output:
            return ModelOutput(tokens, tokens)
        return ModelOutput(tokens, PICTURE_OUTPUT if "image" in capabilities.output else 0)

    def capabilities(self, model: str) -> Capabilities:
        """Return the capabilities of the model that answers for a name."""
        return self.capability_table.of(self.answering(model))

    def answering(self, model: str) -> str:
        """Return the model that answers for a name."""
        return self.prices.successors.of(model, self.today())

    @staticmethod
    def today() -> float:
        """Return the time, in Unix seconds, whose prices and successors apply."""
        return time()

    def note_version(self, model: str, version: str | None, report: ExchangeReport) -> None:
        """Note which model an answer says it is from. Another one than was asked is learnt, counted and noted."""
        if version is None or (answering := self.prices.successors.answered(model, version)) is None:
            return
        if self.statistics.answered(model, answering):
            message = "%s answers for %s: its capabilities and price apply"
            logging.getLogger("gateway.models").info(message, answering, model)
        if not (is_alias(model) or "model" in report.adjusted or "model" in (report.notes or ())):
            report.adjusted.append("model")

    async def take_calls(self, context: RequestContext, calls: int) -> None:
        """Count a request's calls of Gemini against its client's limits. The request itself has counted as one.

        Raises RateLimited. A request that needs more calls than a limit allows should not be tried again.
        """
        client = context.client
        limits = client.rules.request_limits if client.id and calls > 1 else ()
        if not limits:
            return
        taken = await self.counters.take(client.id, limits, calls - 1, time())
        context.report.limits += taken.states
        if taken.blocked is not None:
            error = limit_reached(taken.blocked, taken)
            error.message += f" This request needs {calls}."
            error.should_retry = False if calls > taken.blocked.limit else error.should_retry
            raise error

    def probe_pool(self, error: GatewayError, client: Client, target: Target) -> tuple[bool, GatewayError]:
        """Return whether the call can be made again at once, with another key, and the error for the client if not.

        Google's words about a key of the pool are not for a client: they are replaced by the pool's own error.
        """
        if client.id and error.unserved:
            return self._is_elsewhere(client, target), error
        if not client.id or not isinstance(
            call_outcome.outcome(error), call_outcome.Limited | call_outcome.Rejected
        ):
            return False, error
        if error.upstream_status is None:
            return False, error  # the gateway's own limits
        prompt, now = target.prompt, time()
        try:
            self.pool.free(
                target.model,
                now,
                only=target.project,
                tokens=prompt,
                client=client.id,
                feature=target.feature,
                gemini_only=target.gemini_only,
            )
        except GatewayError as no_key_left:
            return False, no_key_left
        if target.too_large and not self._is_elsewhere(client, target):
            limits = [quota.value or 0 for quota in error.quotas] if isinstance(error, RateLimited) else []
            return False, too_large(target.model, max(limits, default=0))
        if isinstance(error, RateLimited):  # one project's limit, which no client has to wait for
            error.retry_after, error.should_retry = _OTHER_IS_FREE, None
            error.type, error.code = RateLimited.type, RateLimited.code
        return True, error

    def _is_elsewhere(self, client: Client, target: Target) -> bool:
        """Return whether another project than those that were tried is free for a call."""
        return not target.project and self.pool.others(
            target.model,
            target.tried,
            time(),
            tokens=target.prompt,
            client=client.id,
            gemini_only=target.gemini_only,
        )


def _prompt_bytes(call: GeminiCall, config_bytes: int) -> int:
    """Return the bytes of instructions, tools and contents: those of the body without the settings."""
    request = call.request
    size = len(call.encoded or call.encode())
    if config_bytes and request.tool_config is None and request.safety_settings is None:
        others = (request.cached_content, request.service_tier, request.labels, request.store)
        if others == _NONE and request.continuation_token is None:  # the commonest case
            return size - _AROUND_CONFIG - config_bytes
    settings = structs.replace(request, contents=[], system_instruction=None, tools=None)
    return size - len(encode_json(settings))


def limit_reached(window: Window, taken: Taken) -> RateLimited:
    """Return the error for a client that has reached one of its own limits."""
    per = "minute" if window.seconds == 60 else "day"
    error = RateLimited(
        f"Rate limit reached for this API key: {window.limit} {window.counted} per {per}.",
        type=window.counted if window.counted == "tokens" else "requests",
        retry_after=taken.retry_after,
        should_retry=False if taken.retry_after > _LONG_WAIT else None,
    )
    needs = f" +{taken.wanted}" if taken.wanted > 1 else ""
    error.refused_by = f"{window.counted}_per_{per} {taken.used}/{window.limit}{needs}"
    return error
