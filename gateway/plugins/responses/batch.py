"""Responses as lines of a batch: the part of the request that their answer repeats, and the answer."""

import time
from collections.abc import Callable

import msgspec
from msgspec import Raw, Struct, structs

from gateway.exchange.batches.lines import kept_rules, read_rules
from gateway.exchange.ids import unique
from gateway.gemini.call_names import CallRules
from gateway.gemini.events import Event
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.gemini.turn_reader import TurnReader
from gateway.plugins.responses import wire
from gateway.plugins.responses.background import PreparedResponse
from gateway.plugins.responses.client_tools import ClientTool
from gateway.plugins.responses.hosted_items import is_grounded
from gateway.plugins.responses.hosted_tools import allowed_domains
from gateway.plugins.responses.response import ResponseOptions, ResponseStream
from gateway.plugins.responses.response_object import new_response

_LEFT_OUT = ("input", "messages", "stream", "stream_options", "background", "store")
"""Fields of a request that the answer does not need, and those that mean nothing in a batch."""


class _KeptLine(Struct, omit_defaults=True):
    rules: Raw
    body: Raw
    tools: dict[str, ClientTool] = {}
    """The client's own tools by the name that it knows."""
    grounded: bool = False


_decode = msgspec.json.Decoder(_KeptLine).decode


def kept_line(prepared: PreparedResponse, fields: dict[str, Raw]) -> bytes:
    """Return what reads the answer to a line, as JSON."""
    request = prepared.request
    body = {name: value for name, value in fields.items() if name not in _LEFT_OUT}
    tools = {name: tool for name, tool in request.rules.origins.items() if isinstance(tool, ClientTool)}
    grounded = is_grounded(request.call.request)
    return wire.encode(_KeptLine(Raw(kept_rules(request)), Raw(wire.encode(body)), tools, grounded))


class LineAnswer:
    """The answer to one line."""

    def __init__(self, kept: bytes, scope: str, decode: Callable[[bytes], wire.ResponseRequest]) -> None:
        """`decode` decodes a request's body."""
        line = _decode(kept)
        rules = read_rules(bytes(line.rules))
        self._rules: CallRules = structs.replace(rules.rules, origins=line.tools)
        self._keys = SignatureKeys(scope)
        self._body = structs.replace(decode(bytes(line.body)), store=False)
        self._model = rules.model
        self._grounded = line.grounded

    def reader(self, choice: int) -> TurnReader:
        """Return a reader for Gemini's answer."""
        reader = TurnReader(_call_id, self._rules, self._keys, choice)
        reader.runs = "calls"
        return reader

    def encoded(self, events: list[Event]) -> bytes:
        """Return the response."""
        now = int(time.time())
        wanted = "reasoning.encrypted_content" in (self._body.include or ())
        options = ResponseOptions(self._rules, wanted, self._grounded, allowed_domains(self._body))
        response = new_response(unique("resp_"), self._body, self._model, now)
        encoder = ResponseStream(response, options, unique, lambda: int(time.time()))
        encoder.whole(events)
        return wire.encode(encoder.response)


def _call_id() -> str:
    return unique("call_")
