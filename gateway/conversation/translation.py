"""From a recorded conversation to the Gemini request for one model. Pure, and repeatable for another model."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct, structs

from gateway.conversation import history
from gateway.conversation.builder import NO_MODALITIES, NO_REASONING, ConversationBuilder
from gateway.conversation.declarations import KNOWN
from gateway.conversation.generation import (
    JSON,
    MOST_STOPS,
    NAMES,
    SamplingLimits,
    format_fields,
    other_stops,
    sampling_fields,
    without_sampling,
)
from gateway.conversation.google_options import NOTHING
from gateway.conversation.history import History, HistoryContext
from gateway.conversation.invalid import too_long
from gateway.conversation.modalities import audio_format, modality_fields
from gateway.conversation.notes import Notes
from gateway.conversation.origins import FieldOrigins
from gateway.conversation.parts import Media
from gateway.conversation.plain import PlainConversation, gemini_request
from gateway.conversation.reasoning import thinking_config
from gateway.conversation.replay import NO_SERVER_TOOLS, ServerTools
from gateway.conversation.tools import NO_TOOLING, Tooling
from gateway.gemini.call import Origins
from gateway.gemini.call_names import CallRules
from gateway.gemini.capabilities import Capabilities
from gateway.gemini.rewrites import instructed, json_instruction, maps_json_format, without_json_mode
from gateway.gemini.schemas.schema_references import MOST_INLINED, InlineBudget
from gateway.gemini.thought_signatures import SignatureKeys, StoredSignatures
from gateway.gemini.wire import (
    Content,
    FunctionCallingConfig,
    GenerateContentRequest,
    GenerationConfig,
    Part,
    SafetySetting,
    ThinkingConfig,
    Tool,
    ToolConfig,
)

MOST_TURNS = 10_000
_TIERS = {"default": "standard", "flex": "flex", "priority": "priority", "fast": "priority"}
_TEXT_ONLY = ("text",)
_NO_TOOL_CONFIG = ToolConfig()
_NO_CONFIG = GenerationConfig()


class TranslationContext(Struct, frozen=True):
    """Everything besides the conversation that a translation depends on."""

    model: str
    capabilities: Capabilities
    safety: Sequence[SafetySetting] = ()
    """The configured thresholds; the client's own override them."""
    search: bool = False
    """The model's name asked for Google Search (`:search`)."""
    show_thoughts: bool = False
    """Ask for thought summaries even when the client did not."""
    keys: SignatureKeys = SignatureKeys("")
    stored: StoredSignatures = {}
    media: Media = {}


class Translation(Struct, frozen=True):
    """A Gemini request, the client's fields that it does not honour, and how to turn its answer back."""

    request: GenerateContentRequest
    notes: list[str]
    rules: CallRules
    audio_format: str | None
    origins: Origins


def translate(
    conversation: ConversationBuilder | PlainConversation,
    context: TranslationContext,
    most_inlined: int = MOST_INLINED,
) -> Translation:
    """Return the Gemini request that means the same. Raises BadRequest with the client's path of what cannot be.

    Raises SchemaTooLarge when the references of the schemas bring more than `most_inlined` values.
    """
    if isinstance(conversation, PlainConversation):
        if not (context.search or context.show_thoughts):
            declared = KNOWN.of(conversation.declarations, context.capabilities)
            if declared is None:
                return _learned(conversation, context, most_inlined)
            request = gemini_request(conversation, context.capabilities, context.safety, declared)
            if request is not None:
                origins = PlainOrigins(conversation, context.model, context.capabilities, context.safety)
                return Translation(request, [], declared.rules, None, origins)
        conversation = conversation.recorded()
    if len(conversation.items) > MOST_TURNS:
        raise too_long(conversation.root, MOST_TURNS, len(conversation.items))
    return _Translator(conversation, context, InlineBudget(most_inlined)).translate()


def _learned(conversation: PlainConversation, context: TranslationContext, most_inlined: int) -> Translation:
    """Translate by the long way, and keep what became of the declarations for the next request."""
    translation = translate(conversation.recorded(), context, most_inlined)
    if not translation.notes:
        KNOWN.learn(
            conversation, context.capabilities, context.safety, translation.request, translation.rules
        )
    return translation


class PlainOrigins(Struct, eq=False):
    """Origins of a plain conversation, by the long way. Few requests need them: only refusals name fields."""

    conversation: PlainConversation
    model: str
    capabilities: Capabilities
    safety: Sequence[SafetySetting]
    _origins: Origins | None = None

    def of(self, names: Iterable[str]) -> list[str]:
        """Return the client's paths of some of Gemini's fields, each once."""
        return self._long_way().of(names) if names else []

    def path(self, google_path: str | None) -> str | None:
        """Return the client's path for a path that Google names."""
        return self._long_way().path(google_path) if google_path is not None else None

    def _long_way(self) -> Origins:
        if self._origins is None:
            context = TranslationContext(self.model, self.capabilities, self.safety)
            self._origins = translate(self.conversation.recorded(), context).origins
        return self._origins


