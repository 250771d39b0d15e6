"""Google's Interactions API: the most that a request can cost, rules of issued keys, and the tokens of an answer.

Interactions are described by the types of google-genai 3.6. Their fields are in snake_case; Google's APIs take
camelCase as well (https://protobuf.dev/programming-guides/json/). What is stored belongs to a whole Google project for
up to 55 days, and an agent's cost has no bound before it runs. An issued key therefore makes plain calls of models,
which are stored only where the operator allows it (`plugins.native.interactions.store`).
"""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from gateway.errors import Forbidden, GatewayError, UpstreamRejected, scrub
from gateway.exchange.calls.cost import (
    MOST_INPUT,
    MOST_SEARCHES,
    PICTURE_INPUT,
    SEARCHES,
    CostEstimate,
    ModelOutput,
    attachment,
    feature_name,
    tool_input,
)
from gateway.gemini.sse import SSEDecoder
from gateway.gemini.usage import NO_USAGE, TokenCounts, is_whole, token_counts
from gateway.gemini.wire import ModalityTokens, UsageMetadata
from gateway.plugins.native.cost import camel, numbers, values
from gateway.policy.file_refs import file, no_file_search
from gateway.policy.models.catalog import MAX_NAME

METHOD = "interactions"
_PERMITTED = frozenset({
    "model", "input", "systemInstruction", "tools", "responseFormat", "responseMimeType", "responseModalities",
    "generationConfig", "stream", "store", "serviceTier", "safetySettings", "labels", "cachedContent",
    "previousInteractionId",
})  # fmt: skip
"""Fields that an issued key may use. `agent`, `environment`, `background` and `webhook_config` are not among them."""
_TOOLS = frozenset(
    {"function", "google_search", "google_maps", "url_context", "code_execution", "computer_use"}
)
"""Tools whose uses are billed one by one."""
_FREE_FORM = ("arguments", "parameters")
"""Arguments and schema of a function: their fields have no meaning for Google."""
_DONE = b"[DONE]"


class InteractionsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Rights of issued keys."""

    store: Annotated[
        bool,
        Meta(
            description="Let Google store interactions of issued keys, in the project of the pool that answers: for 55"
            " days, on free projects for one. Each key names its own only, for 30 days."
        ),
    ] = False


class _Named(Struct):
    model: str = ""
    agent: str = ""


_decode_named = msgspec.json.Decoder(_Named).decode


def answering(body: object) -> str:
    """Return the model or the agent that a body names, "" for none and for what cannot be a name."""
    if not isinstance(body, bytes):
        return ""
    try:
        named = _decode_named(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    name = (named.model or named.agent).removeprefix("models/")
    return name if len(name) <= MAX_NAME and scrub(name) == name else ""


def previous(fields: dict[str, Any]) -> list[str]:
    """Return the ids of the interactions that one continues, at most one in each spelling."""
    return [str(before) for before in values(fields, "previousInteractionId") if before]


def plain(fields: dict[str, Any], *, stores: bool = False) -> tuple[dict[str, Any], list[str]]:
    """Return the fields that an issued key's request is sent with, and those that are not honoured.

    Unless `stores`, the interaction is not stored. Google stores it by default.

    Raises Forbidden for what belongs to a whole Google project, or costs what nobody knows before.
    """
    sent: dict[str, Any] = {}
    asked = True
    for name, value in fields.items():
        if camel(name) not in _PERMITTED:
            raise _refused(f"The field `{name[:40]}`")
        if camel(name) == "store":
            asked = asked and value is not False
            continue
        sent[name] = value
    for tool in (tool for listed in values(fields, "tools") for tool in _list(listed)):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind == "file_search":
            raise no_file_search()
        if kind not in _TOOLS:
            raise _refused(f"The tool `{str(kind)[:40]}`")
    sent["store"] = stores and asked
    return sent, ["store"] if asked and not stores else []


def files(fields: dict[str, Any]) -> dict[str, str]:
    """Return the names of the files that contents refer to, each with the path of a field."""
    names = {}
    for content in _contents(fields):
        uri = content.get("uri")
        if isinstance(uri, str) and (name := file(uri)):
            names[name] = "input.uri"
    return names


def interaction_cost(fields: dict[str, Any], size: int, model: ModelOutput) -> CostEstimate:
    """Return the most that an interaction costs. `size` is the body's in bytes."""
    encoded = pictures = heard = 0
    for content in _contents(fields):
        data = content.get("data")
        if not isinstance(data, str) and not isinstance(content.get("uri"), str):
            continue
        kind = str(content.get("mime_type") or content.get("mimeType") or f"{content.get('type')}/")
        tokens = attachment(kind) if isinstance(data, str) else max(attachment(kind), PICTURE_INPUT)
        encoded += len(data) if isinstance(data, str) and tokens else 0
        pictures += tokens if tokens == PICTURE_INPUT else 0
        heard += tokens if tokens != PICTURE_INPUT else 0
    heard += MOST_INPUT if next(values(fields, "cachedContent"), None) else 0
    heard += MOST_INPUT if previous(fields) else 0
    tools = _tools(fields)
    inputs = size - encoded + pictures + heard + sum(map(tool_input, tools))
    searches = MOST_SEARCHES if any(name in SEARCHES for name in tools) else 0
    return CostEstimate(size - encoded, _output(fields, model), inputs, heard, searches)


