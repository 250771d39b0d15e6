"""Hooks of plugins in a request's way: its body, each call of Gemini, each event of the answer, the finished answer.

Hooks run in the order of the YAML. Each call of a hook has a deadline. What happens when one raises or hangs is the
plugin's `on_error`; it is logged and counted under the plugin's name. A GatewayError is no failure but the hook's
decision: the client gets it. Without hooks a request has no `RequestHooks`, and nothing here runs.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from time import monotonic
from typing import Annotated, Any, Literal, Protocol, TypeVar

import msgspec
from msgspec import Meta, Struct

from gateway.errors import GatewayError, forget_frames
from gateway.exchange.finished_answer import AnswerRecord, FinishedAnswer
from gateway.exchange.hook_timer import HookTimer
from gateway.exchange.offload import HEAVY, offload
from gateway.exchange.report import ExchangeReport
from gateway.gemini.call import GeminiCall
from gateway.gemini.events import Event, Finished, Reason, TurnEnded, TurnStarted
from gateway.gemini.request_json import JsonObject, read_request
from gateway.gemini.usage import TokenCounts
from gateway.gemini.wire import encode_json
from gateway.observability.statistics import Statistics
from gateway.policy.clients.access import Client
from gateway.policy.load.memory import MemoryHold

HookName = Literal["on_request", "on_call", "on_event", "on_answer"]
HOOKS: tuple[HookName, ...] = ("on_request", "on_call", "on_event", "on_answer")
_COPIES = 2  # of a large body: what it decodes to, and what hooks return
_MANY = 256
"""Events after which other requests get their turn."""
_KEPT = (TurnStarted, Finished, TurnEnded)
"""Events that every answer has. A hook may change them; one that it drops is kept."""
T = TypeVar("T")


class HookOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Options that every plugin with hooks has."""

    on_error: Annotated[
        Literal["refuse", "ignore"],
        Meta(
            description="When a hook of the plugin raises or hangs: `refuse` the request, or `ignore` that hook for "
            "the rest of the request."
        ),
    ] = "refuse"
    deadline: Annotated[
        float, Meta(gt=0, le=600, description="Seconds for one call of a hook; one that takes longer hangs.")
    ] = 5.0