class _Translator:
    """The translation of one conversation for one model: parts that depend on each other meet here."""

    def __init__(
        self, conversation: ConversationBuilder, context: TranslationContext, budget: InlineBudget
    ) -> None:
        self._conversation = conversation
        self._budget = budget
        self._context = context
        self._capabilities = context.capabilities
        self._notes = Notes(strict=conversation.notes.strict, noted=conversation.notes)
        self._google = conversation.google

    def translate(self) -> Translation:
        conversation, context = self._conversation, self._context
        tooling = self._tooling()
        declared = conversation.declared
        turns = history.write(
            conversation.items,
            HistoryContext(
                self._capabilities,
                context.keys,
                context.stored,
                context.media,
                declared.names if declared is not None else {},
                bool(conversation.calls) or conversation.has_results,
                bool(conversation.attachments),
                self._server_tools(tooling) if tooling.built_ins else NO_SERVER_TOOLS,
            ),
            self._notes,
        )
        config = self._generation_config(turns)
        if tooling.functions or tooling.built_ins or config.response_mime_type is not None:
            config = self._combine(tooling, config, turns)
        if conversation.location is not None:
            turns.system.append(Part(text=conversation.location[0]))
        if conversation.hints:
            turns.system += [Part(text=words) for words in conversation.hints]
        request = GenerateContentRequest(
            self._contents(turns),
            Content(turns.system) if turns.system and self._capabilities.system else None,
            None if tooling is NO_TOOLING and self._google is NOTHING else self._tools(tooling) or None,
            None if tooling is NO_TOOLING and self._google is NOTHING else self._tool_config(tooling),
            self._safety(),
            config if config != _NO_CONFIG else None,
        )
        if self._google is not NOTHING or conversation.service_tier is not None:
            request = self._with_top_level(request)
        return Translation(
            request,
            self._notes.distinct(),
            self._rules(tooling),
            audio_format(conversation.modalities, self._capabilities)
            if self._capabilities.output != _TEXT_ONLY
            else None,
            FieldOrigins(conversation, turns.paths, tooling.schema_paths),
        )

    def _rules(self, tooling: Tooling) -> CallRules:
        """Return the rules for the answer, with the stop sequences that Gemini is not sent."""
        sampling, names = self._conversation.sampling, self._conversation.names
        if len(sampling.stop_sequences) <= MOST_STOPS:
            return tooling.rules
        at = names.get("stop_sequences") or NAMES["stop_sequences"]
        return structs.replace(tooling.rules, stops=other_stops(sampling, at))

    def _tooling(self) -> Tooling:
        box = self._conversation.declared
        if box:
            tooling = box.tooling(self._capabilities, self._notes, self._budget)
        elif self._context.search:
            tooling = Tooling()
        else:
            return NO_TOOLING
        if self._context.search:
            tooling.built_ins["google_search"] = {}
        return tooling

    def _server_tools(self, tooling: Tooling) -> ServerTools:
        """Return which parts of Google's own tools the history may hold: those of tools that stay declared."""
        together = self._capabilities.builtins_with_functions
        if tooling.functions and not together:
            return NO_SERVER_TOOLS
        return ServerTools(bool(tooling.functions) and together, "code_execution" in tooling.built_ins)

    def _combine(self, tooling: Tooling, config: GenerationConfig, turns: History) -> GenerationConfig:
        """Return the settings after what the model does not take together, or not at all, is left out of `tooling`.

        JSON that has no mode here is asked for in an instruction, which is added to `turns`.
        """
        declared = self._conversation.declared
        at = (declared.built_ins_at if declared is not None else "") or "model"
        if "google_search" in tooling.built_ins and not self._capabilities.search:
            del tooling.built_ins["google_search"]
            self._notes.drop(at, f"{self._context.model} cannot search.")
        if tooling.functions and tooling.built_ins and not self._capabilities.builtins_with_functions:
            tooling.built_ins.clear()
            self._notes.drop(at, f"{self._context.model} takes no built-in tools beside functions.")
        return self._json_beside(tooling, config, turns) if config.response_mime_type == JSON else config

    def _json_beside(self, tooling: Tooling, config: GenerationConfig, turns: History) -> GenerationConfig:
        """Ask for JSON in words where the model has no JSON mode, or none beside tools."""
        if tooling.choice is not None and tooling.choice.mode == "ANY":
            return without_json_mode(config)  # the answer is a call, whose arguments are JSON
        tools = bool(tooling.functions or tooling.built_ins)
        if not self._capabilities.json_mode or (tools and not self._capabilities.json_with_tools):
            wanted = self._conversation.output_format
            at = wanted.at if wanted is not None else self._google.at("generation_config")
            self._notes.drop(
                at,
                f"{self._context.model} has no JSON mode here; the instruction asks for the schema in words.",
            )
            turns.system.append(json_instruction(config, beside_tools=bool(tooling.functions)))
            return without_json_mode(config)
        return maps_json_format(config) if "google_maps" in tooling.built_ins else config

    def _contents(self, turns: History) -> list[Content]:
        """Return the turns. A model without systemInstruction reads the instruction first."""
        if not turns.system or self._capabilities.system:
            return turns.contents
        if "text" not in self._capabilities.output:  # a speech model would read the instruction out
            self._notes.add(self._conversation.instruction_at or self._conversation.root)
            return turns.contents
        return instructed(turns.contents, turns.system)

    def _tools(self, tooling: Tooling) -> list[Tool]:
        return [*tooling.objects(), *self._google.tools()]

    def _tool_config(self, tooling: Tooling) -> ToolConfig | None:
        native = self._google.tool_config()
        if not native and not tooling.functions:
            return None
        mixed = bool(tooling.functions and tooling.built_ins)
        choice = tooling.choice
        if mixed and self._capabilities.validated and (choice is None or choice.mode == "AUTO"):
            # beside built-in tools the mode is VALIDATED (https://github.com/Pretend-to/mio-chat-backend/issues/30)
            choice = FunctionCallingConfig(
                "VALIDATED", choice.allowed_function_names if choice is not None else None
            )
        config = ToolConfig(choice, include_server_side_tool_invocations=True if mixed else None)
        if native:
            config = structs.replace(config, **native)
        return config if config != _NO_TOOL_CONFIG else None

    def _safety(self) -> list[SafetySetting] | None:
        """Return the configured thresholds, each overridden by the client's own."""
        own = [*self._conversation.safety, *(self._google.options.safety_settings or ())]
        if not own:
            return list(self._context.safety) or None
        wanted = {setting.category: setting.threshold for setting in (*self._context.safety, *own)}
        return [SafetySetting(category, threshold) for category, threshold in wanted.items()]

    def _with_top_level(self, request: GenerateContentRequest) -> GenerateContentRequest:
        """Return the request with the rest of Gemini's body.

        Cached content brings its own instruction and tools, and Gemini refuses others beside it.
        """
        options, asked = self._google.options, self._conversation.service_tier
        tier = options.service_tier or _TIERS.get(asked or "")
        changes: dict[str, Any] = {"service_tier": tier} if tier not in (None, "standard") else {}
        if self._google is not NOTHING:
            changes |= {"labels": options.labels, "store": options.store}
            changes["cached_content"] = self._google.cached_content()
        if changes.get("cached_content") is not None:
            where = FieldOrigins(self._conversation, ()).fields
            for field in ("system_instruction", "tools", "tool_config"):
                if getattr(request, field) is not None:
                    changes[field] = None
                    self._notes.add(where.get(field, self._google.at("cached_content")))
        return structs.replace(request, **changes) if changes else request

    def _generation_config(self, turns: History) -> GenerationConfig:
        conversation, capabilities = self._conversation, self._capabilities
        limits = SamplingLimits(self._context.model, capabilities, conversation.names, self._notes)
        fields = sampling_fields(conversation.sampling, limits)
        if conversation.output_format is not None:
            fields |= format_fields(conversation.output_format, capabilities, self._budget, self._notes)
        fields["thinking_config"] = self._thinking(fields["max_output_tokens"])
        if conversation.modalities is not NO_MODALITIES or capabilities.output != _TEXT_ONLY:
            fields |= modality_fields(conversation.modalities, capabilities)
        if self._google is not NOTHING:
            fields["top_k"] = self._google.options.top_k or fields["top_k"]
            fields |= self._google.generation_fields()
        if turns.resolution is not None and fields.get("media_resolution") is None:
            fields["media_resolution"] = turns.resolution
        if self._google is not NOTHING:
            fields |= self._google.native_generation_fields()
        if not capabilities.sampling:
            without_sampling(fields, limits)
        return GenerationConfig(**fields)

    def _thinking(self, most_output: int | None) -> ThinkingConfig | None:
        own = self._google.thinking() if self._google is not NOTHING else None
        if own is not None:
            return own
        wanted, context = self._conversation.reasoning, self._context
        if wanted is NO_REASONING or wanted.is_empty:
            show = context.show_thoughts and self._capabilities.thinking != "none"
            return ThinkingConfig(include_thoughts=True) if show else None
        return thinking_config(wanted, context.model, self._capabilities, most_output, self._notes)
