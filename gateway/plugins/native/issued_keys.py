"""What the holder of an issued key may ask of Gemini's own API, and which Google project must answer.

Models any project may; files and caches are in one project, so what makes them is watched for the new names, and
what names them goes where they are.
"""

import re
from collections.abc import AsyncIterator, Sequence
from time import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Struct

from gateway.errors import BadRequest, Forbidden
from gateway.exchange.offload import HEAVY, offload
from gateway.gemini import json_shape as shape
from gateway.gemini.wire import UsageMetadata, encode_json
from gateway.policy import file_refs as pins
from gateway.policy.access import Client
from gateway.store.file_owners import FileOwners, absent

Sent = bytes | AsyncIterator[bytes] | None

_VERSION = r"/v1(?:beta|alpha)?"
_LISTS = re.compile(_VERSION + r"/models(?:/[^/:]+)?")
_ASKS = re.compile(
    _VERSION
    + r"/models/([^/:]+):(?:generateContent|streamGenerateContent|countTokens|embedContent|batchEmbedContents|predict)"
)
"""Not those that begin a batch or an operation: its result would be the project's, too."""
_OWN = re.compile(_VERSION + r"/((?:files|cachedContents)/[A-Za-z0-9_-]+)(?::download)?")
_FILES = re.compile(rf"(?:/upload)?{_VERSION}/files")
_CACHES = re.compile(_VERSION + r"/cachedContents")


class NativeCall(Struct, frozen=True):
    """A call that may be made."""

    body: Sent
    """As it was understood: what Google might read otherwise is told anew."""
    model: str = ""
    project: str = ""
    """The only one that may be asked; "": any."""
    makes: bool = False
    """Its answer may name something new."""
    deletes: str = ""


class _Named(Struct, frozen=True):
    name: str = ""


class _Counted(Struct, frozen=True, rename="camel"):
    total_token_count: int = 0


class _Made(_Named, frozen=True, rename="camel"):
    """A file comes wrapped, a cache with its count."""

    file: _Named = _Named()
    usage_metadata: _Counted = _Counted()


async def native_call(
    method: str, path: str, uploads: Sequence[str], body: Sent, client: Client, known: FileOwners
) -> NativeCall:
    """A call as it may be made; `uploads` are the query's `upload_id`s.

    Raises Forbidden for what an issued key cannot have, NotFound for files that are not this client's, BadRequest for
    those of two projects.
    """
    if method == "POST" and (found := _ASKS.fullmatch(path)):
        return await _asking(found[1], body, client, known)
    if method in ("GET", "PATCH", "DELETE") and (found := _OWN.fullmatch(path)):
        project = await known.project(client.scope, {found[1]: found[1]}, time())
        return NativeCall(body, project=project, deletes=found[1] if method == "DELETE" else "")
    if method == "POST" and _FILES.fullmatch(path):
        scope, project = await known.upload(",".join(uploads), time()) if uploads else (client.scope, "")
        if scope != client.scope:
            raise absent("this upload")
        return NativeCall(body, project=project, makes=True)
    if method == "POST" and _CACHES.fullmatch(path):
        return await _caching(body, client, known)
    if method == "GET" and _LISTS.fullmatch(path):
        return NativeCall(body)
    raise _refusal(method, path)


def upload_id(url: str) -> str:
    """What an upload goes on with, of the address that Google gave."""
    return ",".join(parse_qs(urlsplit(url).query).get("upload_id", ()))


def made(answer: bytes) -> tuple[list[str], UsageMetadata]:
    """The names in a creation's answer, and the tokens that were cached."""
    try:
        found = msgspec.json.decode(answer, type=_Made)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [], UsageMetadata()
    names = [name for name in (found.name, found.file.name) if pins.is_name(name)]
    return names, UsageMetadata(prompt_token_count=max(0, found.usage_metadata.total_token_count))


async def _asking(model: str, body: Sent, client: Client, known: FileOwners) -> NativeCall:
    client.rules.check(model)
    if not isinstance(body, bytes) or not await offload(len(body) > HEAVY, pins.may_name, body):
        return NativeCall(body, model)
    sent, _, names = await offload(len(body) > HEAVY, _read, body)
    return NativeCall(sent, model, await known.project(client.scope, names, time()))


async def _caching(body: Sent, client: Client, known: FileOwners) -> NativeCall:
    """A cache is of one model, and lies where the files are that it holds."""
    data = body if isinstance(body, bytes) else b""
    sent, model, names = await offload(len(data) > HEAVY, _read, data)
    if not isinstance(model, str):
        raise BadRequest("`model` is required", param="model", code="missing_required_parameter")
    model = model.removeprefix("models/")
    client.rules.check(model)
    project = await known.project(client.scope, names, time())
    return NativeCall(sent, model, project, makes=True)


def _read(body: bytes) -> tuple[bytes, Any, dict[str, str]]:
    """A body told anew, its model, and the names in it with their fields. Raises BadRequest for what is no JSON."""
    shape.check(body)
    try:
        read = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest("The request body is not valid JSON.", code="invalid_json") from None
    names: dict[str, str] = {}
    for name, field in pins.references(read):
        names.setdefault(name, field)
    return encode_json(read), read.get("model") if isinstance(read, dict) else None, names


def _refusal(method: str, path: str) -> Forbidden:
    if method == "GET" and (_FILES.fullmatch(path) or _CACHES.fullmatch(path)):
        told = "The list of a Google project would show what other clients made: get each by its name."
    else:
        told = "This needs a Gemini API key of your own: it belongs to a whole Google project."
    return Forbidden(told, code="not_for_issued_keys")
