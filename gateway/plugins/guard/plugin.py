"""The plugin `guard`."""

from collections.abc import AsyncIterator, Callable, Sequence
from time import monotonic
from typing import Annotated, Any

import aiohttp
import msgspec
from aiohttp import web
from msgspec import Meta, Raw, structs

from gateway.errors import BadRequest
from gateway.exchange.context import RequestContext
from gateway.exchange.hooks import Answering, HookOptions, StopAnswer
from gateway.exchange.incoming.request_body import COPIES
from gateway.exchange.offload import HEAVY, offload
from gateway.gemini.events import (
    OTHER_PART,
    Citations,
    CodePart,
    Event,
    FilePart,
    Finished,
    MediaPart,
    ServerTool,
    TextDelta,
    ThoughtDelta,
    ToolCall,
)
from gateway.gemini.request_json import JsonObject
from gateway.plugin import Plugin
from gateway.plugins.guard.answer_text import AnswerText
from gateway.plugins.guard.rules import BoundRule, Place, Rule, bound
from gateway.plugins.guard.texts import read, replaced
from gateway.plugins.guard.webhook import Verdict, Webhook, WebhookOptions
from gateway.plugins.guard.window import Window
from gateway.policy.models.native_methods import generates, is_silent

_TRANSLATED = ("chat", "responses", "messages", "completions", "moderations")
"""Surfaces whose requests become calls, which `on_call` checks."""
_NOT_CHECKED = (
    "This gateway checks answers, and those of this method cannot be checked: use generateContent or "
    "streamGenerateContent."
)
_HIDDEN = "This gateway checks texts, which token ids hide: send texts."
_REFUSED = "This request is not allowed by a rule of the gateway's operator."
_STOPPED = "The answer is not allowed by a rule of the gateway's operator."