def feature(fields: dict[str, Any]) -> str:
    """Return the name of what an interaction uses that has a quota of its own, "" for nothing."""
    return feature_name(_tools(fields), [str(name).upper() for name in _modalities(fields)])


def _tools(fields: dict[str, Any]) -> list[str]:
    """Return the tools by their names in camelCase."""
    listed = [tool for tools in values(fields, "tools") for tool in _list(tools)]
    return [camel(str(tool.get("type"))) for tool in listed if isinstance(tool, dict)]


def _modalities(fields: dict[str, Any]) -> list[Any]:
    modalities = [name for listed in values(fields, "responseModalities") for name in _list(listed)]
    formats = [form for listed in values(fields, "responseFormat") for form in _list(listed)]
    return modalities + [form.get("type") for form in formats if isinstance(form, dict) and "type" in form]


def _output(fields: dict[str, Any], model: ModelOutput) -> int:
    configs = [config for config in values(fields, "generationConfig") if isinstance(config, dict)] or [{}]
    limits = [n or model.tokens for c in configs for n in numbers(c, "maxOutputTokens", model.tokens)]
    return model.most(max(limits, default=model.tokens), _modalities(fields))


def _contents(fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each object below `input` that has a type."""
    waiting: list[Any] = [*values(fields, "input")]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += [item for item in value if isinstance(item, dict | list)]
        elif isinstance(value, dict):
            if isinstance(value.get("type"), str):
                yield value
            inside = (v for k, v in value.items() if k not in _FREE_FORM)
            waiting += [v for v in inside if isinstance(v, dict | list)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _refused(what: str) -> Forbidden:
    return Forbidden(
        f"{what} of an interaction needs a Gemini API key of your own: it belongs to a whole Google project, or its"
        " cost is not known before.",
        code="not_for_issued_keys",
    )


class _Modality(Struct, frozen=True):
    modality: str | int = ""
    tokens: int = 0


class _Tool(Struct, frozen=True):
    type: str | int = ""
    count: int = 0


class Usage(Struct, frozen=True):
    """`usage` of an interaction."""

    total_input_tokens: int | None = None
    total_cached_tokens: int | None = None
    total_output_tokens: int | None = None
    total_thought_tokens: int | None = None
    total_tool_use_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_by_modality: list[_Modality] | None = None
    output_tokens_by_modality: list[_Modality] | None = None
    cached_tokens_by_modality: list[_Modality] | None = None
    grounding_tool_count: list[_Tool] | None = None

    @property
    def searches(self) -> int:
        """Uses of Google's search."""
        return self._uses("google_search")

    @property
    def maps(self) -> int:
        """Uses of Google Maps."""
        return self._uses("google_maps")

    def _uses(self, name: str) -> int:
        return sum(max(0, tool.count) for tool in self.grounding_tool_count or () if tool.type == name)

    def whole(self) -> UsageMetadata:
        """Return the same counts under the names of generateContent."""
        return UsageMetadata(
            prompt_token_count=self.total_input_tokens,
            candidates_token_count=self.total_output_tokens,
            thoughts_token_count=self.total_thought_tokens,
            tool_use_prompt_token_count=self.total_tool_use_tokens,
            cached_content_token_count=self.total_cached_tokens,
            total_token_count=self.total_tokens,
            prompt_tokens_details=_details(self.input_tokens_by_modality),
            candidates_tokens_details=_details(self.output_tokens_by_modality),
            cache_tokens_details=_details(self.cached_tokens_by_modality),
        )


class Interaction(Struct, frozen=True):
    """An interaction, as far as it is read."""

    id: str | None = None
    usage: Usage | None = None
    model: str | None = None
    service_tier: str | int | None = None


class _Message(Interaction, frozen=True):
    """An interaction, or an event of its stream."""

    event_type: str = ""
    interaction: Interaction | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Message).decode


