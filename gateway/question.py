"""A chat request, understood: its model resolved, what it points at fetched, everything translated.

Both the chat surface and the preview (`/v1/translate`) ask here, so that the preview cannot lie.
"""

import asyncio
from time import time

from msgspec import Struct, structs

from gateway.errors import BadRequest
from gateway.plugin import Services
from gateway.policy import pins
from gateway.policy.access import Client
from gateway.record import Record
from gateway.server.reply import Body
from gateway.translate import chat, compat, parts, signatures
from gateway.translate.chat_answer import Style
from gateway.translate.signatures import Keyring
from gateway.wire import openai_chat as openai
from gateway.wire.gemini import GeminiCall, GenerateContentRequest


class Question(Struct, frozen=True):
    """A chat request as calls of Gemini, and how its answer is to be told."""

    calls: list[GeminiCall]
    """One for each choice."""
    style: Style
    keyring: Keyring
    include_usage: bool
    notes: list[str]

    @property
    def model(self) -> str:
        return self.calls[0].model


async def understand(
    data: Body,
    client: Client,
    record: Record,
    services: Services,
    *,
    thoughts: bool = False,
    grounding: bool = False,
) -> Question:
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
    record: Record,
    services: Services,
    notes: list[str],
    *,
    heavy: bool = False,
    thoughts: bool = False,
    grounding: bool = False,
) -> Question:
    """A conversation from any surface that can be told as chat; `notes` are the surface's own so far."""
    keyring = Keyring(client.scope)
    route = services.route(client, body.model)
    record.model, record.requested_model, record.stream = route.model, body.model, bool(body.stream)
    terms = chat.Terms(
        route.model,
        services.families.of(route.model),
        services.safety,
        services.config.compat,
        route.search,
        thoughts,
        keyring,
        await services.exchange.stored(signatures.wanted(body, keyring)),
        await _fetched(body, services),
    )
    translated = (
        await asyncio.to_thread(chat.to_gemini, body, terms) if heavy else chat.to_gemini(body, terms)
    )
    substituted = ["model"] if route.substituted else []
    notes = list(dict.fromkeys([*notes, *translated.notes, *substituted]))
    record.notes = notes or None
    project = await _project(translated.request, client, services) if client.id else ""
    cache_key = body.prompt_cache_key or ""
    call = GeminiCall(route.model, translated.request, record.stream, heavy, cache_key, project)
    calls = _calls(body, call, services)
    style = Style(translated.rules, translated.audio_format, grounding, len(calls))
    options = body.stream_options
    return Question(calls, style, keyring, bool(options and options.include_usage), notes)


async def _fetched(body: openai.ChatRequest, services: Services) -> parts.Media:
    addresses = parts.remote_media(body)
    return await services.media.fetch(addresses) if addresses else {}


async def _project(request: GenerateContentRequest, client: Client, services: Services) -> str:
    """Where the files and the cache are that an issued key's request names; "" for none."""
    names = pins.named(request)
    return (
        await services.exchange.pins.project(client.scope, dict(zip(names, names, strict=True)), time())
        if names
        else ""
    )


def _calls(body: openai.ChatRequest, call: GeminiCall, services: Services) -> list[GeminiCall]:
    """One call for each choice: most models refuse to give several at once (translation.md A.2)."""
    n, most = body.n or 1, services.config.limits.choices
    if n > most:
        raise BadRequest(f"at most {most} choices, got {n}", param="n", code="unsupported_value")
    calls = [call]
    for i in range(1, n):
        request = structs.replace(call.request)
        config = request.generation_config
        if config is not None:
            request.generation_config = structs.replace(config)
            if config.seed is not None:  # or all the choices would be the same
                request.generation_config.seed = config.seed + i
        calls.append(structs.replace(call, request=request))
    return calls
