"""Vertex AI's models: keys and access tokens, regions, and the fields that it does not know.

Which fields those are: google-genai's converters (`models.py`, `_*_to_vertex`). The words of the refusals are recorded
traffic, or those of reports that name them.
"""

import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from gateway.emulator.embeddings import vector
from gateway.emulator.errors import Refusal, RefusedError, key_refusal
from gateway.emulator.models import MODELS
from gateway.emulator.request import prompt_tokens, text_of
from gateway.emulator.rest import decoded, refused, reply
from gateway.emulator.token_service import TokenService

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ON_VERTEX: web.RequestKey[bool] = web.RequestKey("on_vertex", bool)
"""Set for a request that Vertex AI has admitted."""
SERVICE = "aiplatform.googleapis.com"
_VERSION = "/{version:v1(?:beta1)?}"
_PLACE = "/projects/{project}/locations/{location}"
_MODEL = "/publishers/google/models/{model:[^/:]+}"
_OLD_EMBEDDINGS = ("text-embedding-005", "text-multilingual-embedding-002")
_ONLY_GLOBAL = re.compile(r"gemini-(?:[3-9]|flash-|pro-)")
"""Models that no region has but `global` (https://github.com/BerriAI/litellm/issues/18781)."""
_LARGEST_TEMPERATURE = 2.0
_NO_KEYS = (
    "API keys are not supported by this API. Expected OAuth2 access token or other authentication credentials that "
    "assert a principal. See https://cloud.google.com/docs/authentication"
)
"""https://github.com/google-gemini/gemini-cli/issues/5739"""
_BAD_CREDENTIALS = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
    "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
)
_EXHAUSTED = (
    "Resource exhausted. Please try again later. Please refer to "
    "https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429 for more details."
)
"""Without details and delay (https://github.com/continuedev/continue/issues/8967)."""
_UNKNOWN = {
    "": ("store", "continuationToken"),
    "generation_config": ("enableEnhancedCivicAnswers",),
    "tool_config": ("includeServerSideToolInvocations",),
    "tools": ("fileSearch",),
    "contents.parts": ("toolCall", "toolResponse", "partMetadata"),
}
"""Fields that Vertex AI does not know, by the place of their message."""


class VertexApi:
    """Methods of models. `generate` answers for both APIs, once a request is admitted. `now` is in Unix seconds."""

    def __init__(self, generate: Handler, now: Callable[[], float]) -> None:
        self._generate = generate
        self._now = now
        self.tokens = TokenService(now)

    def routes(self) -> list[web.RouteDef]:
        """Return the methods with an express key, with an access token, and the token service."""
        generate = ":{verb:generateContent|streamGenerateContent}"
        measure = ":{verb:countTokens|embedContent|batchEmbedContents|predict}"
        return [
            *(web.post(_VERSION + place + _MODEL + generate, self.generate) for place in ("", _PLACE)),
            *(web.post(_VERSION + place + _MODEL + measure, self.measure) for place in ("", _PLACE)),
            *self.tokens.routes(),
        ]

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """Answer generateContent and streamGenerateContent."""
        body = decoded(await request.read())
        refusal = self._admitted(request) or _content_refusal(body)
        refusal = refusal or _id_refusal(request.match_info["model"], body)
        if refusal is not None:
            return refused(refusal)
        request[ON_VERTEX] = True
        return await self._generate(request)

    async def measure(self, request: web.Request) -> web.Response:
        """Answer countTokens and the embedding methods."""
        body = decoded(await request.read())
        if (refusal := self._admitted(request)) is not None:
            return refused(refusal)
        try:
            return reply(_MEASURES[request.match_info["verb"]](request.match_info["model"], body))
        except RefusedError as error:
            return refused(error.refusal)

    def shaped(self, chunk: dict[str, Any]) -> dict[str, Any]:
        """Return a chunk of an answer as Vertex AI has it (recorded traffic)."""
        usage = {"trafficType": "ON_DEMAND", **(chunk.get("usageMetadata") or {})}
        created = datetime.fromtimestamp(self._now(), UTC).isoformat().replace("+00:00", "Z")
        return {**chunk, "usageMetadata": usage, "createTime": created}

    def _admitted(self, request: web.Request) -> Refusal | None:
        """Return the refusal of the credentials, or of the model in its region."""
        place = request.match_info.get("project"), request.match_info.get("location")
        if place[0] is None:
            refusal = (
                key_refusal(request, SERVICE) if _has_key(request) else _unauthenticated(_BAD_CREDENTIALS)
            )
        else:
            refusal = self._token_refusal(request, *place)
        return refusal or _model_refusal(request, *place)

    def _token_refusal(
        self, request: web.Request, project: str | None, location: str | None
    ) -> Refusal | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return _unauthenticated(
                _NO_KEYS if _has_key(request) else _BAD_CREDENTIALS, "CREDENTIALS_MISSING"
            )
        if not self.tokens.is_valid(token):
            return _unauthenticated(_BAD_CREDENTIALS, "ACCESS_TOKEN_EXPIRED")
        if "forbidden" in (project or ""):
            model = request.match_info["model"]
            name = f"projects/{project}/locations/{location}/publishers/google/models/{model}"
            # https://github.com/rpurinton/gemini-php/issues/4
            denied = f"Permission 'aiplatform.endpoints.predict' denied on resource '//{SERVICE}/{name}'"
            message = f"{denied} (or it may not exist)."
            return Refusal(403, "PERMISSION_DENIED", message, reason="IAM_PERMISSION_DENIED", service=SERVICE)
        return None


