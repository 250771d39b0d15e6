"""A chat request, understood: its model resolved, what it points at fetched, everything translated.

Both the chat surface and the preview (`/v1/translate`) ask here, so that the preview cannot lie.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from time import time

from msgspec import Struct, structs

from gateway.conversation import field_policy as compat
from gateway.conversation import parts
from gateway.conversation import translation as chat
from gateway.errors import BadRequest, GatewayError
from gateway.exchange.delivery import Body
from gateway.gemini import thought_signatures as signatures
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.gemini.wire import GeminiCall, GenerateContentRequest
from gateway.observability.request_log import RequestLog
from gateway.plugin import Services
from gateway.plugins.chat import wire as openai
from gateway.plugins.chat.response import AnswerOptions
from gateway.policy import file_refs as pins
from gateway.policy.access import Client


class PreparedChat(Struct, frozen=True):
    """A chat request as calls of Gemini, and how its answer is to be told."""

    calls: list[GeminiCall]
    """One for each choice."""
    style: AnswerOptions
    keyring: SignatureKeys
    include_usage: bool
    notes: list[str]

    @property
    def model(self) -> str:
        return self.calls[0].model


async def prepare_body(
    data: Body,
    client: Client,
    record: RequestLog,
    services: Services,
    *,
    thoughts: bool = False,
    grounding: bool = False,
) -> PreparedChat:
    """A chat body. Raises GatewayError for what cannot be asked, naming the field."""
    decode = openai.decode_request
    body = await asyncio.to_thread(data.decode, decode) if data.heavy else data.decode(decode)
    notes = compat.review(data.fields, compat.CHAT, services.config.compat)
    return await ask(
        body, client, record, services, notes, heavy=data.heavy, thoughts=thoughts, grounding=grounding
    )


async def ask(
    body: openai.ChatRequest,
    client: Client,
    record: RequestLog,
    services: Services,
    notes: list[str],
    *,
    heavy: bool = False,
    thoughts: bool = False,
    grounding: bool = False,
) -> PreparedChat:
    """A conversation from any surface that can be told as chat; `notes` are the surface's own so far."""
    keyring = SignatureKeys(client.scope)
    route = services.route(client, body.model)
    record.model, record.requested_model, record.stream = route.model, body.model, bool(body.stream)
    terms = chat.TranslationContext(
        route.model,
        services.capability_table.of(route.model),
        services.safety,
        services.config.compat,
        route.search,
        thoughts,
        keyring,
        await services.exchange.stored(signatures.wanted(body, keyring)),
        await _fetched(body, services),
    )
    wish = ChatTranslation(body, terms, services, heavy)
    translated = await wish.translated(route.model)
    project = await _project(translated.request, client, services) if client.id else ""
    substituted = ["model"] if route.substituted else []
    notes = list(dict.fromkeys([*notes, *translated.notes, *substituted]))
    record.notes = notes or None
    chain = [name for name in services.catalog.fallbacks(route.model) if client.rules.allows(name)]
    chained = FallbackPlan(wish, translated, project, record, notes) if chain else None
    count = _choices(body, services)
    if count > 1 and record.cache:  # the choices of one answer must not be one and the same
        record.cache, record.cached = 0.0, "off"
    first = services.exchange.prepare(wish.call(route.model, translated, project, 0), record)
    calls = [first, *(_choice(first, i) for i in range(1, count))]
    if chained is not None:
        calls = [
            structs.replace(call, instead=partial(chained.next, chain, i)) for i, call in enumerate(calls)
        ]
    style = AnswerOptions(translated.rules, translated.audio_format, grounding, len(calls))
    options = body.stream_options
    return PreparedChat(calls, style, keyring, bool(options and options.include_usage), notes)


class ChatTranslation(Struct, frozen=True):
    """A body and all that its translation depends on; the model is named when it is asked."""

    body: openai.ChatRequest
    terms: chat.TranslationContext
    services: Services
    heavy: bool

    async def translated(self, model: str) -> chat.Translated:
        """Raises BadRequest for what this model cannot be asked."""
        terms = self.terms
        if model != terms.model:
            terms = structs.replace(terms, model=model, abilities=self.services.capability_table.of(model))
        if self.heavy:
            return await asyncio.to_thread(chat.to_gemini, self.body, terms)
        return chat.to_gemini(self.body, terms)

    def call(self, model: str, translated: chat.Translated, project: str, choice: int) -> GeminiCall:
        """The call of one choice."""
        request, body = translated.request, self.body
        call = GeminiCall(
            model, request, bool(body.stream), self.heavy, body.prompt_cache_key or "", project=project
        )
        return _choice(call, choice)


def _choice(call: GeminiCall, number: int) -> GeminiCall:
    """Return the call of another choice: its seed differs, or all the choices would be the same."""
    config = call.request.generation_config
    if not number or config is None or config.seed is None:
        return call
    config = structs.replace(config, seed=config.seed + number)
    return structs.replace(call, request=structs.replace(call.request, generation_config=config))


class FallbackPlan(Struct, frozen=True):
    """The same, asked of other models (`models.fallbacks`): translated only when they are needed."""

    wish: ChatTranslation
    first: chat.Translated
    project: str
    record: RequestLog
    notes: list[str]

    async def next(self, models: Sequence[str], choice: int) -> GeminiCall | None:
        """The call of the first of these that can be asked so, and whose answer would be read alike."""
        for i, model in enumerate(models):
            try:
                found = await self.wish.translated(model)
            except GatewayError:
                continue
            if (found.rules, found.audio_format) != (self.first.rules, self.first.audio_format):
                continue
            told = [*self.notes, *self.record.adjusted]
            self.record.adjusted += [
                name for name in dict.fromkeys([*found.notes, "model"]) if name not in told
            ]
            call = self.wish.call(model, found, self.project, choice)
            return structs.replace(call, instead=partial(self.next, models[i + 1 :], choice))
        return None


async def _fetched(body: openai.ChatRequest, services: Services) -> parts.Media:
    addresses = parts.remote_media(body)
    return await services.media.fetch(addresses) if addresses else {}


async def _project(request: GenerateContentRequest, client: Client, services: Services) -> str:
    """Where the files and the cache are that an issued key's request names; "" for none."""
    names = pins.named(request)
    if not names:
        return ""
    return await services.exchange.stores.pins.project(
        client.scope, dict(zip(names, names, strict=True)), time()
    )


def _choices(body: openai.ChatRequest, services: Services) -> int:
    """One call for each choice: most models refuse to give several at once (translation.md A.2)."""
    n, most = body.n or 1, services.config.limits.choices
    if n > most:
        raise BadRequest(f"at most {most} choices, got {n}", param="n", code="unsupported_value")
    return n
