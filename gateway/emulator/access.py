"""Who may ask what: Google's refusals of keys, and of models that are unknown or made for other methods."""

import re

from aiohttp import web

from gateway.emulator.models import MODELS, model_of
from gateway.emulator.status import Refusal

_BAD_KEY = re.compile(r"bad|invalid", re.I)
_NO_KEY = (
    "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or "
    "other form of API consumer identity to call this API."
)


def against_key(request: web.Request) -> Refusal | None:
    """No key, or one that is marked as bad."""
    key = request.headers.get("x-goog-api-key") or request.query.get("key")
    if not key:
        return Refusal(403, "PERMISSION_DENIED", _NO_KEY)
    if _BAD_KEY.search(key):
        message = "API key not valid. Please pass a valid API key."
        return Refusal(400, "INVALID_ARGUMENT", message, reason="API_KEY_INVALID")
    return None


def against_model(model: str, verb: str) -> Refusal | None:
    """Unknown, or not a model for this method."""
    embedding = verb in ("embedContent", "batchEmbedContents")
    if model in MODELS and (verb == "countTokens" or model_of(model).embeds == embedding):
        return None
    return Refusal(
        404, "NOT_FOUND",
        f"models/{model} is not found for API version v1beta, or is not supported for {verb or 'GetModel'}. Call "
        "ListModels to see the list of available models and their supported methods.",
    )  # fmt: skip
