"""Batches of issued keys: the requests that are allowed, the most that they can cost, and their real cost.

A batch is in the project of the key that created it, and only the client that created it finds it by its name. Its row
in the ledger stays open, with the most that it costs reserved, until the client reads it when it has ended.
https://ai.google.dev/api/batch-api
"""

from collections.abc import Callable, Iterator
from time import time
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs

from gateway.errors import Forbidden
from gateway.exchange.calls.accounting import CallAccounting, LedgerWriter
from gateway.exchange.calls.cost import CostEstimate, ModelOutput
from gateway.gemini.grounding import tool_uses
from gateway.gemini.usage import NO_USAGE, TokenCounts, token_counts
from gateway.gemini.wire import GenerateContentResponse, decode_response, encode_json
from gateway.plugins.native import cost
from gateway.plugins.native.request import check_named
from gateway.plugins.native.response import UsageReader
from gateway.policy.clients.access import Client
from gateway.policy.file_refs import no_file_search
from gateway.policy.ledger import Intent, Settlement

_METHODS = {"batchGenerateContent": "generateContent", "asyncBatchEmbedContent": "embedContent"}
"""The method that a single request would call."""


def checked_requests(body: dict[str, Any], model: str) -> list[dict[str, Any]]:
    """Return the requests of a batch. Items that are no objects are left out, for Google to refuse.

    Raises BadRequest for another model than the path's, Forbidden for what an issued key may not use.
    """
    batches = list(_objects(body, "batch"))
    configs = [config for batch in batches for config in _objects(batch, "inputConfig")]
    for config in configs:
        if any(name is not None for name in cost.values(config, "fileName")):
            raise Forbidden(
                "`batch.inputConfig.fileName`: the lines of an uploaded file cannot be checked for an API key of this "
                "gateway. Send the requests inlined in `batch.inputConfig.requests`, up to 20 MB, or as a batch of "
                "OpenAI's or Anthropic's API.",
                param="batch.inputConfig.fileName",
                code="not_for_issued_keys",
            )
    if any(config is not None for batch in batches for config in cost.values(batch, "webhookConfig")):
        raise Forbidden(
            "`batch.webhookConfig`: webhooks need a Gemini API key of your own. Leave the field out, and read the "
            "batch by its name.",
            param="batch.webhookConfig",
            code="not_for_issued_keys",
        )
    requests = [
        request
        for config in configs
        for inlined in _objects(config, "requests")
        for entries in cost.values(inlined, "requests")
        for entry in (entries if isinstance(entries, list) else ())
        for request in _objects(entry, "request")
    ]
    check_named([*batches, *requests], model)
    for request in requests:
        if "fileSearch" in cost.tools(request):
            raise no_file_search()
    return requests


def batch_cost(method: str, requests: list[dict[str, Any]], model: ModelOutput) -> CostEstimate:
    """Return the most that a batch costs at the standard price.

    Its tokens count against no limit of tokens per minute: Google has a quota of its own for batches
    (https://ai.google.dev/gemini-api/docs/rate-limits#batch-api), and a batch takes up to a day.
    """
    inputs = outputs = heard = searches = 0
    for request in requests:
        estimate = cost.call_cost(_METHODS[method], request, len(encode_json(request)), model)
        most = estimate.most
        inputs += most.prompt
        outputs += most.completion
        heard += most.prompt_audio
        searches += most.searches
    return CostEstimate(0, outputs, inputs, heard, searches, calls=max(1, len(requests)))


def tier_factor(requests: list[dict[str, Any]]) -> int:
    """Return how many times the price of a batch the service tiers of its requests cost at most."""
    return max((cost.factor(request) for request in requests), default=1)


def _objects(message: Any, name: str) -> Iterator[dict[str, Any]]:
    """Yield the objects in a field, in either spelling."""
    yield from (value for value in cost.values(message, name) if isinstance(value, dict))


class OpenRow(Struct, frozen=True):
    """The row of a batch in the ledger, which is open."""

    id: str
    at: float
    """Unix seconds of its beginning: the price of that time applies."""
    model: str


