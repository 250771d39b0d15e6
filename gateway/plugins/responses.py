"""OpenAI's Responses, over the same core as chat; what is stored is kept for the key that asked."""

import re
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from gateway.errors import BadRequest, GatewayError, NotFound
from gateway.plugin import Plugin
from gateway.policy.access import Client, identify
from gateway.question import Question, ask
from gateway.record import Record
from gateway.server.ids import unique
from gateway.server.reply import RECORD, StreamReply, json_reply, read_body
from gateway.translate import compat, responses
from gateway.translate.responses_answer import Object, ResponseStream, Wishes
from gateway.translate.signatures import Keyring
from gateway.translate.stream import StreamTranslator
from gateway.translate.turn import TurnReader
from gateway.wire import openai_responses as wire

_AT = re.compile(r"messages\[(\d+)\]")


class Responses(Plugin):
    """`POST /v1/responses`, and what was stored."""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/responses", self.create),
            web.get("/v1/responses/{id}", self.show),
            web.delete("/v1/responses/{id}", self.forget),
            web.post("/v1/responses/{id}/cancel", self.cancel),
            web.get("/v1/responses/{id}/input_items", self.input_items),
            web.post("/v1/responses/input_tokens", self.count),
        ]

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, whole or in events."""
        record = request[RECORD]
        client = identify(request.headers)
        record.client = client.fingerprint
        with self.services.admission:
            body, question, items = await self._understand(request, client)
            for call in question.calls:
                self.services.exchange.prepare(call, record)
            exchange = _Exchanged(self, body, question, client, items)
            if record.stream:
                return await exchange.stream(request, record)
            return await exchange.complete(record)

    async def count(self, request: web.Request) -> web.Response:
        """How many tokens a request would bring."""
        record, client = request[RECORD], identify(request.headers)
        record.client = client.fingerprint
        _, question, _ = await self._understand(request, client)
        tokens = await self.services.exchange.count(question.calls[0], client, record)
        return json_reply(wire.encode({"object": "response.input_tokens", "input_tokens": tokens}), {})

    async def show(self, request: web.Request) -> web.Response:
        """A stored response."""
        stored = await self.stored(request.match_info["id"], identify(request.headers))
        return json_reply(wire.encode(stored["response"]), {})

    async def forget(self, request: web.Request) -> web.Response:
        """Delete a stored response."""
        client, name = identify(request.headers), request.match_info["id"]
        await self.stored(name, client)
        await self.keep(name, client, None)
        return json_reply(wire.encode({"id": name, "object": "response", "deleted": True}), {})

    async def cancel(self, request: web.Request) -> web.Response:
        """Nothing runs in the background here."""
        await self.stored(request.match_info["id"], identify(request.headers))
        raise BadRequest("only background responses can be cancelled", code="invalid_value")

    async def input_items(self, request: web.Request) -> web.Response:
        """What a stored response was asked."""
        stored = await self.stored(request.match_info["id"], identify(request.headers))
        items = stored["input"]
        ids = [item.get("id") for item in items]
        page = {"object": "list", "data": items, "has_more": False, "first_id": ids[0] if ids else None,
                "last_id": ids[-1] if ids else None}  # fmt: skip
        return json_reply(wire.encode(page), {})

    async def stored(self, name: str, client: Client, param: str | None = None) -> Object:
        """What is kept under a response's id for this key. Raises NotFound, or BadRequest naming `param`."""
        key = _key(name, client)
        text = (await self.services.exchange.responses.get([key], time.time())).get(key)
        if text:
            found: Object = msgspec.json.decode(text)
            return found
        told = f"Previous response with id '{name[:80]}' not found."
        if param is not None:
            raise BadRequest(told, param=param, code="previous_response_not_found")
        raise NotFound(f"Response with id '{name[:80]}' not found.", code="response_not_found")

    async def keep(self, name: str, client: Client, found: Object | None) -> None:
        """Remember, or with None forget."""
        text = msgspec.json.encode(found).decode() if found is not None else ""
        await self.services.exchange.responses.put({_key(name, client): text}, time.time())

    async def _understand(
        self, request: web.Request, client: Client
    ) -> tuple[wire.ResponseRequest, Question, list[Any]]:
        """The body, the question, and all items so far, as they came."""
        record = request[RECORD]
        data = await read_body(request)
        body = data.decode(wire.decode_request)
        history: list[Any] = []
        if body.previous_response_id:
            history = (await self.stored(body.previous_response_id, client, "previous_response_id"))["items"]
        notes = compat.review(data.fields, responses.RESPONSES, self.services.config.compat)
        asked = responses.to_chat(body, msgspec.convert(history, list[wire.Item]))
        try:
            question = await ask(
                asked.body, client, record, self.services, [*notes, *asked.notes], heavy=data.heavy
            )
        except GatewayError as error:
            error.param = _origin(error.param, asked.origins)
            raise
        return body, question, [*history, *_items(data.fields.get("input"))]


