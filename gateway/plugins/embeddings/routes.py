"""OpenAI's embeddings endpoint over Gemini's `batchEmbedContents`."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from aiohttp import web
from msgspec import Meta, Struct

from gateway.conversation.field_policy import FieldPolicies, review
from gateway.conversation.notes import Notes
from gateway.errors import UpstreamError
from gateway.exchange.batches.lines import BatchAnswer, BatchLine
from gateway.exchange.calls.cost import CostEstimate
from gateway.exchange.context import RequestContext
from gateway.exchange.incoming.request_body import Body, read_body
from gateway.exchange.offload import offload
from gateway.exchange.replies.delivery import answer_headers, json_response
from gateway.exchange.side_by_side import side_by_side
from gateway.gemini.resources import (
    BatchEmbedContentsRequest,
    BatchEmbedContentsResponse,
    decode_embedding,
    decode_embeddings,
)
from gateway.gemini.resources import encode as encode_batch
from gateway.gemini.stream_translator import readable
from gateway.gemini.usage import TokenCounts
from gateway.plugin import Plugin, Services
from gateway.plugins.embeddings.fields import EMBEDDINGS
from gateway.plugins.embeddings.request import BATCH, Detokenizer, expected_size, texts, to_batch, to_gemini
from gateway.plugins.embeddings.response import batch_list, embedding_list, estimated
from gateway.plugins.embeddings.wire import EmbeddingRequest, KeptLine, decode_kept, decode_request, encode

_MANY_INPUTS = 8
"""Inputs from which on the answer is encoded in a thread: a vector of 3,072 numbers takes 0.5 ms."""
_CONCURRENT_BATCHES = 4
"""Batches of one request that are sent at the same time."""


class Embeddings(Plugin):
    """`POST /v1/embeddings`."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        """Options of `plugins.embeddings`."""

        unit_length: Annotated[
            bool,
            Meta(description="Scale vectors to length 1, as OpenAI's are; false returns Google's values."),
        ] = True
        tokens: Annotated[
            str | None,
            Meta(
                description="tiktoken encoding for input given as token ids, such as cl100k_base; none: a 400."
            ),
        ] = None

    def __init__(self, config: Any, services: Services) -> None:
        super().__init__(config, services)
        self._detokenize: Detokenizer | None = None

    def check(self) -> None:
        """Load the vocabulary of `tokens`. Raises ValueError if it is not available."""
        if self.config.tokens is not None:
            self._detokenize = _detokenizer(self.config.tokens)

    fields: ClassVar[FieldPolicies] = {"POST /v1/embeddings": EMBEDDINGS}

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/embeddings", self.create)]

    async def create(self, request: web.Request) -> web.Response:
        """Answer one request."""
        async with self.services.enter(request, "embeddings") as context:
            data = await read_body(request)
            encoded, model, notes = await self._embedded(data, context)
            return json_response(encoded, answer_headers(model, notes))

    async def answer_body(self, body: Body, context: RequestContext) -> bytes:
        """Return a list of embeddings. Raises GatewayError as `create` would."""
        return (await self._embedded(body, context))[0]

    async def batch_line(self, body: Body, context: RequestContext) -> BatchLine:
        """Return the requests for a line of a batch: one for each text. Raises GatewayError as `create` would."""
        fields, notes, inputs = self._read(body)
        route = self.services.route(context.client, fields.model, self.services.config.models.embeddings)
        context.report.notes = [*notes, *route.notes] or None
        requests = to_batch(fields, inputs)
        kept = KeptLine(route.model, fields.encoding_format, estimated(inputs))
        most = [CostEstimate(len(request)).most for request in requests]
        return BatchLine("asyncBatchEmbedContent", route.model, requests, encode(kept), most)

    async def batch_answer(
        self, kept: bytes, answers: Sequence[bytes], context: RequestContext
    ) -> BatchAnswer:
        """Return the list of embeddings for Gemini's answers to a line. Raises GatewayError."""
        line = decode_kept(kept)
        vectors = [readable(data, decode_embedding) for data in answers]
        result = batch_list(line, vectors, unit_length=self.config.unit_length)
        return BatchAnswer(encode(result), TokenCounts(prompt=result.usage.prompt_tokens))

    async def _embedded(self, data: Body, context: RequestContext) -> tuple[bytes, str, list[str]]:
        """Return the answer to a body, the model, and the fields that were not honoured."""
        config = self.services.config
        body, noted, inputs = await offload(data.heavy, self._read, data)
        context.report.requested_model = body.model
        route = self.services.route(context.client, body.model, config.models.embeddings, context.deployment)
        notes = [*noted, *route.notes]
        context.report.describe(route.model, body.model or context.deployment or None, notes=notes)
        in_batches = self.services.capability_table.of(route.model).embedding_batches
        batches = to_gemini(body, inputs, route.model, BATCH if in_batches else 1)
        answers = await self._embed(batches, route.model, context, heavy=data.heavy)
        if sum(len(answer.embeddings) for answer in answers) != len(inputs):
            raise UpstreamError(
                "Gemini returned fewer vectors than texts were sent", code="upstream_bad_response"
            )
        heavy = len(inputs) > _MANY_INPUTS or data.heavy
        tokens, encoded = await offload(
            heavy, self._answer, answers, inputs, route.model, body.encoding_format
        )
        context.report.prompt_tokens = tokens
        return encoded, route.model, notes

    def _read(self, data: Body) -> tuple[EmbeddingRequest, list[str], list[str]]:
        """Return a body, what is noted of it, and its texts. Raises BadRequest with the path of what is wrong."""
        body = data.decode(decode_request)
        noted = Notes(strict=self.services.strict)
        review(data.fields, EMBEDDINGS, noted)
        return body, noted.distinct(), texts(body, self._detokenize)

    def _answer(
        self,
        answers: list[BatchEmbedContentsResponse],
        inputs: list[str],
        model: str,
        encoding: str | None,
    ) -> tuple[int, bytes]:
        """Return the tokens of an answer, and its body."""
        result = embedding_list(answers, inputs, model, encoding, unit_length=self.config.unit_length)
        return result.usage.prompt_tokens, encode(result)

    async def _embed(
        self, batches: list[BatchEmbedContentsRequest], model: str, context: RequestContext, *, heavy: bool
    ) -> list[BatchEmbedContentsResponse]:
        """Send all batches, a few at a time. Return the answers in the order of the batches."""
        await self.services.exchange.accounting.take_calls(context, len(batches))
        places, memory = asyncio.Semaphore(_CONCURRENT_BATCHES), context.memory
        path = f"models/{model}:batchEmbedContents"

        async def send(batch: BatchEmbedContentsRequest) -> BatchEmbedContentsResponse:
            async with places:
                expected = expected_size(batch)
                memory.take_encoded(expected)
                encoded = await offload(heavy, encode_batch, batch)
                memory.correct_encoded(expected, len(encoded))
                answer = await self.services.exchange.ask(
                    path, encoded, context, decode_embeddings,
                    usage=lambda answer: answer.usage_metadata, model=model, cost=_cost(batch),
                )  # fmt: skip
                memory.covered += len(encoded)
                return answer

        return await side_by_side([send(batch) for batch in batches])