class BatchLedger:
    """The ledger, as the attempt that creates a batch sees it: where a batch was created, its row stays open."""

    def __init__(self, ledger: LedgerWriter) -> None:
        self._ledger = ledger
        self._row = ""
        self._stays_open = False

    def created(self) -> str:
        """Leave the row open, for a batch that was created. Return it as text, for `open_row`."""
        self._stays_open = True
        return self._row

    async def begin(self, intent: Intent) -> None:
        self._row = f"{intent.id} {intent.at!r} {intent.model}"
        await self._ledger.begin(structs.replace(intent, surface="batch"))

    async def settle(self, settlement: Settlement) -> None:
        if not self._stays_open:
            await self._ledger.settle(settlement)

    def note(self, settlement: Settlement) -> None:
        if not self._stays_open:
            self._ledger.note(settlement)


def open_row(text: str) -> OpenRow | None:
    """Return a row from its text; None for ""."""
    identifier, _, rest = text.partition(" ")
    at, _, model = rest.partition(" ")
    return OpenRow(identifier, float(at), model) if model else None


class BatchReader(UsageReader):
    """Reader of a batch that passes through. It keeps the bytes, as many as `take` finds memory for."""

    def __init__(self, take: Callable[[int], None]) -> None:
        super().__init__("")
        self._take = take
        self._pieces: list[bytes] = []
        self.size = 0
        """Bytes so far."""

    def feed(self, data: bytes) -> None:
        """Keep a piece of the answer. Raises Overloaded."""
        self._take(2 * len(data))
        self.size += len(data)
        self._pieces.append(data)

    def responses(self) -> list[GenerateContentResponse] | None:
        """Return the answers in a batch that has ended; None for one that has not."""
        try:
            batch = _decode_batch(b"".join(self._pieces))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if not batch.done:
            return None
        output = batch.metadata.output if batch.metadata.output.answers else batch.response
        return [_response(entry.response) for entry in output.answers]


async def settle(
    row: OpenRow, responses: list[GenerateContentResponse], client: Client, accounting: CallAccounting
) -> None:
    """Charge what the answers of a batch cost. Failed requests cost nothing."""
    micros, counts, prices = 0, TokenCounts(), accounting.prices
    for response in responses:
        grounding = [candidate.grounding_metadata for candidate in response.candidates or ()]
        spent = token_counts(response.usage_metadata or NO_USAGE, *tool_uses(grounding))
        micros += prices.micros(row.model, spent, row.at, response.model_version or "", "batch")
        counts = _sum(counts, spent)
    accounting.statistics.charged(client.id, row.model, micros)
    if accounting.ledger is not None:
        now, rules = time(), client.rules
        await accounting.ledger.settle(Settlement(
            row.id, now, "ok", 200, counts, micros, prices.version, True, 0, int((now - row.at) * 1000),
            bool(rules.dollars or rules.tokens), client.id,
        ))  # fmt: skip


class _Entry(Struct, frozen=True):
    response: Raw = Raw(b"{}")


class _Inlined(Struct, frozen=True, rename="camel"):
    inlined_responses: list[_Entry] = []


class _Output(Struct, frozen=True, rename="camel"):
    inlined_responses: _Inlined = _Inlined()

    @property
    def answers(self) -> list[_Entry]:
        return self.inlined_responses.inlined_responses


class _Metadata(Struct, frozen=True):
    output: _Output = _Output()


class _Batch(Struct, frozen=True):
    """A batch as Google shows it. Its output is in the metadata, in the response, or in both."""

    done: bool = False
    metadata: _Metadata = _Metadata()
    response: _Output = _Output()


_decode_batch = msgspec.json.Decoder(_Batch).decode


def _response(data: Raw) -> GenerateContentResponse:
    """Return an answer; an empty one if it cannot be read."""
    try:
        return decode_response(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return GenerateContentResponse()


def _sum(first: TokenCounts, second: TokenCounts) -> TokenCounts:
    pairs = zip(structs.astuple(first), structs.astuple(second), strict=True)
    return TokenCounts(*(a + b for a, b in pairs))