class _Exchanged:
    """One response on its way."""

    def __init__(
        self,
        plugin: Responses,
        body: wire.ResponseRequest,
        question: Question,
        client: Client,
        items: list[Any],
    ) -> None:
        self._plugin = plugin
        self._body = body
        self._question = question
        self._client = client
        self._items = items
        self._name = unique("resp_")
        self._encoder = self._new_encoder()

    def _new_encoder(self) -> ResponseStream:
        wishes = Wishes(
            self._question.style.rules, "reasoning.encrypted_content" in (self._body.include or ())
        )
        response = _response(self._name, self._body, self._question.model)
        return ResponseStream(response, wishes, unique)

    def _reader(self) -> TurnReader:
        question = self._question
        return TurnReader(lambda: unique("call_"), question.style.rules, question.keyring)

    async def complete(self, record: Record) -> web.Response:
        """The whole object."""
        exchange = self._plugin.services.exchange
        events = await exchange.complete(self._question.calls[0], self._client, record, self._reader)
        self._encoder.encode(events)
        await self._keep()
        record.model = self._encoder.response["model"]
        return json_reply(wire.encode(self._encoder.response), self._headers(record))

    async def stream(self, request: web.Request, record: Record) -> web.StreamResponse:
        """Its events."""

        def translator(_: int) -> StreamTranslator:
            self._encoder = self._new_encoder()
            return StreamTranslator(self._reader(), self._encoder)

        config = self._plugin.services.config.stream
        async with StreamReply(request, lambda: self._headers(record), config) as reply:
            storing = _Storing(reply, self)
            exchange = self._plugin.services.exchange
            return await exchange.stream(self._question.calls, self._client, storing, record, translator)

    async def keep_when_done(self) -> None:
        """Before the client hears that it is done: its next request may come at once."""
        if self._encoder.done:
            await self._keep()

    async def _keep(self) -> None:
        if self._body.store is False:
            return
        response = self._encoder.response
        items = [*self._items, *response["output"]]
        found = {"response": response, "input": self._items, "items": items}
        await self._plugin.keep(self._name, self._client, found)

    def _headers(self, record: Record) -> dict[str, str]:
        model = self._encoder.response["model"]
        record.model = model
        notes: Sequence[str] = [*self._question.notes, *record.adjusted]
        headers = {"x-gateway-model": model}
        if notes:
            headers["x-gateway-notes"] = ",".join(dict.fromkeys(notes))
        return headers


class _Storing:
    """A reply that sees to the store before the last frame goes out."""

    def __init__(self, reply: StreamReply, exchanged: _Exchanged) -> None:
        self._reply = reply
        self._exchanged = exchanged

    @property
    def begun(self) -> bool:
        return self._reply.begun

    async def write(self, data: bytes) -> None:
        await self._exchanged.keep_when_done()
        await self._reply.write(data)

    async def finish(self) -> web.StreamResponse:
        return await self._reply.finish()


def _key(name: str, client: Client) -> bytes:
    return Keyring(client.scope).call(name, "response", "{}")[0]


def _items(given: msgspec.Raw | None) -> list[Any]:
    """The input as items, also when it was a text."""
    value = msgspec.json.decode(given) if given is not None else []
    if isinstance(value, str):
        value = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]}]
    items = value if isinstance(value, list) else []
    return [
        {**item, "id": item.get("id") or unique("item_")} if isinstance(item, dict) else item
        for item in items
    ]


def _origin(param: str | None, origins: list[str]) -> str | None:
    """A message's path as the path of the item it came from."""
    found = _AT.match(param or "")
    if param is None or found is None or int(found[1]) >= len(origins):
        return param
    return origins[int(found[1])] + param[found.end() :]


def _response(name: str, body: wire.ResponseRequest, model: str) -> Object:
    """The object before anything was said; every field that Open Responses requires (wire.md, surprise 9)."""
    text = body.text.format if body.text is not None else None
    return {
        "id": name, "object": "response", "created_at": int(time.time()), "completed_at": None,
        "status": "in_progress", "background": False, "error": None, "incomplete_details": None,
        "instructions": body.instructions if isinstance(body.instructions, str) else None,
        "max_output_tokens": body.max_output_tokens, "max_tool_calls": None, "model": model, "output": [],
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": body.previous_response_id, "prompt_cache_key": None,
        "reasoning": {"effort": body.reasoning.effort if body.reasoning else None,
                      "summary": body.reasoning.summary if body.reasoning else None},
        "safety_identifier": None, "service_tier": "default", "store": body.store is not False,
        "temperature": 1.0 if body.temperature is None else body.temperature,
        "frequency_penalty": 0.0, "presence_penalty": 0.0,
        "text": {"format": _set(text) if text else {"type": "text"}, "verbosity": "medium"},
        "tool_choice": body.tool_choice or "auto", "tools": [_echoed(tool) for tool in body.tools or ()],
        "top_logprobs": body.top_logprobs or 0, "top_p": 1.0 if body.top_p is None else body.top_p,
        "truncation": "disabled", "usage": None, "metadata": body.metadata or {},
    }  # fmt: skip


def _echoed(tool: wire.ResponseTool) -> Object:
    """A tool as it is given back; a function needs all of its fields."""
    if tool.type == "function":
        return {"type": "function", "name": tool.name, "description": tool.description,
                "parameters": tool.parameters, "strict": bool(tool.strict)}  # fmt: skip
    return _set(tool)


def _set(given: msgspec.Struct) -> Object:
    """What was said of it, without what was not."""
    found: Object = msgspec.to_builtins(given)
    return {key: value for key, value in found.items() if value is not None}
