"""Prepares a conversation for Gemini: resolves the model, fetches remote files, and translates it into calls."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import time

from msgspec import Struct, structs

from gateway.conversation.builder import ConversationBuilder
from gateway.conversation.declarations import KNOWN
from gateway.conversation.parts import KEPT, Media
from gateway.conversation.plain import NO_DECLARATIONS, PlainConversation, gemini_request
from gateway.conversation.translation import PlainOrigins, Translation, TranslationContext, translate
from gateway.errors import BadRequest, GatewayError
from gateway.exchange.calls.fallback import Choice, FallbackPlan, Translated
from gateway.exchange.context import RequestContext
from gateway.exchange.exchange import Exchange
from gateway.exchange.files.local_files import not_kept
from gateway.exchange.offload import HEAVY, offload
from gateway.gemini.call import GeminiCall
from gateway.gemini.call_names import CallRules
from gateway.gemini.capabilities import Capabilities, CapabilityTable
from gateway.gemini.schemas.schema_references import LIGHT_INLINED, SchemaTooLarge
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.gemini.wire import Blob, FileData, SafetySetting
from gateway.policy import file_refs
from gateway.policy.clients.access import Client
from gateway.policy.models.catalog import Catalog, ModelRoute
from gateway.policy.models.successors import is_alias
from gateway.upstream.media import MediaFetcher


class RequestOptions(Struct, frozen=True):
    """The options of a request beside its conversation."""

    model: str | None
    """The client's own name of the model."""
    stream: bool = False
    choices: int = 1
    """Answers to the same conversation (OpenAI's `n`). Each is a call: most models refuse candidateCount above 1."""
    choices_at: str = "n"
    cache_key: str = ""
    """The client's name for calls that begin alike (OpenAI's `prompt_cache_key`)."""
    heavy: bool = False
    """So many bytes that the request is translated and encoded in a thread."""
    show_thoughts: bool = False
    """Ask for thought summaries even when the client did not."""
    route: ModelRoute | None = None
    """The model that stands for the client's name, where the surface has chosen one of its kind."""


class PreparedRequest(Struct, frozen=True):
    """A request as calls of Gemini, and what is needed to read its answer."""

    choices: list[Choice]
    rules: CallRules
    audio_format: str | None
    keys: SignatureKeys
    notes: list[str]
    """The client's fields that are not honoured, by its own paths."""

    @property
    def call(self) -> GeminiCall:
        """The call of the first choice."""
        return self.choices[0].call