class StopAnswer(Exception):
    """Raised by `on_event` to end an answer for `reason`, with a sentence for the client, behind events `before` it."""

    def __init__(
        self, reason: Reason = "content_filter", refusal: str | None = None, before: Sequence[Event] = ()
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.refusal = refusal
        self.before = before


class PluginFailed(GatewayError):
    """A plugin's hook raised or hung, and the plugin's `on_error` is `refuse`."""

    code = "plugin_failed"

    def __init__(self, plugin: str) -> None:
        super().__init__(f"The plugin {plugin!r} of this gateway failed; see its log for this request id.")


class RequestFacts(Protocol):
    """The parts of a `RequestContext` that are used here."""

    @property
    def request_id(self) -> str: ...
    @property
    def surface(self) -> str: ...
    @property
    def client(self) -> Client: ...
    @property
    def memory(self) -> MemoryHold: ...
    @property
    def started(self) -> float: ...
    @property
    def report(self) -> ExchangeReport: ...


class Answering(Struct):
    """One answer under way: of one choice, in one attempt. Each plugin has its own."""

    context: Any
    """The request's `RequestContext`."""
    model: str
    """The model that was asked."""
    values: dict[str, Any] = msgspec.field(default_factory=dict)
    """For the plugin's own use. Empty at the beginning of each attempt."""


class HookedPlugin(Protocol):
    """A plugin with hooks, as it is used here."""

    name: str
    logger: logging.Logger
    config: Any

    async def on_request(self, body: JsonObject, context: Any) -> JsonObject | None: ...
    async def on_call(self, model: str, body: JsonObject, context: Any) -> JsonObject | None: ...
    async def on_event(self, event: Event, answer: Answering) -> Event | Sequence[Event] | None: ...
    async def on_answer(self, answer: FinishedAnswer, context: Any) -> None: ...


class Hooks:
    """The hooks of an application. `plugins` are in the order of the YAML, each with the hooks that it has."""

    def __init__(
        self,
        plugins: Sequence[tuple[HookedPlugin, Sequence[HookName]]],
        statistics: Statistics,
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        self.by_name: Mapping[HookName, list[HookedPlugin]] = {
            name: [plugin for plugin, names in plugins if name in names] for name in HOOKS
        }
        self.statistics = statistics
        self._spawn = spawn
        self.observing: set[asyncio.Task[None]] = set()
        """Tasks in which `on_answer` runs."""

    def observe(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `on_answer` in the background. A drain waits for it."""
        task = self._spawn(work, name)
        self.observing.add(task)
        task.add_done_callback(self.observing.discard)

    def begin(self, headers: Mapping[str, str]) -> "RequestHooks":
        """Return the hooks of one request."""
        return RequestHooks(self, headers)


class RequestHooks:
    """Hooks of one request, and what they keep while it lasts."""

    def __init__(self, hooks: Hooks, headers: Mapping[str, str]) -> None:
        self._hooks = hooks
        self.statistics = hooks.statistics
        self.headers = headers
        self.values: dict[str, Any] = {}
        """For the plugins' own use."""
        self.response_headers: dict[str, str] = {}
        """Headers that plugins add to the response."""
        self.records: dict[int, AnswerRecord] = {}
        """The answer of each choice, as the client gets it."""
        self._ignored: set[tuple[str, HookName]] = set()
        """Hooks that have failed in this request, of plugins with `on_error: ignore`."""
        self._is_observed = False
        """Whether the finished answer is shown to `on_answer`."""

    def anew(self) -> "RequestHooks":
        """Return the hooks of another request on the same connection."""
        return RequestHooks(self._hooks, self.headers)

    def in_background(self) -> "RequestHooks":
        """Return the hooks of work that continues after this request was answered, which ends with its answer."""
        result = RequestHooks(self._hooks, self.headers)
        result.values, result._ignored = self.values, self._ignored
        result._is_observed, self._is_observed = self._is_observed, False
        return result

    async def request(self, data: bytes, facts: RequestFacts) -> bytes | None:
        """Run `on_request` on a JSON object. Return another in its place, or None. Raises GatewayError."""
        self._is_observed = True
        plugins, is_changed = self._hooks.by_name["on_request"], False
        if not plugins:
            return None
        if len(data) > HEAVY:
            facts.memory.take(_COPIES * len(data))
        body: JsonObject = await offload(len(data) > HEAVY, msgspec.json.decode, data)
        for plugin in plugins:
            changed = await self._run(plugin, "on_request", facts, self._on_request, plugin, body, facts)
            if changed is not None:
                body, data, is_changed = *changed, True
        return data if is_changed else None

    async def _on_request(
        self, plugin: HookedPlugin, body: JsonObject, facts: RequestFacts
    ) -> tuple[JsonObject, bytes] | None:
        changed = await plugin.on_request(body, facts)
        return None if changed is None else (changed, encode_json(_object(changed)))

    async def call(self, call: GeminiCall, facts: RequestFacts) -> GeminiCall:
        """Run `on_call` on a call. Return the call that is made in its place. Raises GatewayError."""
        if not self._hooks.by_name["on_call"]:
            return call
        if call.heavy:
            facts.memory.take(_COPIES * call.expected_size)
        body: JsonObject = await offload(call.heavy, lambda: msgspec.json.decode(call.encode()))
        changed = await self._call(call.model, body, facts, read_request)
        return (
            call if changed is None else call.with_request(await offload(call.heavy, read_request, changed))
        )

    async def native_call(self, model: str, body: JsonObject, facts: RequestFacts) -> JsonObject | None:
        """Run `on_call` on a client's own Gemini request. Return another in its place, or None. Raises GatewayError."""
        return await self._call(model, body, facts, encode_json)

    async def _call(
        self, model: str, body: JsonObject, facts: RequestFacts, check: Callable[[JsonObject], object]
    ) -> JsonObject | None:
        result = None
        for plugin in self._hooks.by_name["on_call"]:
            arguments = plugin, model, body, facts, check
            changed = await self._run(plugin, "on_call", facts, self._on_call, *arguments)
            if changed is not None:
                result = body = changed
        return result

    async def _on_call(
        self,
        plugin: HookedPlugin,
        model: str,
        body: JsonObject,
        facts: RequestFacts,
        check: Callable[[JsonObject], object],
    ) -> JsonObject | None:
        changed = await plugin.on_call(model, body, facts)
        if changed is not None:
            check(_object(changed))  # a mistake is this plugin's, and has its name
        return changed

    @property
    def reads_answers(self) -> bool:
        """Whether a hook sees the events of answers or finished answers."""
        return bool(self._hooks.by_name["on_event"] or self._hooks.by_name["on_answer"])

    @property
    def changes_answers(self) -> bool:
        """Whether a hook may change the events of answers."""
        return bool(self._hooks.by_name["on_event"])

    def answer(
        self, number: int, model: str, counts: Callable[[], TokenCounts | None], facts: RequestFacts
    ) -> "AnswerHooks":
        """Return the hooks on one attempt's answer to choice `number`. `counts` returns its tokens so far."""
        return AnswerHooks(self, self._hooks.by_name["on_event"], number, model, counts, facts)

    async def whole(self, events: list[Event], number: int, model: str, facts: RequestFacts) -> list[Event]:
        """Return the events of a whole answer as the client gets them. Raises GatewayError."""
        ends = [event.counts for event in events if isinstance(event, TurnEnded)]
        answer = self.answer(number, model, lambda: ends[0] if ends else None, facts)
        result = await answer.events(events)
        if answer.refusal is not None:
            raise answer.refusal
        return result

    def end(self, facts: RequestFacts, status: int) -> None:
        """Show the finished answer to `on_answer`, in the background: the client does not wait for it."""
        plugins = self._hooks.by_name["on_answer"]
        if plugins and self._is_observed:
            seconds = monotonic() - facts.started
            answer = FinishedAnswer.of(facts.report, self.records, status, seconds)
            self._hooks.observe(self._observe(plugins, answer, facts), f"{facts.request_id} on_answer")

    async def _observe(
        self, plugins: Sequence[HookedPlugin], answer: FinishedAnswer, facts: RequestFacts
    ) -> None:
        for plugin in plugins:
            try:
                await self._run(plugin, "on_answer", facts, plugin.on_answer, answer, facts)
            except GatewayError as error:
                if not isinstance(error, PluginFailed):  # nobody is left to get it
                    self._report(plugin, "on_answer", error, facts, hangs=False)

    async def _run(
        self,
        plugin: HookedPlugin,
        name: HookName,
        facts: RequestFacts,
        hook: Callable[..., Awaitable[T]],
        *arguments: object,
    ) -> T | None:
        """Return what a hook returns; None for one that is ignored. Raises GatewayError."""
        if (plugin.name, name) in self._ignored:
            return None
        limit = HookTimer(plugin.name, name, plugin.config.deadline, self.statistics)
        try:
            async with limit:
                return await hook(*arguments)
        except GatewayError:
            raise
        except Exception as error:  # noqa: BLE001 - code of others
            self.failed(plugin, name, error, facts, hangs=limit.expired())
            return None

    def failed(
        self, plugin: HookedPlugin, name: HookName, error: Exception, facts: RequestFacts, *, hangs: bool
    ) -> None:
        """Report a hook that raised or hung. Raises PluginFailed, unless the plugin's failures are ignored."""
        self._report(plugin, name, error, facts, hangs=hangs)
        if plugin.config.on_error != "ignore":
            raise PluginFailed(plugin.name) from None
        self._ignored.add((plugin.name, name))

    def ignores(self, plugin: HookedPlugin, name: HookName) -> bool:
        """Return whether a hook is left out for the rest of the request."""
        return (plugin.name, name) in self._ignored

    def _report(
        self, plugin: HookedPlugin, name: HookName, error: Exception, facts: RequestFacts, *, hangs: bool
    ) -> None:
        """Log and count a failure. The exception's text is left out, because it may quote a client."""
        reason = "hangs" if hangs else "raises"
        self.statistics.hook_failures[plugin.name, name, reason] += 1
        what = f"took longer than {plugin.config.deadline:g} s" if hangs else f"raised {type(error).__name__}"
        follows = "nothing" if name == "on_answer" else _CONSEQUENCE[plugin.config.on_error]
        plugin.logger.error(
            "plugin %s: %s %s in request %s; consequence: %s",
            plugin.name, name, what, facts.request_id, follows, exc_info=None if hangs else error,
        )  # fmt: skip
        forget_frames(error)


_CONSEQUENCE = {
    "refuse": "the request is refused (on_error: refuse)",
    "ignore": "it is left out for the rest of the request (on_error: ignore)",
}


class AnswerHooks:
    """Hooks on the events of one answer. After `refusal` or `is_stopped` is set, no event follows."""

    def __init__(
        self,
        request: RequestHooks,
        plugins: Sequence[HookedPlugin],
        number: int,
        model: str,
        counts: Callable[[], TokenCounts | None],
        facts: RequestFacts,
    ) -> None:
        self._request = request
        self._plugins = [(plugin, Answering(facts, model)) for plugin in plugins]
        self._number = number
        self._counts = counts
        self._facts = facts
        self._record: AnswerRecord | None = None
        self._open: set[int] = set()
        """Candidates that have begun and not ended."""
        self.refusal: GatewayError | None = None
        """The error with which the answer ends."""
        self.is_stopped = False
        """Whether a hook has ended the answer, with its last events."""

    @property
    def ended(self) -> bool:
        """Whether no event follows."""
        return self.is_stopped or self.refusal is not None

    async def events(self, events: list[Event]) -> list[Event]:
        """Return events as the client gets them."""
        if self._record is None and events:
            # not before: of two attempts at the same time, the one that is answered counts
            self._record = self._request.records[self._number] = AnswerRecord()
        result: list[Event] = []
        for position, event in enumerate(events, 1):
            if self.ended:
                break
            self._note(event)
            result += await self._through(event)
            if position % _MANY == 0:
                await asyncio.sleep(0)
        if self._record is not None:
            self._record.add(result)
        return result

    def _note(self, event: Event) -> None:
        index = getattr(event, "index", None)
        if isinstance(event, Finished):
            self._open.discard(event.index)
        elif index is not None:
            self._open.add(index)

    async def _through(self, event: Event) -> list[Event]:
        """Return what all hooks make of one event."""
        current = [event]
        for plugin, answer in self._plugins:
            following: list[Event] = []
            for item in current:
                is_ended = self.ended
                following += await self._hooked(plugin, answer, item)
                if self.ended and not is_ended:
                    break  # the hooks that come later see the end
            current = following
        return current

    async def _hooked(self, plugin: HookedPlugin, answer: Answering, event: Event) -> list[Event]:
        """Return what one hook makes of one event."""
        if self._request.ignores(plugin, "on_event"):
            return [event]
        limit = HookTimer(plugin.name, "on_event", plugin.config.deadline, self._request.statistics)
        try:
            async with limit:
                result = _listed(await plugin.on_event(event, answer))
        except StopAnswer as stop:
            return self._stop(stop, event)
        except GatewayError as error:
            self.refusal = forget_frames(error)
            return []
        except Exception as error:  # noqa: BLE001 - code of others
            try:
                self._request.failed(plugin, "on_event", error, self._facts, hangs=limit.expired())
            except GatewayError as refusal:
                self.refusal = forget_frames(refusal)
                return []
            return [event]
        if isinstance(event, _KEPT) and not any(type(item) is type(event) for item in result):
            result.append(event)
        return result

    def _stop(self, stop: StopAnswer, event: Event) -> list[Event]:
        """Return the last events of an answer that a hook ends at an event."""
        self.is_stopped = True
        before = [*stop.before, event] if isinstance(event, TurnStarted) else [*stop.before]
        if isinstance(event, TurnEnded):
            return [*before, event]
        indexes = self._open | ({event.index} if isinstance(event, Finished) else set())
        ends = [Finished(i, stop.reason, stop.refusal) for i in sorted(indexes) or [self._number]]
        return [*before, *ends, TurnEnded(self._counts() or TokenCounts())]


def _object(value: Any) -> JsonObject:
    if not isinstance(value, dict):
        raise TypeError(f"a hook returned {type(value).__name__} in place of a JSON object")
    return value


def _listed(result: Any) -> list[Event]:
    """Return the events that a hook returned: one, several or none. Raises TypeError for anything else."""
    if result is None:
        return []
    events = list(result) if isinstance(result, list | tuple) else [result]
    for event in events:
        if not isinstance(event, Event):
            raise TypeError(f"on_event returned {type(event).__name__} in place of an event")
    return events