def _cost(batch: BatchEmbedContentsRequest) -> CostEstimate:
    """Return the most that a batch costs: each text, with its first and last token, and all that is sent with it."""
    texts = [
        text or ""
        for request in batch.requests
        for text in (request.title, request.task_type, *(part.text for part in request.content.parts or ()))
    ]
    return CostEstimate(sum(len(text.encode()) for text in texts) + 2 * len(batch.requests))


def _detokenizer(name: str) -> Detokenizer:
    """Return a decoder for a tiktoken encoding. Raises ValueError if the package or the table is missing."""
    try:
        import tiktoken  # an optional dependency, imported only if the option is set
    except ImportError:
        raise ValueError(
            "`tokens` needs the package tiktoken: on a server, `gateway plugin install --extra tokens`; in a checkout, "
            "pip install '.[tokens]'"
        ) from None
    try:
        encoding = tiktoken.get_encoding(name)
    except ValueError as error:
        raise ValueError(f"`tokens`: {str(error).splitlines()[0]}") from None
    except OSError:
        raise ValueError(
            f"`tokens`: tiktoken cannot download the table of {name}: put it into TIKTOKEN_CACHE_DIR"
        ) from None

    def text(ids: list[int]) -> str:
        try:
            return encoding.decode(ids)
        except (KeyError, OverflowError):
            raise ValueError(f"an id is not a token of {name}") from None

    return text
