"""Upper bounds of a call's cost.

Budgets reserve them before the call, and charge them where Google does not say what the call has cost.
"""

from collections.abc import Collection, Iterable, Iterator

from msgspec import Struct

from gateway.gemini.call import GeminiCall
from gateway.gemini.usage import TokenCounts
from gateway.gemini.wire import Blob, FileData, GenerateContentRequest, GenerationConfig, encode_json
from gateway.policy.ledger import MOST_COUNT
from gateway.policy.models.pricing import Tier

_BYTES_PER_TOKEN = 4
_MOST_PROMPT = 2**21
"""Tokens. No model reads more."""
MOST_OUTPUT = 65_536
"""Tokens that a model may write where the capability table does not say."""
MOST_INPUT = 2**20
"""Tokens of an attachment of any kind: the input limit of Gemini's models (https://ai.google.dev/gemini-api/docs/models)."""
PICTURE_INPUT = 4_608
"""Tokens of a picture in a prompt.

Larger ones are scaled down to 3,072 pixels a side, and each tile of 768 is 258 tokens
(https://ai.google.dev/gemini-api/docs/tokens#multimodal-tokens).
"""
PICTURE_OUTPUT = 2_520
"""Tokens of a picture of an answer, at the largest size (https://ai.google.dev/gemini-api/docs/pricing)."""
_SEARCH_INPUT = 2**16
"""Tokens that the results of Google's search, maps or code execution may add to the prompt."""
MOST_SEARCHES = 16
"""Searches that one call may make. Google documents no limit, and models make a few."""
READERS = frozenset({"urlContext", "fileSearch", "mcpServers"})
"""Built-in tools that read documents of any length."""
SEARCHES = frozenset({"googleSearch", "googleSearchRetrieval", "googleMaps", "codeExecution", "computerUse"})
"""Built-in tools whose results are limited."""


_FEATURES = READERS | SEARCHES
_FEATURE_MODALITIES = {"IMAGE": "image", "AUDIO": "audio", "VIDEO": "video"}
_FEW_BYTES = 64 * 1024
"""Bytes of a call up to which attachments are not looked for."""
_MODALITIES = {"TEXT", "IMAGE", "AUDIO"}
_TIERS = ("", "unspecified", "standard", "flex")
"""Tiers that cost no more than the standard price."""
_NAMED: dict[str, Tier] = {"standard": "standard", "flex": "flex", "priority": "priority"}
"""Tiers by Google's names (https://ai.google.dev/gemini-api/docs/flex-inference, .../priority-inference)."""


