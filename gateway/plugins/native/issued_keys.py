"""Permission of a request with an issued key, and the Google project that must answer it."""

from collections.abc import AsyncIterator, Sequence
from time import time

from msgspec import Struct

from gateway.conversation.invalid import missing
from gateway.exchange.offload import HEAVY, offload
from gateway.plugins.native.request import named_body, permitted
from gateway.policy.access import Client
from gateway.policy.file_refs import may_name
from gateway.store.file_owners import FileOwners, absent

Payload = bytes | AsyncIterator[bytes] | None
"""Body of a request: whole, streamed (uploads), or none."""


class NativeCall(Struct, frozen=True):
    """A call that may be made."""

    body: Payload
    model: str = ""
    project: str = ""
    """The only project that can answer; "" for any."""
    creates: bool = False
    """Whether the answer may name a new file or cached content."""
    deletes: str = ""
    """Name of the file or cached content that is deleted."""


async def native_call(
    method: str, path: str, uploads: Sequence[str], body: Payload, client: Client, owners: FileOwners
) -> NativeCall:
    """Return the call for a request. `uploads` are the query's `upload_id`s.

    Raises Forbidden for what an issued key does not permit, NotFound for files of others, and BadRequest for a call
    that names files of two projects.
    """
    request = permitted(method, path)
    if request.kind == "model":
        return await _model_call(request.name, body, client, owners)
    if request.kind == "resource":
        project = await owners.project(client.scope, {request.name: request.name}, time())
        return NativeCall(body, project=project, deletes=request.name if method == "DELETE" else "")
    if request.kind == "upload":
        scope, project = await owners.upload(",".join(uploads), time()) if uploads else (client.scope, "")
        if scope != client.scope:
            raise absent("this upload")
        return NativeCall(body, project=project, creates=True)
    return await _cache_call(body, client, owners) if request.kind == "cache" else NativeCall(body)


async def _model_call(model: str, body: Payload, client: Client, owners: FileOwners) -> NativeCall:
    client.rules.check(model)
    if not isinstance(body, bytes) or not await offload(len(body) > HEAVY, may_name, body):
        return NativeCall(body, model)
    read = await offload(len(body) > HEAVY, named_body, body)
    return NativeCall(read.data, model, await owners.project(client.scope, read.names, time()))


async def _cache_call(body: Payload, client: Client, owners: FileOwners) -> NativeCall:
    """Return the creation of a cached content, in the project of the files that it names."""
    data = body if isinstance(body, bytes) else b""
    read = await offload(len(data) > HEAVY, named_body, data)
    if not isinstance(read.model, str):
        raise missing("model")
    model = read.model.removeprefix("models/")
    client.rules.check(model)
    project = await owners.project(client.scope, read.names, time())
    return NativeCall(read.data, model, project, creates=True)