class InteractionReader:
    """Reader of the token counts of an interaction that passes through, JSON or events.

    Only the last event of a stream, `interaction.completed`, has the counts of the whole.
    """

    def __init__(self) -> None:
        self._decoder: SSEDecoder | None = SSEDecoder()
        self._usage = NO_USAGE
        self._searches = self._maps = 0
        self._begun = False
        self._ended = False
        self.id = ""
        """Of the interaction, as soon as it is read."""
        self.version: str | None = None
        """The model that answers."""
        self.tier: str | int | None = None
        """The tier of service that Google names."""
        self.failure: GatewayError | None = None
        """The error that Google has sent inside the answer."""

    def feed(self, data: bytes) -> None:
        """Read a piece of the answer."""
        if self._decoder is not None:
            try:
                self._read(self._decoder.feed(data))
            except GatewayError:  # larger than any answer of text
                self._decoder = None

    def close(self) -> TokenCounts:
        """Return the tokens and searches of an answer that was read to its end."""
        if self._decoder is not None:
            self._read(self._decoder.close())
        return self.counts

    @property
    def counts(self) -> TokenCounts:
        """Tokens and searches that were read."""
        return token_counts(self._usage, self._searches, self._maps)

    @property
    def is_counted(self) -> bool:
        """Whether `counts` are those of the whole interaction."""
        return self._ended and is_whole(self._usage)

    @property
    def is_unfinished(self) -> bool:
        """Whether a stream has begun without its last event: it is incomplete, however it ended."""
        return self._begun and not self._ended and self.failure is None

    def _read(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            if payload.strip() == _DONE:
                continue
            try:
                message = _decode(payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            self._begun = self._begun or bool(message.event_type)
            if message.event_type == "error" or (message.error is not None and not message.event_type):
                self.failure = self.failure or UpstreamRejected("The interaction has failed.")
            self._ended = self._ended or message.event_type in ("", "interaction.completed")
            for part in (message, message.interaction):
                if part is not None:
                    self._count(part)

    def _count(self, part: Interaction) -> None:
        self.id = part.id or self.id
        self.version, self.tier = part.model or self.version, part.service_tier or self.tier
        usage = part.usage
        if usage is None:
            return
        self._searches, self._maps, self._usage = usage.searches, usage.maps, usage.whole()


def _details(listed: list[_Modality] | None) -> list[ModalityTokens] | None:
    if listed is None:
        return None
    return [ModalityTokens(str(entry.modality).upper(), entry.tokens) for entry in listed]