def exhausted() -> dict[str, Any]:
    """Return Vertex AI's 429."""
    return Refusal(429, "RESOURCE_EXHAUSTED", _EXHAUSTED).body()


def _has_key(request: web.Request) -> bool:
    return "x-goog-api-key" in request.headers or "key" in request.query


def _unauthenticated(message: str, reason: str = "CREDENTIALS_MISSING") -> Refusal:
    return Refusal(401, "UNAUTHENTICATED", message, reason=reason, service=SERVICE)


def _model_refusal(request: web.Request, project: str | None, location: str | None) -> Refusal | None:
    model, verb = request.match_info["model"], request.match_info["verb"]
    is_known = model in _OLD_EMBEDDINGS if verb == "predict" else model in MODELS
    if is_known and (location in (None, "global") or _ONLY_GLOBAL.match(model) is None):
        return None
    name = f"publishers/google/models/{model}"
    if project is not None:
        name = f"projects/{project}/locations/{location}/{name}"
    return Refusal(
        404, "NOT_FOUND",
        f"Publisher Model `{name}` was not found or your project does not have access to it. Please ensure you are "
        "using a valid model version. For more information, see: "
        "https://cloud.google.com/vertex-ai/generative-ai/docs/learn/model-versions",
    )  # fmt: skip


def _content_refusal(body: dict[str, Any]) -> Refusal | None:
    """Return the refusal of a request's content that the Gemini API would take."""
    for place, message in _messages(body):
        for name in _UNKNOWN[place]:
            if name in message or _snake(name) in message:
                where = f" at '{place}'" if place else ""
                text = f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.'
                return Refusal(400, "INVALID_ARGUMENT", text)
    contents = [content for content in _list(body, "contents") if isinstance(content, dict)]
    if any(content.get("role") not in ("user", "model") for content in contents):
        return Refusal(400, "INVALID_ARGUMENT", "Please use a valid role: user, model.")  # recorded traffic
    temperature = _object(body, "generationConfig").get("temperature", 0)
    if isinstance(temperature, int | float) and not 0 <= temperature <= _LARGEST_TEMPERATURE:
        text = (
            f"Unable to submit request because it has a temperature value of {temperature:g} but the supported range "
            "is from 0 (inclusive) to 2.0001 (exclusive). Update the value and try again."
        )  # recorded traffic
        return Refusal(400, "INVALID_ARGUMENT", text)
    return None


