"""Chat completions, the request: OpenAI's body to Gemini's (translation.md A, B)."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct, structs

from gateway.conversation import field_policy as compat
from gateway.conversation import google_options as vendor
from gateway.conversation import modalities as speech
from gateway.conversation import reasoning as thinking
from gateway.conversation import tools
from gateway.conversation.field_policy import Compat
from gateway.conversation.google_options import Channel
from gateway.conversation.history import Context, Conversation, conversation
from gateway.conversation.parts import Media
from gateway.conversation.tools import Tooling
from gateway.errors import BadRequest, UnsupportedParameter
from gateway.gemini import json_schema as schema
from gateway.gemini.call_names import CallRules
from gateway.gemini.capabilities import Capabilities
from gateway.gemini.thought_signatures import SignatureKeys, Stored
from gateway.gemini.wire import (
    Content,
    GenerateContentRequest,
    GenerationConfig,
    Part,
    SafetySetting,
    ThinkingConfig,
    ToolConfig,
)
from gateway.gemini.wire import Tool as GeminiTool
from gateway.plugins.chat import wire as openai

Safety = Sequence[SafetySetting]
"""The configured thresholds."""

MOST_MESSAGES = 10_000
_INT32 = 2**31
_MOST_STOPS = 5
_PENALTY_CEILING = 1.99  # Gemini's range excludes 2 (translation.md A.1)
_JSON = "application/json"
_TIERS = {"default": "standard", "flex": "flex", "priority": "priority", "fast": "priority"}


class TranslationContext(Struct, frozen=True):
    """What a translation depends on besides the body."""

    model: str
    abilities: Capabilities
    safety: Safety = ()
    mode: Compat = "lenient"
    search: bool = False
    """The model's name asked for Google Search (`:search`)."""
    show_thoughts: bool = False
    """Ask for thought summaries even when the client did not."""
    keyring: SignatureKeys = SignatureKeys("")
    stored: Stored = {}
    media: Media = {}


class Translated(Struct, frozen=True):
    """A Gemini request, the names of the fields it does not honour, and what its answer must be turned back into."""

    request: GenerateContentRequest
    notes: list[str]
    rules: CallRules
    audio_format: str | None = None


def to_gemini(body: openai.ChatRequest, terms: TranslationContext) -> Translated:
    """The Gemini request that means the same. Raises BadRequest naming the field that cannot be."""
    if len(body.messages) > MOST_MESSAGES:
        raise BadRequest(f"at most {MOST_MESSAGES} messages, got {len(body.messages)}", param="messages")
    return _Translation(body, terms).done()


