"""Endpoints of the playground: a chat as an operator, under a key's rules or the console's own budget.

The request goes the way of every client's, through a connection inside the process, with a key that is made for it. So
it is limited, charged, logged and shown like any other.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from secrets import token_urlsafe
from time import monotonic, time
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from msgspec import Raw, Struct, structs

from gateway.config.admin import PlaygroundConfig
from gateway.console.endpoint import Endpoint
from gateway.console.rows import dollars, encoded
from gateway.console.sources import Sources, unexpected
from gateway.errors import BadRequest, GatewayError, NotFound
from gateway.exchange.incoming.request_body import parse, read_body
from gateway.exchange.replies.delivery import json_response
from gateway.exchange.replies.event_stream import STREAM_HEADERS
from gateway.plugin import DryRun
from gateway.policy.clients.access import ISSUED, Client, ClientKey
from gateway.policy.clients.client_rules import Rules

CONSOLE = "console"
"""Name of the client whose chats run under no key's rules."""
_HOUR = 3600.0
_COST_TRIES = 10
_COST_PAUSE = 0.1
"""Seconds between two looks for the cost, which the ledger has soon after the answer."""
_MOST_CHUNK = 2**26
_HEADERS = (
    "x-request-id",
    "x-gateway-model",
    "x-gateway-notes",
    "x-gateway-fallback",
    "x-gateway-cache",
    "retry-after",
)


class Play(Struct, forbid_unknown_fields=True, rename={"who": "as"}):
    """Body of `POST /admin/play`."""

    body: Raw
    """A request of OpenAI's chat completions."""
    who: str = CONSOLE
    """Id of an issued key, or `console`."""
    translate_only: bool = False


_decode = msgspec.json.Decoder(Play).decode
_fields = msgspec.json.Decoder(dict[str, Any]).decode


class _InProcess(aiohttp.BaseConnector):
    """Connections to the gateway's own server, by a pair of sockets."""

    def __init__(self, server: Any) -> None:
        super().__init__(force_close=True)
        self._server = server

    async def _create_connection(self, *_: Any) -> Any:
        loop, (near, far) = asyncio.get_running_loop(), socket.socketpair()
        await loop.connect_accepted_socket(self._server, far)
        return (await loop.create_connection(self._factory, sock=near))[1]