def _id_refusal(model: str, body: dict[str, Any]) -> Refusal | None:
    """Return the refusal of ids of calls and responses, by models older than Gemini 3.

    See https://github.com/vercel/ai/issues/15664 and https://github.com/BerriAI/litellm/pull/34603.
    """
    if _ONLY_GLOBAL.match(model) is not None:
        return None
    for i, content in enumerate(_list(body, "contents")):
        for j, part in enumerate(_list(content, "parts")):
            for name in ("functionCall", "functionResponse"):
                if "id" in _object(part, name):
                    where = f"contents[{i}].parts[{j}].{_snake(name)}"
                    text = (
                        f"Invalid JSON payload received. Unknown name \"id\" at '{where}': Cannot find field."
                    )
                    return Refusal(400, "INVALID_ARGUMENT", text)
    return None


def _messages(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "", body
    yield "generation_config", _object(body, "generationConfig")
    yield "tool_config", _object(body, "toolConfig")
    for tool in _list(body, "tools"):
        yield "tools", tool
    for content in _list(body, "contents"):
        for part in _list(content, "parts"):
            yield "contents.parts", part


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: "_" + match[0].lower(), name)


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name, body.get(_snake(name)))
    return value if isinstance(value, dict) else {}


def _list(body: Any, name: str) -> list[Any]:
    value = body.get(name, body.get(_snake(name))) if isinstance(body, dict) else None
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _known(body: dict[str, Any], names: tuple[str, ...]) -> None:
    """Raise RefusedError for a field that a method does not know."""
    if unknown := [name for name in body if name not in names]:
        raise RefusedError(f'Invalid JSON payload received. Unknown name "{unknown[0]}": Cannot find field.')


def _count(_: str, body: dict[str, Any]) -> dict[str, Any]:
    _known(body, ("contents", "systemInstruction", "tools", "generationConfig", "model", "instances"))
    tokens = prompt_tokens(body)
    details = [{"modality": "TEXT", "tokenCount": tokens}]
    return {"totalTokens": tokens, "totalBillableCharacters": 4 * tokens, "promptTokensDetails": details}


def _embedded(model: str, body: dict[str, Any]) -> dict[str, Any]:
    _known(body, ("content", "embedContentConfig"))
    text = text_of(_list(body.get("content"), "parts"))
    if not text:
        raise RefusedError("The text content is empty.")
    size = _object(body, "embedContentConfig").get("outputDimensionality", 3072)
    values = vector(text, size, cut=model.endswith("-001"))
    tokens = -(-len(text.encode()) // 4)
    return {
        "embedding": {"values": values},
        "usageMetadata": {"promptTokenCount": tokens},
        "truncated": False,
    }


def _batch_embedded(model: str, body: dict[str, Any]) -> dict[str, Any]:
    _known(body, ("requests",))
    answers = [_embedded(model, request) for request in _list(body, "requests")]
    tokens = sum(answer["usageMetadata"]["promptTokenCount"] for answer in answers)
    return {
        "embeddings": [answer["embedding"] for answer in answers],
        "usageMetadata": {"promptTokenCount": tokens},
    }


def _predicted(_: str, body: dict[str, Any]) -> dict[str, Any]:
    _known(body, ("instances", "parameters"))
    size = _object(body, "parameters").get("outputDimensionality", 768)
    predictions = []
    for instance in _list(body, "instances"):
        text = str(instance.get("content", ""))
        statistics = {"truncated": False, "token_count": -(-len(text.encode()) // 4)}
        predictions.append(
            {"embeddings": {"values": vector(text, size, cut=False), "statistics": statistics}}
        )
    return {"predictions": predictions, "metadata": {"billableCharacterCount": 1}}


_MEASURES = {
    "countTokens": _count,
    "embedContent": _embedded,
    "batchEmbedContents": _batch_embedded,
    "predict": _predicted,
}