class Guard(Plugin):
    """Checks prompts and answers on every surface."""

    class Config(HookOptions, frozen=True, forbid_unknown_fields=True):
        """Options of `plugins.guard`."""

        rules: Annotated[tuple[Rule, ...], Meta(description="Rules, each of which is applied.")] = ()
        webhook: Annotated[
            WebhookOptions | None,
            Meta(description="A service that is asked about each text after the rules."),
        ] = None

    _webhook: Webhook | None = None

    def check(self) -> None:
        if not self.config.rules and self.config.webhook is None:
            raise ValueError("it needs `rules`, a `webhook`, or both")
        names = [rule.name for rule in self.config.rules]
        if len(set(names)) < len(names):
            raise ValueError("two rules have the same name")
        self._of_prompts = bound(self.config.rules, "prompt")
        self._of_answers = bound(self.config.rules, "answer")
        webhook = self.config.webhook
        self._asks: tuple[Place, ...] = webhook.on if webhook is not None else ()
        self._checks_prompts = bool(self._of_prompts) or "prompt" in self._asks
        self._checks_answers = bool(self._of_answers) or "answer" in self._asks

    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        if self.config.webhook is None:
            yield
            return
        # so that its failure is seen before the hook's deadline
        timeout = aiohttp.ClientTimeout(total=0.9 * self.config.deadline)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            self._webhook = Webhook(session, self.config.webhook)
            yield

    def check_native(self, method: str, path: str, context: RequestContext) -> None:
        """Refuse methods whose answers may be a model's and pass unseen."""
        if self._checks_answers and not (generates(path) or is_silent(method, path)):
            raise BadRequest(_NOT_CHECKED, status=403, code="content_policy_violation")

    async def on_request(self, body: JsonObject, context: RequestContext) -> JsonObject | None:
        """Check what becomes no call that `on_call` sees: embeddings, cached contents, interactions and others."""
        if context.surface in _TRANSLATED or (context.surface == "native" and generates(context.path)):
            return None
        if context.surface == "embeddings" and self._checks_prompts and _has_token_ids(body.get("input")):
            raise BadRequest(_HIDDEN, param="input", code="content_policy_violation")
        return await self._checked(body, "", context)

    async def on_call(self, model: str, body: JsonObject, context: RequestContext) -> JsonObject | None:
        """Check the turns, the system instruction, and the descriptions of tools and schemas."""
        return await self._checked(body, model, context)

    async def _checked(self, body: JsonObject, model: str, context: RequestContext) -> JsonObject | None:
        """Return the body with its texts rewritten, or None if none is. Raises BadRequest."""
        heavy = context.memory.size > COPIES * HEAVY  # as much is held of a body of HEAVY bytes
        before, after, broken, refusal = await offload(heavy, self._ruled, body)
        for rule in broken:
            self._note(rule.name, "prompt", rule.action, context)
        if refusal is not None:
            raise _refusal(refusal.message)
        if self._webhook is not None and "prompt" in self._asks and after:
            verdict = await self._webhook.ask("prompt", after, model, context)
            self._note("webhook", "prompt", verdict.action, context)
            if verdict.action == "refuse":
                raise _refusal(verdict.message)
            after = verdict.texts or after
        if after == before:
            return None
        changed: JsonObject = await offload(heavy, replaced, body, iter(after))
        return changed

    def _ruled(self, body: JsonObject) -> tuple[list[str], list[str], list[BoundRule], BoundRule | None]:
        """Return a prompt's texts, the texts as the rules leave them, broken rules, and one for which it is refused.

        Raises TimeoutError at the hook's deadline: nobody waits for the result any more.
        """
        until = monotonic() + self.config.deadline

        def tick() -> None:
            if monotonic() > until:
                raise TimeoutError

        before, labels = read(body)
        return before, *self._by_rules(self._of_prompts, before, labels, tick)

    def _by_rules(
        self, rules: list[BoundRule], texts: list[str], labels: list[str], tick: Callable[[], None] | None
    ) -> tuple[list[str], list[BoundRule], BoundRule | None]:
        """Return texts as rules leave them, the rules that texts and labels break, and one that refuses them."""
        after: list[str] = []
        broken: list[BoundRule] = []
        for text in texts:
            noted: list[BoundRule] = []
            window = Window(rules, noted.append, tick)
            passed = window.feed(text)
            rest = window.close() if passed.ended_by is None else passed
            broken += {rule.name: rule for rule in noted}.values()
            if rest.ended_by is not None:
                return [], broken, rest.ended_by
            after.append(passed.text + rest.text if window.is_rewritten else text)
        for label in labels:
            for rule in rules:
                if any(rule.pattern.matches(label, 0, tick)):
                    broken.append(rule)
                    if rule.action != "log":  # it cannot be replaced
                        return [], broken, rule
        return after, broken, None

    async def on_event(self, event: Event, answer: Answering) -> Event | Sequence[Event] | None:
        """Check the answer's texts, whose ends are held back until they are known to be no part of a match."""
        if not self._checks_answers:
            return event
        match event:
            case TextDelta(index=index, text=text):
                before = await self._close(index, ThoughtDelta, answer)  # thoughts have ended
                passed = await self._feed(index, TextDelta, text, answer, before)
                return (
                    [*before, TextDelta(index, passed)] if passed else before
                )  # logprobs have the model's words
            case ThoughtDelta(index=index, text=text):
                passed = await self._feed(index, ThoughtDelta, text, answer, [])
                return [ThoughtDelta(index, passed)] if passed else []
            case ToolCall() | CodePart() | MediaPart() | FilePart() | ServerTool():
                before = await self._close_all(event.index, answer)  # the order stays
                return [*before, await self._part(event, answer, before)]
            case Citations():
                # on `native` they may come before the end of the text, and go with it if that is rewritten
                is_early = answer.context.surface == "native"
                before = [] if is_early else await self._close_all(event.index, answer)
                passes = self._quotes_pass(event, answer, before)
                # they quote the text, and point into it
                return (
                    [*before, event]
                    if passes and not answer.values.get(f"rewritten {event.index}")
                    else before
                )
            case Finished(index=index, message=message):
                before = await self._close_all(index, answer)
                parts = self._json(event.server_parts, "part", answer, before)
                if message:
                    message = await self._alone(index, message, answer, before)
                return [*before, structs.replace(event, message=message, server_parts=parts)]
        return event

    async def _part(self, event: Event, answer: Answering, before: list[Event]) -> Event:
        """Return a part that came whole with its texts checked. Raises StopAnswer."""
        match event:
            case ServerTool(args=args, response=response):
                place = "part" if event.kind == OTHER_PART else ""
                args = self._json(args, place, answer, before)
                return structs.replace(event, args=args, response=self._json(response, "", answer, before))
            case ToolCall(arguments=text):
                self._label(event.name, answer, before)
                return structs.replace(
                    event, arguments=await self._arguments(event.index, text, answer, before)
                )
            case CodePart(source=str(text)):
                return structs.replace(event, source=await self._alone(event.index, text, answer, before))
            case CodePart(output=str(text)):
                return structs.replace(event, output=await self._alone(event.index, text, answer, before))
        return event

    def _quotes_pass(self, event: Citations, answer: Answering, before: list[Event]) -> bool:
        """Return whether citations have nothing that would be rewritten. Raises StopAnswer."""
        listed = Raw(msgspec.json.encode(event.citations))
        quotes = (listed, event.metadata, event.url_context)
        return [self._json(raw, "", answer, before) for raw in quotes] == [*quotes]

    def _json(self, raw: Raw, place: str, answer: Answering, before: list[Event]) -> Raw:
        """Return JSON of an answer with its texts checked by the rules. Raises StopAnswer."""
        if not bytes(raw):
            return raw
        value = msgspec.json.decode(raw)
        texts, labels = read(value, place)
        after, broken, refusal = self._by_rules(self._of_answers, texts, labels, None)
        for rule in broken:
            self._note(rule.name, "answer", rule.action, answer.context)
        if refusal is not None:
            raise StopAnswer("content_filter", refusal.message or _STOPPED, before)
        return raw if after == texts else Raw(msgspec.json.encode(replaced(value, iter(after), place)))

    async def _arguments(self, index: int, text: str, answer: Answering, before: list[Event]) -> str:
        """Return the arguments of a call, JSON, with each text in them checked by itself: they stay JSON.

        The webhook is asked about the whole. Raises StopAnswer.
        """
        try:
            checked = bytes(self._json(Raw(text.encode()), "arguments", answer, before)).decode()
        except msgspec.DecodeError:  # Google has sent what is no JSON
            return await self._alone(index, text, answer, before)
        return await self._alone(index, checked, answer, before, rules=())

    def _label(self, name: str, answer: Answering, before: list[Event]) -> None:
        """Check a name by the rules. Raises StopAnswer: it cannot be replaced."""
        self._json(Raw(msgspec.json.encode({name: None})), "", answer, before)

    async def _feed(
        self, index: int, kind: type[Event], piece: str, answer: Answering, before: list[Event]
    ) -> str:
        """Return what may be sent of a text. Raises StopAnswer with the events before."""
        held = answer.values.get(f"{kind.__name__} {index}")
        if held is None:
            held = answer.values[f"{kind.__name__} {index}"] = self._text(answer)
        passed: str = await held.feed(piece)
        self._end(index, held, answer, [*before, _delta(kind, index, passed)] if passed else before)
        return passed

    async def _close(self, index: int, kind: type[Event], answer: Answering) -> list[Event]:
        """Return the rest of a text as an event. Raises StopAnswer."""
        held = answer.values.pop(f"{kind.__name__} {index}", None)
        if held is None:
            return []
        rest = _delta(kind, index, await held.close())
        events = [rest] if rest.text else []
        self._end(index, held, answer, events)
        return events

    async def _close_all(self, index: int, answer: Answering) -> list[Event]:
        """Return the rest of a candidate's thoughts and text. Raises StopAnswer."""
        thoughts = await self._close(index, ThoughtDelta, answer)
        return [*thoughts, *await self._close(index, TextDelta, answer)]

    async def _alone(
        self,
        index: int,
        text: str,
        answer: Answering,
        before: list[Event],
        rules: Sequence[BoundRule] | None = None,
    ) -> str:
        """Return a text that came in one piece, by `rules` or those for answers. Raises StopAnswer with `before`."""
        held = self._text(answer, rules)
        passed = await held.feed(text)
        if held.ended is None:
            passed += await held.close()
        self._end(index, held, answer, before)
        return passed

    def _end(self, index: int, held: AnswerText, answer: Answering, before: list[Event]) -> None:
        if held.is_rewritten:
            answer.values[f"rewritten {index}"] = True
        if held.ended is not None:
            raise StopAnswer("content_filter", held.ended or _STOPPED, before)

    def _text(self, answer: Answering, rules: Sequence[BoundRule] | None = None) -> AnswerText:
        context: RequestContext = answer.context

        def note(rule: BoundRule) -> None:
            self._note(rule.name, "answer", rule.action, context)

        window = Window(self._of_answers if rules is None else rules, note)
        webhook = self._webhook
        if webhook is None or "answer" not in self._asks or self.config.webhook is None:
            return AnswerText(window, None, 0)

        async def ask(text: str, last: bool) -> Verdict:
            if "webhook failed" in answer.values:
                return Verdict("allow")
            try:
                verdict = await webhook.ask("answer", [text], answer.model, context, last=last)
            except (aiohttp.ClientError, TimeoutError, ValueError):
                if self.config.on_error == "refuse":
                    raise
                answer.values["webhook failed"] = True  # the text that was held back passes
                self._note("webhook", "answer", "failed", context)
                return Verdict("allow")
            self._note("webhook", "answer", verdict.action, context)
            return verdict

        return AnswerText(window, ask, self.config.webhook.window)

    def _note(self, rule: str, place: Place, action: str, context: RequestContext) -> None:
        """Log and count what a rule has found. The text is not logged."""
        if action == "allow":
            return
        self.services.count(self.name, f"{rule} {place} {action}")
        self.logger.warning(
            "guard: rule %s, %s: %s; request %s of client %s", rule, place, action, context.request_id,
            self.services.client_name(context.client),
        )  # fmt: skip


def _has_token_ids(value: Any) -> bool:
    """Return whether an input of embeddings is, or has, something else than texts."""
    return not (
        isinstance(value, str) or (isinstance(value, list) and all(isinstance(v, str) for v in value))
    )


def _delta(kind: type[Event], index: int, text: str) -> Any:
    return ThoughtDelta(index, text) if kind is ThoughtDelta else TextDelta(index, text)


def _refusal(message: str | None) -> BadRequest:
    return BadRequest(message or _REFUSED, code="content_policy_violation")