class Playground:
    """Chats for operators."""

    def __init__(self, sources: Sources, config: PlaygroundConfig) -> None:
        self._sources = sources
        self._config = config

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        chat = "Chat: events `translated`, `chunk`, `error` and `done`; with `translate_only` JSON."
        return [
            Endpoint("GET", "/admin/play", self.show, "Show the playground's budget, and the keys it may use."),
            Endpoint("POST", "/admin/play", self.play, chat, body=Play, media="text/event-stream"),
        ]  # fmt: skip

    async def show(self, _: web.Request) -> web.Response:
        """Answer with the state of the playground."""
        services, now = self._sources.services, time()
        config, spent = services.config.models, None
        if (engine := self._sources.engine_or_none) is not None:
            from gateway.store.ledger.reports import spent as read

            budgets = self._own().rules.budgets
            spent = sum(used for used, _ in await asyncio.to_thread(read, engine, CONSOLE, budgets, now))
        keys = [key for key in services.access.keys if key.fault(now) is None]
        body = {
            "on": self._config.enabled,
            "dollars_day": self._config.dollars_day,
            "spent": dollars(spent),
            "models": list(
                dict.fromkeys([config.default, *config.aliases, *sorted(services.statistics.answering)])
            ),
            "keys": [{"id": key.id, "name": key.name} for key in keys[:500]],
        }
        return json_response(encoded(body), {})

    async def play(self, request: web.Request) -> web.StreamResponse:
        """Translate a chat, send it, and pass its answer on. Raises NotFound, BadRequest."""
        if not self._config.enabled:
            raise NotFound("The playground is off: set admin.playground.enabled.", code="playground_off")
        wish = (await read_body(request)).decode(_decode)
        record = self._record(wish.who)
        translated = await self._translated(wish.body, Client("", "", record.id, record.id, record.rules))
        if wish.translate_only:
            return json_response(encoded({"translated": translated}), {})
        server = self._sources.process.server
        if server is None or (factory := server()) is None:
            raise GatewayError(
                "This process was not started by `gateway serve`.", status=503, code="not_available"
            )
        await self._sources.audit(request, "play", record.id)
        response = web.StreamResponse(headers=STREAM_HEADERS)
        key = ISSUED + token_urlsafe(32)
        self._sources.services.access.lend(key, record)
        try:
            with suppress(ConnectionError):  # the operator has left: the chat ends, too
                await response.prepare(request)
                await response.write(_frame("translated", encoded(structs.asdict(translated))))
                async with aclosing(self._chat(factory, key, _streamed(wish.body))) as frames:
                    async for frame in frames:
                        await response.write(frame)
        except aiohttp.ClientError as error:
            reason = {
                "error": {
                    "message": f"The chat has ended: {type(error).__name__}.",
                    "code": "internal_error",
                }
            }
            await response.write(_frame("error", encoded(reason)))
        finally:
            self._sources.services.access.take_back(key)
        return response

    def _own(self) -> ClientKey:
        """Return the record under which chats run that are no key's."""
        rules = Rules(dollars={"day": self._config.dollars_day})
        return ClientKey(CONSOLE, CONSOLE, "", time(), time() + _HOUR, None, rules)

    def _record(self, who: str) -> ClientKey:
        """Return the record of a key, or the console's own. Raises NotFound."""
        if who == CONSOLE:
            return self._own()
        keys = self._sources.services.access.keys
        record = next((key for key in keys if key.id == who and key.fault(time()) is None), None)
        if record is None:
            raise NotFound(f"No API key with id '{who[:80]}' that may be used.", code="not_found")
        return record

    async def _translated(self, body: Raw, client: Client) -> DryRun:
        """Return the calls of Gemini that a chat would cause. Raises the errors that the chat would."""
        plugin = self._sources.services.plugins.get("chat")
        result = await plugin.dry_run(parse(bytes(body)), client) if plugin is not None else None
        if result is None:
            raise NotFound("This gateway serves no chat: activate the plugin `chat`.", code="playground_off")
        return result

    async def _chat(self, server: Any, key: str, body: bytes) -> AsyncGenerator[bytes]:
        """Yield the answer's frames, and the last one with what it took."""
        began, request_id = monotonic(), f"play_{token_urlsafe(9)}"
        headers = {
            "Authorization": f"Bearer {key}",
            "x-request-id": request_id,
            "Content-Type": "application/json",
        }
        first: float | None = None
        usage: dict[str, Any] = {}
        async with (
            aiohttp.ClientSession(connector=_InProcess(server), read_bufsize=_MOST_CHUNK) as http,
            http.post(
                "http://127.0.0.1/v1/chat/completions", data=body, headers=headers, timeout=_ENDLESS
            ) as answer,
        ):
            if answer.status != 200:
                yield _frame("error", await answer.read())
            else:
                async for line in answer.content:
                    if line.startswith(b"data: {"):
                        first = first or round((monotonic() - began) * 1000, 1)
                        data = line[6:].strip()
                        if b'"usage":{' in data:
                            usage = _fields(data).get("usage") or {}
                        yield _frame("error" if data.startswith(b'{"error"') else "chunk", data)
            done = {
                "request_id": request_id, "status": answer.status, "model": answer.headers.get("x-gateway-model"),
                **_counts(usage), "duration_ms": round((monotonic() - began) * 1000, 1), "first_byte_ms": first,
                "headers": {name: answer.headers[name] for name in _HEADERS if name in answer.headers},
            }  # fmt: skip
        yield _frame("done", encoded({**done, "dollars": dollars(await self._cost(request_id))}))

    async def _cost(self, request_id: str) -> int | None:
        """Return the cost of a chat in millionths of a dollar, None if the ledger does not have it soon."""
        engine = self._sources.engine_or_none
        if engine is None:
            return None
        from gateway.store.ledger.calls import costs

        try:
            for _ in range(_COST_TRIES):
                micros = await asyncio.to_thread(costs, engine, [request_id], time() - _HOUR, time() + 1)
                if request_id in micros:
                    return micros[request_id]
                await asyncio.sleep(_COST_PAUSE)
        except Exception as error:  # noqa: BLE001 - of the database; the answer is there without it
            unexpected(error)
        return None


_ENDLESS = aiohttp.ClientTimeout(total=None)


def _streamed(body: Raw) -> bytes:
    """Return a chat's request as one for a stream with its usage. Raises BadRequest for what is no object."""
    try:
        fields = _fields(body)
    except (msgspec.MsgspecError, RecursionError):
        raise BadRequest("Invalid 'body': expected an object.", param="body") from None
    return msgspec.json.encode({**fields, "stream": True, "stream_options": {"include_usage": True}})


def _counts(usage: dict[str, Any]) -> dict[str, Any]:
    prompt, completion = (
        usage.get("prompt_tokens_details") or {},
        usage.get("completion_tokens_details") or {},
    )
    return {
        "prompt_tokens": usage.get("prompt_tokens"),
        "cached_tokens": prompt.get("cached_tokens"),
        "completion_tokens": usage.get("completion_tokens"),
        "thoughts": completion.get("reasoning_tokens"),
    }


def _frame(event: str, data: bytes) -> bytes:
    return f"event: {event}\ndata: ".encode() + data.replace(b"\n", b" ") + b"\n\n"
