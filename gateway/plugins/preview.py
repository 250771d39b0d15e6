"""What would happen, without it happening: a chat request as Gemini would get it, Gemini's answer as a completion."""

import asyncio
import time

import msgspec
from aiohttp import web

from gateway.errors import BadRequest, UpstreamError
from gateway.exchange.delivery import Body, parse
from gateway.exchange.preparation import prepare_body
from gateway.gemini.stream_translator import decode
from gateway.gemini.turn_reader import TurnReader
from gateway.observability.request_log import RequestLog
from gateway.plugin import SERVICES, Services
from gateway.plugins.chat.response import Envelope, completion
from gateway.plugins.chat.wire import encode
from gateway.policy.access import Client, digest

_ANSWER = ("candidates", "promptFeedback", "usageMetadata")
"""What tells Gemini's answer from a chat request."""


async def preview(body: Body, client: Client, services: Services) -> bytes:
    """Whichever direction the body asks for. Raises BadRequest when it is neither."""
    if "messages" in body.fields:
        return await request_preview(body, client, services)
    if any(name in body.fields for name in _ANSWER):
        return answer_preview(body.data)
    raise BadRequest(
        "expected a chat request (`messages`) or a Gemini answer (`candidates`)", param="messages"
    )


def preview_file(data: bytes, app: web.Application) -> str:
    """The same for a file, indented. The services are opened for what must be fetched."""

    async def run() -> bytes:
        services = app[SERVICES]
        async with services.media:
            return await preview(parse(data), Client("", "", digest("")), services)

    return msgspec.json.format(asyncio.run(run()), indent=2).decode() + "\n"


async def request_preview(body: Body, client: Client, services: Services) -> bytes:
    """JSON: url, model, notes, and Gemini's body; several bodies for `n`. Raises GatewayError as the chat would."""
    record = RequestLog("", "", "")
    question = await prepare_body(body, client, record, services)
    upstream = services.config.upstream
    shown = {
        "url": f"{upstream.base_url.rstrip('/')}/{upstream.api_version}/{question.calls[0].path}",
        "model": question.model,
        "notes": list(dict.fromkeys([*question.notes, *record.adjusted])),
        "body": question.calls[0].request,
    }
    if len(question.calls) > 1:
        shown["bodies"] = [call.request for call in question.calls]
    return msgspec.json.encode(shown)


def answer_preview(data: bytes) -> bytes:
    """A Gemini answer as the chat completion it becomes. Raises BadRequest for what is none."""
    reader = TurnReader(lambda: "call_preview")
    try:
        events = reader.feed(decode(data)) + reader.close(whole=True, settle=True)
    except UpstreamError as error:  # here it is the client who sent it
        raise BadRequest(error.message) from None
    return encode(completion(events, Envelope("chatcmpl-preview", int(time.time()), "unknown")))