class Preparation:
    """Prepares the conversations of all surfaces."""

    def __init__(
        self,
        exchange: Exchange,
        catalog: Catalog,
        capabilities: CapabilityTable,
        safety: Sequence[SafetySetting],
        media: MediaFetcher,
        most_choices: int,
    ) -> None:
        self._exchange = exchange
        self._catalog = catalog
        self._capabilities = capabilities
        self._safety = safety
        self._media = media
        self._most_choices = most_choices

    async def prepare(
        self,
        conversation: ConversationBuilder | PlainConversation,
        options: RequestOptions,
        context: RequestContext,
    ) -> PreparedRequest:
        """Return the calls for a conversation. Raises GatewayError naming the client's field at fault."""
        if isinstance(conversation, PlainConversation):
            prepared = self.prepare_plain(conversation, options, context)
            if prepared is not None:
                return prepared
        return await self.prepare_long(conversation, options, context)

    async def prepare_long(
        self,
        conversation: ConversationBuilder | PlainConversation,
        options: RequestOptions,
        context: RequestContext,
    ) -> PreparedRequest:
        """Return what `prepare` returns, by the way that any conversation can go. Raises as it does."""
        route, capabilities, keys, notes = self._resolved(options, context)
        translation_context = TranslationContext(
            route.model, capabilities, self._safety, route.search, options.show_thoughts, keys
        )
        if isinstance(conversation, ConversationBuilder) and (
            conversation.calls or conversation.attachments or conversation.has_built_ins
        ):
            translation_context = await self._with_stored(conversation, options, translation_context, context)
        return await self._prepare(conversation, options, context, translation_context, notes)

    def prepare_plain(
        self, conversation: PlainConversation, options: RequestOptions, context: RequestContext
    ) -> PreparedRequest | None:
        """Return what `prepare` returns for a plain conversation; None where that has more to do. Raises as it does."""
        route, capabilities, keys, notes = self._resolved(options, context)
        if (
            route.search
            or options.show_thoughts
            or options.choices > 1
            or context.hooks is not None
            or self._exchange.refusals.total
            or self._catalog.fallbacks(route.model)
        ):
            return None
        plain = _plain(conversation, options, route.model, capabilities, self._safety)
        if plain is None:
            return None
        context.report.notes = notes or None
        return PreparedRequest([plain[0]], plain[1], None, keys, notes)

    def _resolved(
        self, options: RequestOptions, context: RequestContext
    ) -> tuple[ModelRoute, Capabilities, SignatureKeys, list[str]]:
        """Return the model, what it can do, the client's keys of signatures, and the notes about the model.

        Raises GatewayError naming the client's field at fault.
        """
        if options.choices > self._most_choices:
            raise _too_many_choices(options, self._most_choices)
        client, report = context.client, context.report
        report.requested_model, report.stream = options.model, options.stream  # where it is refused, too
        route = options.route or self._catalog.route(
            client.rules, options.model, issued=bool(client.id), deployment=context.deployment
        )
        model, notes = route.model, list(route.notes)
        report.model, report.requested_model = model, options.model or context.deployment or None
        answering = self._exchange.accounting.answering(model)
        if answering != model and not is_alias(model) and "model" not in notes:
            notes.append("model")
        return route, self._capabilities.of(answering), SignatureKeys.of(client.scope), notes

    async def _with_stored(
        self,
        conversation: ConversationBuilder,
        options: RequestOptions,
        translation_context: TranslationContext,
        context: RequestContext,
    ) -> TranslationContext:
        """Return the context with the signatures and the remote files that the conversation needs."""
        unsigned = await offload(options.heavy, conversation.unsigned, translation_context.keys)
        stored = await self._exchange.stored_signatures(unsigned)
        media: Media = {}
        if addresses := conversation.remote_media():
            media = await self._fetched(addresses, context)
        return structs.replace(translation_context, stored=stored, media=media)

    async def _prepare(
        self,
        conversation: ConversationBuilder | PlainConversation,
        options: RequestOptions,
        context: RequestContext,
        translation_context: TranslationContext,
        notes: list[str],
    ) -> PreparedRequest:
        """Return the calls for a conversation. `notes` are those about the model."""
        client, model, report = context.client, translation_context.model, context.report
        call_builder = _CallBuilder(
            conversation, options, translation_context, self._exchange.accounting.capabilities
        )
        translation, heavy = await call_builder.translate(model)
        project = await self._project(conversation, translation, client, heavy=heavy) if client.id else ""
        notes = list(dict.fromkeys([*translation.notes, *notes]))
        report.notes = notes or None
        chain = self._catalog.fallbacks(model)
        plan = self._fallbacks(chain, call_builder, translation, project, context, notes) if chain else None
        call = call_builder.call(model, translation, project, heavy=heavy)
        if context.hooks is not None:
            call = await context.hooks.call(call, context)
        first = await self._exchange.prepare(call, context) if self._exchange.refusals.total else call
        choices = [Choice(first, 0, plan)]
        if options.choices > 1:
            choices = [Choice(first.for_choice(i), i, plan, False) for i in range(options.choices)]
            if context.cache:
                report.cached = "off"  # the choices of one answer must differ
        return PreparedRequest(
            choices, translation.rules, translation.audio_format, translation_context.keys, notes
        )

    async def _fetched(self, addresses: Mapping[str, str], context: RequestContext) -> Media:
        """Return what is at the addresses that a conversation names, each with the path that names it."""
        kept = {url: at for url, at in addresses.items() if url.startswith(KEPT)}
        if not kept:
            return await self._media.fetch(addresses, context.memory)
        files = self._exchange.files
        if files is None:
            raise not_kept(next(iter(kept.values())))
        media: dict[str, Blob | FileData] = {**await files.named(kept, context.client.scope)}
        if remote := {url: at for url, at in addresses.items() if url not in kept}:
            media |= await self._media.fetch(remote, context.memory)
        return media

    @staticmethod
    def _fallbacks(
        chain: Sequence[str],
        call_builder: "_CallBuilder",
        first: Translation,
        project: str,
        context: RequestContext,
        notes: list[str],
    ) -> FallbackPlan | None:
        models = [name for name in chain if context.client.rules.allows(name)]
        if not models:
            return None
        return FallbackPlan(models, partial(call_builder.for_model, first, project, context), notes)

    async def _project(
        self,
        conversation: ConversationBuilder | PlainConversation,
        translation: Translation,
        client: Client,
        *,
        heavy: bool,
    ) -> str:
        """Return the project that holds the files and caches an issued key's request names; "" for none.

        Raises Forbidden for file search, whose stores no client owns.
        """
        if isinstance(conversation, PlainConversation):
            return ""  # it can name none
        request = translation.request
        if any(tool.file_search is not None for tool in request.tools or ()):
            raise file_refs.no_file_search()
        names = await offload(heavy, file_refs.named, request)
        if not names:
            return ""
        owners = self._exchange.stores.file_owners
        return await owners.project(client.scope, dict(zip(names, names, strict=True)), time())