class _Translation:
    """One body's way: parts that depend on each other meet here."""

    def __init__(self, body: openai.ChatRequest, terms: TranslationContext) -> None:
        self._body = body
        self._terms = terms
        self._abilities = terms.abilities
        self._notes: list[str] = []
        self._channel = vendor.channel(body)
        self._notes += self._channel.unknown
        if self._channel.unknown and terms.mode == "strict":
            raise UnsupportedParameter("nobody knows this field", param=self._channel.unknown[0])

    def done(self) -> Translated:
        body, terms = self._body, self._terms
        tooling = tools.tooling(body, self._abilities, search=terms.search)
        sent = {own: name for name, own in tooling.rules.names.items()}
        talk = conversation(
            body.messages,
            Context(self._abilities, terms.keyring, terms.stored, terms.media, sent, terms.mode == "strict"),
        )
        config = _GenerationConfig(body, terms, self._channel, self._notes).done()
        if talk.resolution and config.media_resolution is None:
            config.media_resolution = talk.resolution
        if tooling.functions or tooling.built_ins or config.response_mime_type is not None:
            self._combine(tooling, config, talk)
        if body.web_search_options is not None:
            self._locate(talk)
        request = GenerateContentRequest(
            self._contents(talk),
            Content(talk.system) if talk.system and self._abilities.system else None,
            self._tools(tooling) if tooling is not tools.NO_TOOLS or self._channel.options.tools else None,
            self._tool_config(tooling)
            if tooling is not tools.NO_TOOLS or self._channel.options.tool_config
            else None,
            _safety(body, terms.safety, self._channel),
            config if config != _NO_CONFIG else None,
        )
        self._top_level(request)
        notes = [*tooling.notes, *talk.notes, *self._notes]
        return Translated(request, notes, tooling.rules, speech.wanted_format(body, self._abilities))

    def _combine(self, tooling: Tooling, config: GenerationConfig, talk: Conversation) -> None:
        """What this model takes together (translation.md A.3.1)."""
        if tooling.built_ins and not self._abilities.search and "google_search" in tooling.built_ins:
            del tooling.built_ins["google_search"]
            self._drop("web_search_options", "this model cannot search")
        if tooling.functions and tooling.built_ins and not self._abilities.builtins_with_functions:
            name = "web_search_options" if self._body.web_search_options is not None else "tools"
            tooling.built_ins.clear()
            self._drop(name, "this model takes no built-in tools beside functions")
        if config.response_mime_type == _JSON:
            self._json_beside(tooling, config, talk)

    def _json_beside(self, tooling: Tooling, config: GenerationConfig, talk: Conversation) -> None:
        """JSON mode beside tools, or on a model without it: the schema is told in words where it must be."""
        forced = tooling.choice is not None and tooling.choice.mode == "ANY"
        if forced:
            json_in_words(config, None)
        elif not self._abilities.json_mode or (
            not self._abilities.json_with_tools and (tooling.functions or tooling.built_ins)
        ):
            self._drop("response_format", "the model has no JSON mode here; the schema is told in words")
            json_in_words(config, talk.system, beside_tools=bool(tooling.functions))
        elif "google_maps" in tooling.built_ins:
            found = {"mimeType": "APPLICATION_JSON", "schema": config.response_json_schema}
            json_in_words(config, None)
            config.response_format = {"text": {k: v for k, v in found.items() if v is not None}}

    def _locate(self, talk: Conversation) -> None:
        """Where the user is, in words: Gemini has coordinates only (translation.md A.8)."""
        options = self._body.web_search_options
        place = options.user_location.approximate if options and options.user_location else None
        if place is None:
            return
        where = ", ".join(name for name in (place.city, place.region, place.country) if name)
        zone = f" ({place.timezone})" if place.timezone else ""
        if where or zone:
            talk.system.append(Part(text=f"The user is located in {where}{zone}."))

    def _contents(self, talk: Conversation) -> list[Content]:
        """The turns; a model without systemInstruction reads it first thing (translation.md B.1)."""
        if not talk.system or self._abilities.system:
            return talk.contents
        if "text" not in self._abilities.output:  # a voice would read it out
            self._notes.append("messages")
            return talk.contents
        return instructed(talk.contents, talk.system)

    def _tools(self, tooling: Tooling) -> list[GeminiTool] | None:
        found = tooling.objects() or []
        for i, given in enumerate(self._channel.options.tools or ()):
            found.append(vendor.message(given, GeminiTool, f"{self._channel.at}.tools[{i}]"))
        return found or None

    def _tool_config(self, tooling: Tooling) -> ToolConfig | None:
        given = self._channel.options.tool_config
        if given is None and not tooling.functions:
            return None
        config = ToolConfig(tooling.choice)
        if tooling.functions and tooling.built_ins:
            config.include_server_side_tool_invocations = True
        if given is not None:
            own = vendor.message(given, ToolConfig, f"{self._channel.at}.tool_config")
            for name in ToolConfig.__struct_fields__:
                if getattr(own, name) is not None:
                    setattr(config, name, getattr(own, name))
        return config if config != _NO_TOOL_CONFIG else None

    def _top_level(self, request: GenerateContentRequest) -> None:
        """The rest of Gemini's body; cached content brings its own instruction and tools (A.3.1)."""
        options = self._channel.options
        if options is vendor.NOTHING and self._body.service_tier is None:
            return
        tier = options.service_tier or _TIERS.get(self._body.service_tier or "")
        request.service_tier = tier if tier != "standard" else None
        request.labels, request.store = options.labels, options.store
        request.cached_content = vendor.cached_content(options, self._channel.at)
        if request.cached_content is not None:
            for field, name in (
                ("system_instruction", "messages"),
                ("tools", "tools"),
                ("tool_config", "tool_choice"),
            ):
                if getattr(request, field) is not None:
                    setattr(request, field, None)
                    self._notes.append(name)

    def _drop(self, name: str, why: str) -> None:
        compat.drop(name, why, self._notes, self._terms.mode)