class CostEstimate(Struct, frozen=True, gc=False):
    """Estimate of a call's tokens, before the call is made."""

    bytes: int = 0
    """Bytes of the prompt."""
    output: int = 0
    """Most tokens of all candidates, thoughts included."""
    most_input: int | None = None
    """Most tokens of the prompt; one for each byte unless set."""
    heard: int = 0
    """Of `most_input`, those that may be audio."""
    searches: int = 0
    """Most Google searches."""
    calls: int = 1
    """Calls whose sum this is, such as the requests of a batch."""

    @property
    def prompt(self) -> int:
        """Prompt tokens, roughly."""
        tokens = -(-self.bytes // _BYTES_PER_TOKEN)
        return tokens if tokens < _MOST_PROMPT else _MOST_PROMPT

    @property
    def most(self) -> TokenCounts:
        """Most tokens, for a budget. A digit is a token of its own, and no byte is more than one.

        No count is larger than MOST_COUNT, whatever limits a client has asked for.
        """
        prompt = self.bytes if self.most_input is None else self.most_input
        if prompt > _MOST_PROMPT:
            prompt = min(prompt, _MOST_PROMPT * self.calls)
        output = self.output if self.output < MOST_COUNT else MOST_COUNT
        if not (self.heard or self.searches):
            return TokenCounts(prompt=prompt, completion=output)
        heard = min(prompt, self.heard)
        return TokenCounts(prompt=prompt, completion=output, prompt_audio=heard, searches=self.searches)


UNKNOWN_COST = CostEstimate()
"""Of calls that cost nothing, and where nothing depends on the cost."""


class ModelOutput(Struct, frozen=True, gc=False):
    """The longest answer of a model."""

    tokens: int = MOST_OUTPUT
    """Of one candidate."""
    media: int = 0
    """Tokens of a picture or video that the model makes without being asked for it; no limit of the call ends it."""

    def most(self, limit: int, modalities: Collection[object]) -> int:
        """Return the most tokens of a candidate, within the call's own limit and `responseModalities`.

        Google also takes the number of an enum's name (https://protobuf.dev/programming-guides/json/): what is not
        understood may be anything.
        """
        asked = {name.upper() if isinstance(name, str) else "" for name in modalities}
        if not asked:
            return max(limit, self.media)
        if asked <= {"TEXT", "AUDIO"}:
            return limit
        return max(limit, PICTURE_OUTPUT, 0 if asked <= _MODALITIES else self.tokens)


def tier(service_tier: object) -> Tier | None:
    """Return the tier of service that a name stands for; None for one that is not understood, and for none."""
    name = service_tier.lower().removeprefix("service_tier_") if isinstance(service_tier, str) else ""
    return _NAMED.get(name)


def price_factor(service_tier: object) -> int:
    """Return how many times the standard price a service tier costs at most.

    `priority` costs 75 to 100 % more (https://ai.google.dev/gemini-api/docs/priority-inference), and so may a tier that
    is not understood: Google also takes the number of an enum's name (https://protobuf.dev/programming-guides/json/).
    """
    if service_tier is None:
        return 1
    known = isinstance(service_tier, str) and service_tier.lower().removeprefix("service_tier_") in _TIERS
    return 1 if known else 2


def feature_name(tools: Iterable[str], modalities: Iterable[str]) -> str:
    """Return the name of what a call uses that has a quota of its own: built-in tools, pictures and sound."""
    names = {name for name in tools if name in _FEATURES}
    return "+".join(
        sorted(names | {_FEATURE_MODALITIES[name] for name in modalities if name in _FEATURE_MODALITIES})
    )


def feature(request: GenerateContentRequest) -> str:
    """Return the name of what a request uses that has a quota of its own, "" for nothing."""
    config = request.generation_config
    modalities = (config.response_modalities if config is not None else None) or ()
    if not (request.tools or modalities):
        return ""
    return feature_name((name for tool in request.tools or () for name in _tools(tool)), modalities)


def prompt_tokens(call: GeminiCall) -> int:
    """Return the tokens of a call's text, roughly. Attachments are left out: their bytes say little."""
    size = len(call.encoded or call.encode())
    if size <= _FEW_BYTES:
        return size // _BYTES_PER_TOKEN
    size -= sum(
        encoded
        for data, encoded in _attachments(call.request)
        if isinstance(data, Blob) and attachment(data.mime_type or "")
    )
    return min(_MOST_PROMPT, size // _BYTES_PER_TOKEN)


def attachment(mime_type: str) -> int:
    """Return the most tokens of an attachment by its MIME type; 0 for text, whose bytes are counted."""
    if mime_type.startswith("image/"):
        return PICTURE_INPUT
    return 0 if mime_type.startswith("text/") else MOST_INPUT


def tool_input(name: str) -> int:
    """Return the most tokens that a built-in tool adds to the prompt, by its name in camelCase."""
    return MOST_INPUT if name in READERS else _SEARCH_INPUT if name in SEARCHES else 0


def call_cost(
    call: GeminiCall, prompt_bytes: int, model: ModelOutput, config_bytes: int | None = None
) -> CostEstimate:
    """Return the most that a call costs.

    A limit of the call's own counts; pictures may be longer than that limit. A thinking budget counts beside it.
    `config_bytes` are those of the configuration, if they are known.
    """
    request = call.request
    config = request.generation_config
    if config is None:
        output = model.tokens if model.tokens > model.media else model.media
        inputs = prompt_bytes
    else:
        output = _most_output(config, model)
        # a schema of the answer counts as input, and so may all of the configuration
        inputs = prompt_bytes + (config_bytes if config_bytes is not None else len(encode_json(config)))
    heard = searches = 0
    if request.cached_content:
        inputs, heard = inputs + MOST_INPUT, MOST_INPUT
    if request.tools:
        tools = [name for tool in request.tools for name in _tools(tool)]
        inputs += sum(map(tool_input, tools))
        searches = MOST_SEARCHES if any(name in SEARCHES for name in tools) else 0
    if b'Data":{' in (
        call.encoded or call.encode()
    ):  # `inlineData` or `fileData`: inside a text, quotes are escaped
        for data, size in _attachments(request):
            tokens = attachment(data.mime_type or "") if isinstance(data, Blob) else MOST_INPUT
            inputs += tokens - (size if tokens else 0)
            heard += tokens if tokens != PICTURE_INPUT else 0
    return CostEstimate(prompt_bytes, output, inputs, heard, searches)


def _most_output(config: GenerationConfig, model: ModelOutput) -> int:
    """Return the most tokens of all candidates."""
    asked, candidates, modalities = (
        config.max_output_tokens,
        config.candidate_count,
        config.response_modalities,
    )
    limit = asked if asked is not None and asked > 0 else model.tokens
    output = limit if limit > model.media else model.media
    if modalities:
        output = model.most(limit, modalities)
    if config.thinking_config is not None:
        output += max(0, config.thinking_config.thinking_budget or 0)
    return output * candidates if candidates is not None and candidates > 1 else output


def _tools(tool: Struct) -> Iterator[str]:
    """Yield the names of the built-in tools that are set."""
    for field, name in zip(tool.__struct_fields__, tool.__struct_encode_fields__, strict=True):
        if getattr(tool, field) is not None:
            yield name


def _attachments(request: GenerateContentRequest) -> Iterator[tuple[Blob | FileData, int]]:
    """Yield each attachment with the bytes of base64 that are in the request."""
    for content in request.contents:
        for part in content.parts or ():
            if part.inline_data is not None:
                yield part.inline_data, len(part.inline_data.data)
            elif part.file_data is not None:
                yield part.file_data, 0
            elif part.function_response is not None:
                for inner in part.function_response.parts or ():
                    if inner.inline_data is not None:
                        yield inner.inline_data, len(inner.inline_data.data)
                    elif inner.file_data is not None:
                        yield inner.file_data, 0
