"""Chat requests translated without a server."""

import json
from typing import Any

from gateway.conversation.translation import Translation, TranslationContext, translate
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.gemini.wire import encode_request
from gateway.plugins.chat.fields import CHAT
from gateway.plugins.chat.request import conversation
from gateway.plugins.chat.wire import PLACEHOLDERS, decode_request
from tests.support import goldens
from tests.support.models import TABLE


def translation(
    request: str | bytes | dict[str, Any], model: str = "", *, strict: bool = False
) -> Translation:
    """Return the translation of a chat request for a model; without one, for the model that it names."""
    text = json.dumps(request) if isinstance(request, dict) else request
    model = model or json.loads(text).get("model", "gemini-2.5-flash")
    context = TranslationContext(model, TABLE.of(model), keys=SignatureKeys("k"))
    fields = goldens.fields_of(text)
    body = goldens.decoded(text, decode_request, {} if strict else PLACEHOLDERS)
    said = conversation(body, fields, strict=strict)
    return translate(goldens.reviewed(said, text, CHAT), context)


def gemini_body(request: str | bytes | dict[str, Any], model: str = "") -> dict[str, Any]:
    """Return the Gemini request as JSON."""
    body: dict[str, Any] = json.loads(encode_request(translation(request, model).request))
    return body