_NO_TOOL_CONFIG = ToolConfig()
_NO_CONFIG = GenerationConfig()


def json_in_words(config: GenerationConfig, system: list[Part] | None, *, beside_tools: bool = False) -> None:
    """Leave JSON mode; `system` is told to answer in JSON all the same."""
    wanted = config.response_json_schema or config.response_schema
    config.response_mime_type = config.response_json_schema = config.response_schema = None
    if system is None:
        return
    when = "When you answer without calling a tool, answer" if beside_tools else "Answer"
    matching = f" matching this JSON Schema: {msgspec.json.encode(wanted).decode()}" if wanted else ""
    system.append(Part(text=f"{when} only with a JSON value{matching}, without code fences or other text."))


def instructed(contents: list[Content], system: list[Part]) -> list[Content]:
    """The turns with the instruction as the first thing the user says, and a blank line."""
    first, *rest = contents
    words = [*system, Part(text="\n\n")]
    if first.role == "user" and not any(part.function_response for part in first.parts or ()):
        return [Content([*words, *(first.parts or ())], "user"), *rest]
    return [Content(words, "user"), *contents]


def _safety(body: openai.ChatRequest, configured: Safety, channel: Channel) -> list[SafetySetting] | None:
    """The configured thresholds, each overridden by the client's own."""
    if not body.safety_settings and not channel.options.safety_settings:
        return list(configured) or None
    wanted = {setting.category: setting.threshold for setting in configured}
    wanted.update((s.category, s.threshold) for s in body.safety_settings or ())
    wanted.update((s.category, s.threshold) for s in channel.options.safety_settings or ())
    return [SafetySetting(category, threshold) for category, threshold in wanted.items()] or None


