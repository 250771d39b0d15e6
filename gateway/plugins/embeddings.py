"""OpenAI's embeddings, over Gemini's batches."""

import asyncio

from aiohttp import web

from gateway.errors import UpstreamError
from gateway.plugin import Plugin
from gateway.policy.access import Client, identify
from gateway.record import Record
from gateway.server.reply import RECORD, json_reply, read_body
from gateway.translate import compat, embeddings
from gateway.wire import gemini_lists, openai_lists

_AT_ONCE = 4
"""Batches of one request under way together."""


class Embeddings(Plugin):
    """`POST /v1/embeddings`."""

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/embeddings", self.create), web.post("/embeddings", self.create)]

    async def create(self, request: web.Request) -> web.Response:
        """Answer one request."""
        record = request[RECORD]
        client = identify(request.headers)
        record.client = client.fingerprint
        with self.services.admission:
            data = await read_body(request)
            body = data.decode(openai_lists.decode_embedding_request)
            config = self.services.config
            notes = compat.review(data.fields, embeddings.EMBEDDINGS, config.compat)
            route = self.services.catalog.resolve(body.model, config.models.embeddings)
            record.model, record.requested_model = route.model, body.model
            record.notes = notes = [*notes, "model"] if route.substituted else notes
            inputs = embeddings.texts(body)
            batches = embeddings.to_gemini(body, inputs, route.model)
            answers = await self._embed(batches, route.model, client, record)
            if sum(len(answer.embeddings) for answer in answers) != len(inputs):
                raise UpstreamError(
                    "the upstream sent fewer vectors than texts", code="upstream_bad_response"
                )
            found = embeddings.embedding_list(answers, inputs, route.model, body.encoding_format)
            record.prompt_tokens = found.usage.prompt_tokens
            headers = {"x-gateway-model": route.model}
            if notes:
                headers["x-gateway-notes"] = ",".join(notes)
            return json_reply(await asyncio.to_thread(openai_lists.encode, found), headers)

    async def _embed(
        self,
        batches: list[gemini_lists.BatchEmbedContentsRequest],
        model: str,
        client: Client,
        record: Record,
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
                return await exchange.ask(path, body, client, record, gemini_lists.decode_embeddings)

        return list(await asyncio.gather(*map(one, batches)))