def _plain(
    conversation: PlainConversation,
    options: RequestOptions,
    model: str,
    capabilities: Capabilities,
    safety: Sequence[SafetySetting],
) -> tuple[Choice, CallRules] | None:
    """Return the call for a plain conversation, as `Preparation` does by its long way; None where that decides."""
    declarations = conversation.declarations
    declared = KNOWN.of(declarations, capabilities) if declarations else NO_DECLARATIONS
    if declared is None:
        return None
    request = gemini_request(conversation, capabilities, safety, declared)
    if request is None:
        return None
    stream, tokens = options.stream, conversation.max_output_tokens
    if tokens is not None and not stream:
        stream = _is_long(tokens, capabilities)
    origins = PlainOrigins(conversation, model, capabilities, safety)
    call = GeminiCall(model, request, stream, False, options.cache_key, "", origins)
    rules = declared.rules
    return Choice(call, is_plain=not rules.stops), rules


def _is_long(tokens: int, capabilities: Capabilities) -> bool:
    """Return whether an answer of so many tokens may be longer than a call that is not streamed can make it."""
    return capabilities.unary_tokens is not None and tokens > capabilities.unary_tokens


def _too_many_choices(options: RequestOptions, most: int) -> BadRequest:
    at = options.choices_at
    return BadRequest(
        f"Invalid '{at}': this gateway allows at most {most} choices, but the request asks for {options.choices}.",
        param=at,
        code="unsupported_value",
    )


class _CallBuilder(Struct, frozen=True):
    """A conversation and what its translation depends on, apart from the model."""

    conversation: ConversationBuilder | PlainConversation
    options: RequestOptions
    context: TranslationContext
    capabilities: Callable[[str], Capabilities]

    async def translate(self, model: str) -> tuple[Translation, bool]:
        """Return the translation for a model, and whether it is heavy. Raises BadRequest for what cannot be asked.

        A small body whose schemas inline much is heavy as well: its translation is abandoned and repeated in a thread.
        """
        context, heavy = self.context, self.options.heavy
        if model != context.model:
            context = structs.replace(context, model=model, capabilities=self.capabilities(model))
        if not heavy:
            try:
                return translate(self.conversation, context, LIGHT_INLINED), False
            except SchemaTooLarge:
                heavy = True
        return await offload(heavy, translate, self.conversation, context), True

    async def for_model(
        self, first: Translation, project: str, context: RequestContext, model: str
    ) -> Translated | None:
        """Return the call of a fallback model, if its answer is read as the first model's answer is."""
        try:
            translation, heavy = await self.translate(model)
        except GatewayError:
            return None
        if (translation.rules, translation.audio_format) != (first.rules, first.audio_format):
            return None
        call = self.call(model, translation, project, heavy=heavy)
        if context.hooks is not None:
            call = await context.hooks.call(call, context)
        return Translated(call, translation.notes)

    def call(self, model: str, translation: Translation, project: str, *, heavy: bool) -> GeminiCall:
        """Return the call of the first choice. One with long files or signatures that are added to it is heavy."""
        options = self.options
        stream, config, context = options.stream, translation.request.generation_config, self.context
        if not stream and config is not None and config.max_output_tokens is not None:
            capabilities = context.capabilities if model == context.model else self.capabilities(model)
            stream = _is_long(config.max_output_tokens, capabilities)
        call = GeminiCall(
            model, translation.request, stream, heavy, options.cache_key, project, translation.origins
        )
        if kept := tuple(url.removeprefix(KEPT) for url in context.media if url.startswith(KEPT)):
            call = structs.replace(call, files=kept)
        if not heavy and (context.media or context.stored) and call.expected_size > HEAVY:
            return structs.replace(call, heavy=True)
        return call