class _GenerationConfig:
    """generationConfig, field by field."""

    def __init__(
        self, body: openai.ChatRequest, terms: TranslationContext, channel: Channel, notes: list[str]
    ) -> None:
        self._body = body
        self._terms = terms
        self._channel = channel
        self._notes = notes

    def done(self) -> GenerationConfig:
        body, options = self._body, self._channel.options
        config = GenerationConfig(
            temperature=self._temperature(),
            top_p=body.top_p,
            top_k=options.top_k or body.top_k,
            max_output_tokens=self._most_tokens(),
            stop_sequences=_stop_sequences(body.stop),
            seed=_seed(body.seed),
        )
        if config.seed != body.seed:
            self._notes.append("seed")
        self._penalties(config)
        self._logprobs(config)
        if body.response_format is not None:
            _response_format(body.response_format, self._terms.abilities, config)
        self._thinking(config)
        self._media(config)
        if options.generation_config:
            config = self._own(config, options.generation_config)
        return config

    def _temperature(self) -> float | None:
        wanted, most = self._body.temperature, self._terms.abilities.temperature
        if wanted is None or wanted <= most:
            return wanted
        self._notes.append("temperature")
        return most

    def _most_tokens(self) -> int | None:
        wanted, most = (
            self._body.max_completion_tokens or self._body.max_tokens,
            self._terms.abilities.output_tokens,
        )
        if wanted is None or most is None or wanted <= most:
            return wanted
        self._notes.append("max_completion_tokens" if self._body.max_completion_tokens else "max_tokens")
        return most

    def _penalties(self, config: GenerationConfig) -> None:
        body = self._body
        for name, value in (
            ("presence_penalty", body.presence_penalty),
            ("frequency_penalty", body.frequency_penalty),
        ):
            if value and self._terms.abilities.penalties:
                setattr(config, name, min(value, _PENALTY_CEILING))
            elif value:
                self._drop(name, f"{self._terms.model} takes no penalties")

    def _logprobs(self, config: GenerationConfig) -> None:
        body = self._body
        if body.top_logprobs is not None and not body.logprobs:
            raise BadRequest("top_logprobs needs `logprobs: true`", param="top_logprobs")
        if not body.logprobs:
            return
        if not self._terms.abilities.logprobs:
            self._drop("logprobs", f"{self._terms.model} gives no log-probabilities")
            return
        config.response_logprobs = True
        config.logprobs = body.top_logprobs or None  # some models refuse 0 (translation.md A.1)

    def _thinking(self, config: GenerationConfig) -> None:
        body = self._body
        said = body.reasoning_effort or body.reasoning or body.thinking or self._terms.show_thoughts
        if not said and self._channel.options is vendor.NOTHING:
            return
        own = vendor.thinking(self._channel.options, self._channel.at)
        wish = thinking.ReasoningRequest(body)
        if own is not None:
            config.thinking_config = own
            return
        abilities = self._terms.abilities
        config.thinking_config = thinking.thinking_config(wish, abilities, config.max_output_tokens)
        if config.thinking_config is not None and thinking.clamped(wish, config.thinking_config):
            self._notes.append(wish.field)
        if wish.asked and abilities.thinking == "none" and wish.effort != "none":
            self._drop(wish.field, f"{self._terms.model} does not think")
        if not wish.asked and self._terms.show_thoughts and abilities.thinking != "none":
            config.thinking_config = ThinkingConfig(include_thoughts=True)

    def _media(self, config: GenerationConfig) -> None:
        options = self._channel.options
        speech.ask(self._body, self._terms.abilities, config)
        if options is vendor.NOTHING:
            return
        config.media_resolution = vendor.media_resolution(options, self._channel.at)
        config.image_config = vendor.image_config(options)
        if options.speech_config is not None:
            config.speech_config = vendor.spelt(options.speech_config)
        if options.response_modalities:
            config.response_modalities = [name.upper() for name in options.response_modalities]

    def _own(self, config: GenerationConfig, given: dict[str, Any]) -> GenerationConfig:
        """The client's native generationConfig laid over ours, last."""
        own = vendor.message(given, GenerationConfig, f"{self._channel.at}.generation_config")
        said = {name: value for name, value in structs.asdict(own).items() if value is not None}
        return structs.replace(config, **said)

    def _drop(self, name: str, why: str) -> None:
        compat.drop(name, why, self._notes, self._terms.mode)


def _response_format(
    wanted: openai.ResponseFormat, abilities: Capabilities, config: GenerationConfig
) -> None:
    """Text, any JSON, or JSON of a schema (translation.md A.3)."""
    if wanted.type == "text":
        return
    if wanted.type not in ("json_object", "json_schema"):
        raise BadRequest(
            f"unknown format {wanted.type[:40]!r}; known: text, json_object, json_schema",
            param="response_format.type",
        )
    config.response_mime_type = _JSON
    if wanted.type == "json_object":
        return
    described = wanted.json_schema
    if described is None:
        raise BadRequest(
            "`json_schema` is required",
            param="response_format.json_schema",
            code="missing_required_parameter",
        )
    if described.schema:
        at = "response_format.json_schema.schema"
        try:
            cleaned = schema.sanitize(described.schema, ordered=abilities.ordered)
        except BadRequest as error:
            raise BadRequest(error.message, param=at) from None
        if described.description and "description" not in cleaned:
            cleaned["description"] = described.description
        config.response_json_schema = cleaned


def _stop_sequences(stop: str | list[str] | None) -> list[str] | None:
    """Gemini takes five; empty ones mean nothing (translation.md A.1)."""
    wanted = [text for text in ([stop] if isinstance(stop, str) else stop or []) if text]
    if len(wanted) > _MOST_STOPS:
        raise BadRequest(f"at most {_MOST_STOPS} stop sequences, got {len(wanted)}", param="stop")
    return wanted or None


def _seed(seed: int | None) -> int | None:
    """Gemini's seed is an int32: larger ones are folded, always the same way."""
    return seed if seed is None or -_INT32 <= seed < _INT32 else seed % _INT32
