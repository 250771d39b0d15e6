"""Requests of Gemini's API: headers that are passed on, and methods that an issued key permits.

Any project can answer for a model. Files and cached contents are in one project, so calls that name them must go there,
and calls that create them must be noted. What belongs to a whole project is not for the holders of issued keys.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Struct
from multidict import CIMultiDict

from gateway.conversation.invalid import not_json
from gateway.errors import BadRequest, Forbidden, scrub
from gateway.gemini.json_shape import check
from gateway.gemini.vertex import is_gemini_embedding, is_served
from gateway.gemini.wire import encode_json
from gateway.policy.file_refs import references
from gateway.policy.models.catalog import check_length

_PATH = re.compile(r"/[A-Za-z0-9._~:/@-]*")
_VERB = re.compile(r":(?=.*[:/])")
"""A colon that is not the last segment's only one. Google's paths have one, before a method's name
(https://google.aip.dev/136), and it answers others with 404."""
_HEADERS = re.compile(
    r"content-type|accept|range|api-revision|x-goog-(?!api-key)[a-z0-9-]+|x-server-timeout", re.IGNORECASE
)
_MODEL = re.compile(r"/models/([^/:]+):")
_VERSION = r"/v1(?:beta|alpha)?"
_LISTS = re.compile(_VERSION + r"/models(?:/[^/:]+)?")
_CALLS = re.compile(
    _VERSION
    + r"/models/([^/:]+):(?:generateContent|streamGenerateContent|countTokens|embedContent|batchEmbedContents|predict)"
)
"""Without the methods that start an operation: its result belongs to the project."""
_BATCH_CALLS = re.compile(_VERSION + r"/models/([^/:]+):(?:batchGenerateContent|asyncBatchEmbedContent)")
_BATCH = re.compile(_VERSION + r"/(batches/[A-Za-z0-9_-]{1,128})(:cancel)?")
_BATCHES = re.compile(_VERSION + r"/batches")
_RESOURCE = re.compile(_VERSION + r"/((?:files|cachedContents)/[A-Za-z0-9_-]+)(?::download)?")
_DOWNLOAD = re.compile(rf"(?:/download)?{_VERSION}/(files/[A-Za-z0-9_-]+):download")
_FILES = re.compile(rf"(?:/upload)?{_VERSION}/files")
_CACHES = re.compile(_VERSION + r"/cachedContents")
_INTERACTIONS = re.compile(_VERSION + r"/interactions")
_STORED = re.compile(_VERSION + r"/(interactions/[A-Za-z0-9_-]{1,512})(/cancel)?")
_TOKENS = re.compile(_VERSION + r"/auth_tokens")

Kind = Literal["model", "batch", "resource", "upload", "cache", "list", "interaction", "stored", "token"]


class Permitted(Struct, frozen=True):
    """The effect of a request with an issued key."""

    kind: Kind
    name: str = ""
    """Id of the model, or name of the file, the cached content or the batch."""


class NamedBody(Struct, frozen=True):
    """A JSON body, decoded and encoded again: Google must not read anything else in it."""

    data: bytes
    fields: dict[str, Any]
    """The decoded body."""
    names: dict[str, str]
    """Name of each file and cached content, with the path of the first field that contains it."""

    @property
    def model(self) -> Any:
        """The field `model`, of any type."""
        return self.fields.get("model")


def check_path(path: str) -> None:
    """Raise BadRequest for a path that cannot be one of Gemini's API."""
    if _PATH.fullmatch(path) is None or ".." in path:
        raise BadRequest("Invalid path: letters, digits and `._~:/@-` only, without `..`.")
    if _VERB.search(path.rstrip("/")) is not None:
        raise BadRequest(
            "Invalid path: a colon stands once, before a method's name at the end, as in `:generateContent`."
        )


def creates_interaction(method: str, path: str) -> bool:
    """Return whether a request starts an interaction. The others read or end one, and cost nothing."""
    return method == "POST" and _INTERACTIONS.fullmatch(path) is not None


def is_sent_once(method: str, path: str) -> bool:
    """Return whether a request must not be repeated where no answer has come: what it creates may exist."""
    return method == "POST" and (_INTERACTIONS.fullmatch(path) or _BATCH_CALLS.fullmatch(path)) is not None


def model_of(path: str) -> str:
    """Return the id of the model in a path, or "". Raises BadRequest for a key in its place."""
    match = _MODEL.search(path)
    model = match[1] if match else ""
    check_length(model)
    if scrub(model) != model:
        raise BadRequest("Invalid model name: it looks like a key.")
    return model


def on_vertex(path: str, model: str) -> bool:
    """Return whether Vertex AI has a method of a model, with the same answer. That of older embeddings is another."""
    rest = path.split("/", 2)[-1]
    return is_served(rest) and (is_gemini_embedding(model) or "mbedContent" not in rest)


def passed_on(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Return the headers that Google is sent. Keys are not among them."""
    return CIMultiDict({name: value for name, value in headers.items() if _HEADERS.fullmatch(name)})


def permitted(method: str, path: str, *, stores: bool = False) -> Permitted:
    """Return the effects of a request. Raises Forbidden for those that an issued key does not permit.

    `stores` tells that issued keys may store interactions (`plugins.native.interactions.store`).
    """
    match = _BATCH.fullmatch(path) or (_STORED.fullmatch(path) if stores else None)
    if match and method in (("POST",) if match[2] else ("GET", "DELETE")):
        return Permitted("stored", match[1])
    if method == "POST" and (match := _BATCH_CALLS.fullmatch(path)):
        return Permitted("batch", match[1])
    if method == "POST" and (match := _CALLS.fullmatch(path)):
        return Permitted("model", match[1])
    if method in ("GET", "PATCH", "DELETE") and (match := _RESOURCE.fullmatch(path)):
        return Permitted("resource", match[1])
    if method == "GET" and (match := _DOWNLOAD.fullmatch(path)):
        return Permitted("resource", match[1])
    if method == "POST" and _FILES.fullmatch(path):
        return Permitted("upload")
    if method == "POST" and _INTERACTIONS.fullmatch(path):
        return Permitted("interaction")
    if method == "POST" and _CACHES.fullmatch(path):
        return Permitted("cache")
    if method == "POST" and _TOKENS.fullmatch(path):
        return Permitted("token")
    if method == "GET" and _LISTS.fullmatch(path):
        return Permitted("list")
    if method == "GET" and any(kind.fullmatch(path) for kind in (_FILES, _CACHES, _BATCHES)):
        message = (
            "Files, cached contents and batches of other clients are in the same Google project: get each by its "
            "name."
        )
    else:
        message = (
            "This method needs a Gemini API key of your own, because it belongs to a whole Google project."
        )
    raise Forbidden(message, code="not_for_issued_keys")


def named_body(data: bytes) -> NamedBody:
    """Decode a body and find the names in it. Raises BadRequest if it is not a JSON object."""
    check(data)
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(error) from None
    if not isinstance(body, dict):
        raise BadRequest("The request body must be a JSON object.", code="invalid_type")
    names: dict[str, str] = {}
    for name, field in references(body):
        names.setdefault(name, field)
    return NamedBody(encode_json(body), body, names)


def check_models(body: dict[str, Any], model: str) -> None:
    """Raise BadRequest for a model in the body that is not the path's: permission and price are those of the path."""
    inner = [body.get(name) for name in ("generateContentRequest", "generate_content_request")]
    requests = body.get("requests")
    check_named([body, *inner, *(requests if isinstance(requests, list) else ())], model)


def check_named(messages: Iterable[Any], model: str) -> None:
    """Raise BadRequest for a message with the name of another model than the path's."""
    for message in messages:
        named = message.get("model") if isinstance(message, dict) else None  # an object, or Google refuses it
        if named is None or (isinstance(named, str) and named.removeprefix("models/") == model):
            continue
        if isinstance(named, str):
            check_length(named)
        shown = f"`{scrub(named)[:80]}`" if isinstance(named, str) else "a value that is no string"
        raise BadRequest(
            f"Invalid 'model': the body names {shown}, but the URL names `models/{model}`.", param="model"
        )


def upload_id(url: str) -> str:
    """Return the `upload_id` of an upload URL, by which the upload continues."""
    return ",".join(parse_qs(urlsplit(url).query).get("upload_id", ()))
