"""OpenAI's embeddings, over Gemini's batches."""

import asyncio
from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from gateway.conversation import field_policy as compat
from gateway.errors import UpstreamError
from gateway.exchange.delivery import answered_by, json_reply, read_body
from gateway.gemini import resources as gemini_lists
from gateway.observability.request_log import REQUEST_LOG, RequestLog
from gateway.plugin import Plugin, Services
from gateway.plugins.embeddings import translation as embeddings
from gateway.plugins.embeddings import wire as openai_lists
from gateway.policy.access import Client

_AT_ONCE = 4
"""Batches of one request under way together."""


class Embeddings(Plugin):
    """`POST /v1/embeddings`."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        """What is done to texts and vectors."""

        unit_length: Annotated[
            bool,
            Meta(
                description="Bring vectors to length 1, as OpenAI's are; false leaves them as Google sent them."
            ),
        ] = True
        tokens: Annotated[
            str | None,
            Meta(
                description="tiktoken's name of the vocabulary of token arrays, such as cl100k_base; none refuses them."
            ),
        ] = None

    def __init__(self, config: "Embeddings.Config", services: Services) -> None:
        super().__init__(config, services)
        self._tokens: embeddings.Tokens | None = None

    def check(self) -> None:
        """Raise ValueError when token arrays are to be read and cannot be."""
        if self.config.tokens is not None:
            self._tokens = _vocabulary(self.config.tokens)

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/embeddings", self.create), web.post("/embeddings", self.create)]

    async def create(self, request: web.Request) -> web.Response:
        """Answer one request."""
        record = request[REQUEST_LOG]
        async with self.services.enter(request, "embeddings") as client:
            data = await read_body(request)
            body = data.decode(openai_lists.decode_embedding_request)
            config = self.services.config
            notes = compat.review(data.fields, embeddings.EMBEDDINGS, config.compat)
            route = self.services.route(client, body.model, config.models.embeddings)
            record.model, record.requested_model = route.model, body.model
            record.notes = notes = [*notes, "model"] if route.substituted else notes
            inputs = embeddings.texts(body, self._tokens)
            batches = embeddings.to_gemini(body, inputs, route.model)
            answers = await self._embed(batches, route.model, client, record)
            if sum(len(answer.embeddings) for answer in answers) != len(inputs):
                raise UpstreamError(
                    "the upstream sent fewer vectors than texts", code="upstream_bad_response"
                )
            found = embeddings.embedding_list(
                answers, inputs, route.model, body.encoding_format, unit_length=self.config.unit_length
            )
            record.prompt_tokens = found.usage.prompt_tokens
            encoded = await asyncio.to_thread(openai_lists.encode, found)
            return json_reply(encoded, answered_by(route.model, notes))

    async def _embed(
        self,
        batches: list[gemini_lists.BatchEmbedContentsRequest],
        model: str,
        client: Client,
        record: RequestLog,
    ) -> list[gemini_lists.BatchEmbedContentsResponse]:
        """All batches, a few at a time, their order kept."""
        places = asyncio.Semaphore(_AT_ONCE)
        path = f"models/{model}:batchEmbedContents"

        async def one(
            batch: gemini_lists.BatchEmbedContentsRequest,
        ) -> gemini_lists.BatchEmbedContentsResponse:
            async with places:
                body = gemini_lists.encode(batch)
                exchange = self.services.exchange
                return await exchange.ask(
                    path, body, client, record, gemini_lists.decode_embeddings,
                    usage=lambda answer: answer.usage_metadata, model=model,
                )  # fmt: skip

        return list(await asyncio.gather(*map(one, batches)))


def _vocabulary(name: str) -> embeddings.Tokens:
    """Reads token ids by tiktoken. Raises ValueError when it, or its table, cannot be had."""
    try:
        import tiktoken  # only who reads token arrays needs it
    except ImportError:
        raise ValueError(
            "`tokens` needs the package tiktoken: pip install 'gemini-gateway[tokens]'"
        ) from None
    try:
        encoding = tiktoken.get_encoding(name)
    except ValueError as error:
        raise ValueError(f"`tokens`: {str(error).splitlines()[0]}") from None
    except OSError:
        raise ValueError(
            f"`tokens`: tiktoken cannot fetch its table of {name}: put it into TIKTOKEN_CACHE_DIR"
        ) from None

    def text(ids: list[int]) -> str:
        try:
            return encoding.decode(ids)
        except (KeyError, OverflowError):
            raise ValueError(f"an id is no token of {name}") from None

    return text
