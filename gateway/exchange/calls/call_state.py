"""State of one upstream call over all the attempts that are made at it."""

from copy import copy
from time import monotonic
from typing import Any

from msgspec import structs

from gateway.errors import GatewayError
from gateway.exchange.calls.accounting import CallAccounting, Target
from gateway.exchange.calls.cost import feature, price_factor, tier
from gateway.exchange.calls.fallback import Choice
from gateway.exchange.calls.prefix_caches import PrefixCaches, PrefixUse
from gateway.exchange.calls.race import Race
from gateway.exchange.context import RequestContext
from gateway.exchange.files.local_files import LocalFiles
from gateway.exchange.hooks import AnswerHooks
from gateway.exchange.offload import offload
from gateway.gemini.call import GeminiCall
from gateway.gemini.events import Event
from gateway.gemini.stream_translator import StreamTranslator
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.vertex import is_served, needs_gemini
from gateway.policy.pool.session_affinity import affinity
from gateway.store.response_cache import answer_key


def new_target(
    call: GeminiCall, choice: Choice, context: RequestContext, accounting: CallAccounting
) -> Target:
    """Return the target of the first attempt at a call."""
    client = context.client
    target = Target(call.model, project=call.project, once=choice.once)
    if client.id:
        service_tier = call.request.service_tier
        cost = choice.cost
        target.cost = cost if cost is not None else accounting.estimate(call, client)
        target.call = call
        target.feature = feature(call.request)
        if service_tier is not None:
            target.price_factor, target.tier = price_factor(service_tier), tier(service_tier)
        if accounting.pool.has_vertex:
            target.gemini_only = bool(call.files) or not is_served(call.path) or needs_gemini(call.request)
        if accounting.pool.has_choice:
            target.affinity = affinity(call, client)
    return target


class CallState:
    """One call: what is asked now, and what the attempts at it have shown. No other call shares it.

    Making one encodes the request; for a heavy call that is done in a thread.
    """

    next_fallback = 0
    """Position in the choice's fallback plan."""
    has_output = False
    """Content of this call has been sent to the client."""
    race: Race[Any] | None = None
    """Set while another attempt may run at the same time."""
    is_hedge = False
    """This is that other attempt and has not won. It is made once, and the request is not changed for it."""
    is_fallback = False
    """Another model than the requested one is asked now."""
    first_error: GatewayError | None = None
    """The error of the model that was given up first."""
    cache_key = b""
    """The key under which the answer is kept; empty when it is not."""
    wanted_key = b""
    """The call's key in the response cache; empty when the client does not want it."""
    local: GeminiCall | None = None
    """The call with copies of its files in the project that is asked."""
    copies_forgotten = False
    """Google did not know the copies of the files, and they were made once more."""
    prefix: PrefixUse | None = None
    """The caches of the call's beginning."""
    hooks: AnswerHooks | None = None
    """Hooks on the events of the attempt's answer."""

    def __init__(
        self,
        choice: Choice,
        context: RequestContext,
        accounting: CallAccounting,
        target: Target | None = None,
    ) -> None:
        """`target` is that of an attempt which has been made at the choice's call."""
        self.context = context
        self.report = context.report
        self.choice = choice
        self._accounting = accounting
        if context.cache and choice.cacheable:
            self.wanted_key = answer_key(choice.call, context.client)
        self.ask(choice.call, target)

    def ask(self, call: GeminiCall, target: Target | None = None) -> None:
        """Ask this call from now on. Nothing is known about it yet."""
        self.call = call
        self.target = target or new_target(call, self.choice, self.context, self._accounting)
        if call.heavy:
            call.encode()
        self.failures: list[type[GatewayError]] = []
        """Kinds of the failures of this call, in order."""
        self.remedies: list[str] = []
        self.accept_empty = self.choice.once
        """An answer without content was tried again once, or is not to be; the next one is accepted."""

    def go_on(self, token: str) -> None:
        """Ask next for the continuation of the answer, in the project that has begun it."""
        self.call = self.call.with_request(structs.replace(self.call.request, continuation_token=token))
        self.target.project = self.report.project or ""
        self.target.tried.clear()

    @property
    def is_continued(self) -> bool:
        """Whether the call continues an answer that another has begun."""
        return self.call.request.continuation_token is not None

    def restart(self) -> None:
        """Ask for the answer from its beginning."""
        if self.is_continued:
            self.call = self.call.with_request(structs.replace(self.call.request, continuation_token=None))
            self.target.project = self.call.project

    def beside(self) -> "CallState":
        """Return the state of a second attempt at the call. The two share the race, and what nobody changes."""
        hedge = copy(self)
        hedge.is_hedge = True
        hedge.choice = structs.replace(self.choice, fallbacks=None)
        hedge.target = structs.replace(self.target, tried=list(self.target.tried))
        hedge.remedies = list(self.remedies)
        hedge.failures = list(self.failures)
        hedge.prefix = copy(self.prefix)  # another project has another cache
        return hedge

    def translator(self, translator: StreamTranslator, number: int) -> StreamTranslator:
        """Return the translator of another attempt at a choice, whose answer meets the hooks anew."""
        if (hooks := self.context.hooks) is not None:
            reader = translator.reader
            self.hooks = hooks.answer(number, self.call.model, lambda: reader.counts, self.context)
        return translator

    async def localized(
        self, project: str, files: LocalFiles | None, prefixes: PrefixCaches | None
    ) -> GeminiCall | None:
        """Return the call as a project gets it, with its own files or caches; None where it gets the call itself."""
        call = self.call
        if call.files and files is not None:
            return await files.localized(call, self.context, project)
        if prefixes is None:
            return None
        if not self.is_continued and (self.prefix is None or self.prefix.call is not call):
            self.prefix = await prefixes.use(call, self.context)
        local = self.prefix.applied(call, project) if self.prefix is not None else None
        if local is not None:
            await offload(local.heavy, local.encode)
        return local

    def begin(self, reader: TurnReader) -> None:
        """Begin another attempt, whose answer gets a reader of its own."""
        self.reader = reader
        self.began = monotonic()
        if self.is_fallback:
            reader.model = self.call.model

    async def encoded(self, translator: StreamTranslator, events: list[Event]) -> bytes:
        """Return events as bytes for the client, as the hooks leave them."""
        return translator.encode(events if self.hooks is None else await self.hooks.events(events))

    def end_of_hooks(self) -> bool:
        """Return whether a hook has ended the answer. Raises GatewayError if it has refused it."""
        hooks = self.hooks
        if hooks is None or not hooks.ended:
            return False
        if hooks.refusal is not None:
            raise hooks.refusal
        return True

    def note_sent(self) -> None:
        """Note that all was written of an answer, unless a hook has refused it or another call continues it."""
        hooks = self.hooks
        is_last = (
            self.reader.continuation is None if hooks is None or not hooks.ended else hooks.refusal is None
        )
        if is_last:
            self.report.sent()

    def begin_output(self) -> None:
        """Note that content is about to reach the client, with headers that name the model.

        No attempt follows. If no other choice shares the call, what one would need is freed: a stream may live for an
        hour.
        """
        self.has_output = True
        if self.report.unsent == 1:
            self.call.forget()
        self.note_version()

    def note_version(self) -> None:
        """Note which model the answer says it is from."""
        self._accounting.note_version(self.call.model, self.reader.version, self.report)
