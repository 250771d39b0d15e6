"""Prepares a request that is told as chat: resolves the model, fetches what it names, translates it into calls.

The surfaces and the dry run (`/v1/translate`) prepare requests here, so that the dry run shows what would be sent.
"""

from functools import partial
from time import time

from msgspec import Struct, structs

from gateway.conversation import field_policy, parts
from gateway.conversation import translation as chat
from gateway.errors import BadRequest, GatewayError
from gateway.exchange.context import RequestContext
from gateway.exchange.fallback import Choice, FallbackPlan, Translated
from gateway.exchange.offload import offload
from gateway.exchange.request_body import Body
from gateway.gemini import thought_signatures as signatures
from gateway.gemini.call import GeminiCall
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.gemini.wire import GenerateContentRequest
from gateway.plugin import Services
from gateway.plugins.chat import wire as openai
from gateway.plugins.chat.response import AnswerOptions
from gateway.policy import file_refs
from gateway.policy.access import Client


class PreparedChat(Struct, frozen=True):
    """A request as calls of Gemini, and what is needed to write its answer."""

    choices: list[Choice]
    style: AnswerOptions
    keyring: SignatureKeys
    include_usage: bool
    notes: list[str]

    @property
    def call(self) -> GeminiCall:
        """The call of the first choice."""
        return self.choices[0].call


async def prepare_body(
    data: Body,
    context: RequestContext,
    services: Services,
    *,
    thoughts: bool = False,
    grounding: bool = False,
) -> PreparedChat:
    """Prepare a chat body. Raises GatewayError naming the field that cannot be asked."""
    body = await offload(data.heavy, data.decode, openai.decode_request)
    notes = field_policy.review(data.fields, field_policy.CHAT, services.config.compat)
    return await prepare(
        body, context, services, notes, heavy=data.heavy, thoughts=thoughts, grounding=grounding
    )


async def prepare(
    body: openai.ChatRequest,
    context: RequestContext,
    services: Services,
    notes: list[str],
    *,
    heavy: bool = False,
    thoughts: bool = False,
    grounding: bool = False,
) -> PreparedChat:
    """Prepare a request of any surface that can be told as chat. `notes` are the surface's own so far."""
    client, report, exchange = context.client, context.report, services.exchange
    keyring = SignatureKeys(client.scope)
    route = services.route(client, body.model)
    report.describe(route.model, body.model, stream=bool(body.stream))
    terms = chat.TranslationContext(
        route.model,
        services.capability_table.of(route.model),
        services.safety,
        services.config.compat,
        route.search,
        thoughts,
        keyring,
        await exchange.stored_signatures(signatures.wanted(body, keyring)),
        await _fetched(body, services),
    )
    translation = ChatTranslation(body, terms, services, heavy)
    translated = await translation.translated(route.model)
    project = await _project(translated.request, client, services) if client.id else ""
    substituted = ["model"] if route.substituted else []
    notes = list(dict.fromkeys([*notes, *translated.notes, *substituted]))
    report.notes = notes or None
    models = [name for name in services.catalog.fallbacks(route.model) if client.rules.allows(name)]
    plan = None
    if models:
        plan = FallbackPlan(models, partial(translation.for_model, translated, project), notes)
    count = _choice_count(body, services)
    if count > 1 and context.cache:
        report.cached = "off"
    first = exchange.prepare(translation.call(route.model, translated, project), report)
    choices = [Choice(first.for_choice(i), i, plan, count == 1) for i in range(count)]
    style = AnswerOptions(translated.rules, translated.audio_format, grounding, count)
    options = body.stream_options
    return PreparedChat(choices, style, keyring, bool(options and options.include_usage), notes)


class ChatTranslation(Struct, frozen=True):
    """A body and what its translation depends on, apart from the model."""

    body: openai.ChatRequest
    terms: chat.TranslationContext
    services: Services
    heavy: bool

    async def translated(self, model: str) -> chat.Translated:
        """Return the request for a model. Raises BadRequest for what the model cannot be asked."""
        terms = self.terms
        if model != terms.model:
            terms = structs.replace(terms, model=model, abilities=self.services.capability_table.of(model))
        return await offload(self.heavy, chat.to_gemini, self.body, terms)

    async def for_model(self, first: chat.Translated, project: str, model: str) -> Translated | None:
        """Return the request for a fallback model, if its answer is read as the first model's answer is."""
        try:
            translated = await self.translated(model)
        except GatewayError:
            return None
        if (translated.rules, translated.audio_format) != (first.rules, first.audio_format):
            return None
        return Translated(self.call(model, translated, project), translated.notes)

    def call(self, model: str, translated: chat.Translated, project: str) -> GeminiCall:
        """Return the call of the first choice."""
        body = self.body
        return GeminiCall(
            model, translated.request, bool(body.stream), self.heavy, body.prompt_cache_key or "", project
        )


async def _fetched(body: openai.ChatRequest, services: Services) -> parts.Media:
    addresses = parts.remote_media(body)
    return await services.media.fetch(addresses) if addresses else {}


async def _project(request: GenerateContentRequest, client: Client, services: Services) -> str:
    """Return the project that holds the files and caches an issued key's request names; "" for none."""
    names = file_refs.named(request)
    if not names:
        return ""
    return await services.exchange.stores.file_owners.project(
        client.scope, dict(zip(names, names, strict=True)), time()
    )


def _choice_count(body: openai.ChatRequest, services: Services) -> int:
    """Return OpenAI's `n`. Each choice is a call: most Gemini models refuse a candidateCount above 1."""
    n, most = body.n or 1, services.config.limits.choices
    if n > most:
        raise BadRequest(f"at most {most} choices, got {n}", param="n", code="unsupported_value")
    return n
