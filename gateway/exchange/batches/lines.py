"""The methods of a plugin that answers lines of a batch."""

from collections.abc import Callable, Sequence
from time import time

import msgspec
from msgspec import Struct

from gateway.conversation.notes import brief, kind
from gateway.exchange.context import RequestContext
from gateway.exchange.exchange import Exchange
from gateway.exchange.incoming.request_body import Body
from gateway.exchange.offload import HEAVY_ANSWER, offload
from gateway.exchange.preparation import PreparedRequest
from gateway.gemini.call import GeminiCall
from gateway.gemini.call_names import CallRules
from gateway.gemini.events import Event
from gateway.gemini.stream_translator import decode
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.usage import TokenCounts, answer_counts
from gateway.policy.clients.kept_batches import Method


class BatchLine(Struct, frozen=True):
    """One line as requests of Gemini: one, or one for each choice."""

    method: Method
    model: str
    requests: Sequence[bytes]
    """JSON of each request, as Google's batch takes it."""
    context: bytes
    """Facts that `batch_answer` needs."""
    most: Sequence[TokenCounts]
    """The most tokens of each request."""
    project: str = ""
    """The only project that may be asked; "" for any."""


class BatchAnswer(Struct, frozen=True):
    """The answer to one line, in the surface's format."""

    body: bytes
    counts: TokenCounts = TokenCounts()


_UNSET = (b"null", b"false", b'"auto"', b'"default"')
LEFT_OUT = ("stream", "store", "background")
"""Fields that mean nothing in a batch."""


def noted(body: Body, context: RequestContext, left_out: Sequence[str] = LEFT_OUT) -> list[str]:
    """Return the names of a line's fields that are not honoured, once it is translated, without their indexes."""
    unused = [name for name in left_out if bytes(body.fields.get(name, _UNSET[0])) not in _UNSET]
    names = brief([*map(kind, context.report.notes or ()), *unused])
    return [name for name in names if not name.startswith("+")]


class BatchMethods:
    """A plugin that answers no lines of a batch."""

    async def batch_line(self, body: Body, context: RequestContext) -> BatchLine | None:
        """Return the requests for one line of a batch. None where Google has no batch for them.

        Raises GatewayError as the endpoint would.
        """
        return None

    async def batch_answer(
        self, kept: bytes, answers: Sequence[bytes], context: RequestContext
    ) -> BatchAnswer:
        """Return the answer to a line. `kept` is the line's `BatchLine.context`, `answers` are Gemini's, by choice.

        Raises GatewayError for an answer that cannot be used.
        """
        raise NotImplementedError

    async def answer_body(self, body: Body, context: RequestContext) -> bytes | None:
        """Return the whole answer to a request that no client waits for. None where the plugin has no such answers.

        Raises GatewayError as the endpoint would.
        """
        return None


class KeptRules(Struct, omit_defaults=True):
    """The part of a prepared request that reads its answer; kept as JSON with its line."""

    model: str
    rules: CallRules
    audio_format: str | None = None
    choices: int = 1


_encode = msgspec.json.Encoder().encode
_decode_rules = msgspec.json.Decoder(KeptRules).decode


async def generation(
    prepared: PreparedRequest, exchange: Exchange, context: RequestContext, kept: bytes | None = None
) -> BatchLine:
    """Return a line of generateContent requests. Kept files are copied to a project, which is asked then.

    `kept` is given where the rules alone do not read the answer. Raises GatewayError.
    """
    calls = [await _placed(choice.call, exchange, context) for choice in prepared.choices]
    return BatchLine(
        "batchGenerateContent",
        calls[0].model,
        [await offload(call.heavy, call.encode) for call in calls],
        kept_rules(prepared) if kept is None else kept,
        [exchange.accounting.ceiling(call).most for call in calls],
        calls[0].project,
    )


async def _placed(call: GeminiCall, exchange: Exchange, context: RequestContext) -> GeminiCall:
    """Return the call as a batch can hold it: with copies of its files, and without a tier of service."""
    if call.request.service_tier is not None:  # a batch has its own
        call = call.with_request(msgspec.structs.replace(call.request, service_tier=None))
    if not call.files or exchange.files is None:
        return call
    if not call.project and context.report.project:
        call = msgspec.structs.replace(call, project=context.report.project)
    call = await exchange.files.placed(call, context)
    context.report.project = call.project
    return call


async def read(
    exchange: Exchange, answers: Sequence[bytes], new: Callable[[int], TurnReader], context: RequestContext
) -> tuple[list[Event], TokenCounts]:
    """Return the events of the answers to a line, by choice, and their tokens. Raises GatewayError."""
    events, counts = list[Event](), list[TokenCounts]()
    for choice, data in enumerate(answers):
        reader = new(choice)
        said = await offload(len(data) > HEAVY_ANSWER, _events, reader, data)
        if reader.signed:
            signatures = {key: part.signature for part in reader.signed for key in part.keys}
            await exchange.stores.signatures.put(signatures, time())
        if context.hooks is not None:
            said = await context.hooks.whole(said, choice, reader.version or "", context)
        events += said
        counts.append(reader.counts)
    return events, answer_counts(counts)


def _events(reader: TurnReader, data: bytes) -> list[Event]:
    return reader.feed(decode(data)) + reader.close(whole=True, accept_empty=True)


def kept_rules(prepared: PreparedRequest) -> bytes:
    """Return the rules that read an answer, as JSON."""
    rules = msgspec.structs.replace(prepared.rules, origins={})
    return _encode(KeptRules(prepared.call.model, rules, prepared.audio_format, len(prepared.choices)))


def read_rules(kept: bytes) -> KeptRules:
    """Return the rules that `kept_rules` has written."""
    return _decode_rules(kept)
