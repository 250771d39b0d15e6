"""Responses requests translated, and Gemini's answers encoded, without a server."""

import json
from collections.abc import Sequence
from itertools import count
from typing import Any

from gateway.conversation.translation import Translation, TranslationContext, translate
from gateway.gemini.stream_translator import StreamTranslator
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.wire import Blob, encode_request
from gateway.plugins.responses.fields import RESPONSES
from gateway.plugins.responses.hosted_items import is_grounded
from gateway.plugins.responses.hosted_tools import allowed_domains
from gateway.plugins.responses.request import conversation
from gateway.plugins.responses.response import ResponseOptions, ResponseStream
from gateway.plugins.responses.response_object import new_response
from gateway.plugins.responses.wire import PLACEHOLDERS, ResponseRequest, decode_request
from tests.support import goldens
from tests.support.models import TABLE

CREATED = 1_700_000_000
ENDED = CREATED + 5
PICTURE = Blob("image/png", "iVBORw0KGgo=")
"""The file behind every address."""

Request = str | dict[str, Any]


def body_of(request: Request) -> ResponseRequest:
    """Return the decoded request."""
    return decode_request(json.dumps(request) if isinstance(request, dict) else request)


def translation(
    request: Request, history: Sequence[dict[str, Any]] = (), *, strict: bool = False
) -> Translation:
    """Return the translation of a request for the model that it names; `history` are the stored items before it."""
    text = json.dumps(request) if isinstance(request, dict) else request
    fields = goldens.fields_of(text)
    body = goldens.decoded(text, decode_request, {} if strict else PLACEHOLDERS)
    model = body.model or "gemini-2.5-flash"
    builder = conversation(body, history, fields, strict=strict)
    goldens.reviewed(builder, text, RESPONSES)
    media = dict.fromkeys(builder.remote_media(), PICTURE)
    return translate(
        builder, TranslationContext(model, TABLE.of(model), keys=SignatureKeys("k"), media=media)
    )


def gemini_body(request: Request, history: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Return the Gemini request as JSON."""
    body: dict[str, Any] = json.loads(encode_request(translation(request, history).request))
    return body


class Answer:
    """The answer to one request. Its ids are numbers, and its times are fixed."""

    def __init__(self, request: Request) -> None:
        body, numbers = body_of(request), count()
        translated = translation(request)
        rules = translated.rules
        encrypted = "reasoning.encrypted_content" in (body.include or ())
        self.reader = TurnReader(lambda: f"call_{next(numbers)}", rules)
        self.encoder = ResponseStream(
            new_response("resp_x", body, body.model or "asked", CREATED),
            ResponseOptions(rules, encrypted, is_grounded(translated.request), allowed_domains(body)),
            lambda prefix: f"{prefix}{next(numbers)}",
            lambda: ENDED,
        )

    def stream(self, upstream: bytes, cuts: Sequence[int] = ()) -> bytes:
        """Return all frames for a stream of Google's that arrives in pieces that end at the cuts."""
        return goldens.streamed(StreamTranslator(self.reader, self.encoder), upstream, cuts)
