"""A plugin that calls Gemini, keeps data in a store, and has clients with keys, limits and log lines."""

import hashlib
import time
from collections.abc import AsyncIterator

import msgspec
from aiohttp import web
from msgspec import Struct

from gateway.errors import BadRequest
from gateway.exchange.incoming.request_body import read_body
from gateway.exchange.replies.delivery import answer_headers, json_response
from gateway.plugin import Plugin
from gateway.store.key_value import KeyValueStore, StoreLimits


class CountRequest(Struct):
    text: str
    model: str | None = None


class CountAnswer(Struct, rename="camel"):
    total_tokens: int


class Tokens(Plugin):
    """`POST /acme/tokens`: the number of tokens of a text, from Gemini or from the plugin's store."""

    class Config(Struct, frozen=True, forbid_unknown_fields=True):
        hours: float = 24.0

    _store: KeyValueStore

    def check(self) -> None:
        if self.config.hours <= 0:
            raise ValueError("`hours` must be positive")

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/acme/tokens", self.count)]

    async def lifespan(self, app: web.Application) -> AsyncIterator[None]:
        limits = StoreLimits(megabytes=4, hours=self.config.hours)
        self._store = await self.services.open_store(self.name, limits)
        yield
        self.logger.info("closing")

    async def count(self, request: web.Request) -> web.Response:
        async with self.services.enter(request, self.name) as context:  # key, limits, log line
            body = (await read_body(request)).decode(msgspec.json.Decoder(CountRequest).decode)
            if not body.text:
                raise BadRequest("`text` must not be empty", param="text")
            model = self.services.route(context.client, body.model).model
            context.report.describe(model, body.model)
            key = hashlib.blake2b(f"{model}\0{body.text}".encode(), digest_size=16).digest()
            tokens = (await self._store.get([key], time.time())).get(key)
            if tokens is None:
                call = {"contents": [{"parts": [{"text": body.text}]}]}
                answer = await self.services.exchange.ask(  # leases a key, retries, is recorded in the ledger
                    f"models/{model}:countTokens", msgspec.json.encode(call), context,
                    msgspec.json.Decoder(CountAnswer).decode, model=model,
                )  # fmt: skip
                tokens = str(answer.total_tokens)
                await self._store.put({key: tokens}, time.time())
            data = msgspec.json.encode({"tokens": int(tokens)})
            return json_response(data, answer_headers(model, []))
