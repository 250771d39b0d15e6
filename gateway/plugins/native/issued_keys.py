"""Permission of a request with an issued key, its cost, and the Google project that must answer it."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from time import time

from msgspec import Struct, structs
from multidict import CIMultiDict

from gateway.conversation.invalid import missing
from gateway.errors import BadRequest, Forbidden
from gateway.exchange.calls.cost import UNKNOWN_COST, CostEstimate, ModelOutput
from gateway.exchange.offload import HEAVY, offload
from gateway.gemini.wire import encode_json
from gateway.plugins.native import batches, cost, interactions
from gateway.plugins.native.batches import BatchLedger
from gateway.plugins.native.request import NamedBody, Permitted, check_models, named_body, permitted
from gateway.plugins.native.system_parameters import allowed_headers, allowed_query
from gateway.policy.clients.access import Client
from gateway.policy.file_refs import no_file_search
from gateway.policy.models.catalog import check_length
from gateway.policy.models.pricing import Tier
from gateway.store.file_owners import FileOwners, absent

Payload = bytes | AsyncIterator[bytes] | None
"""Body of a request: whole, streamed (uploads), or none."""


class NativeRequest(Struct, frozen=True):
    """A request as it was received."""

    method: str
    path: str
    query: Iterable[tuple[str, str]]
    headers: Mapping[str, str]
    body: Payload


class NativeCall(Struct, frozen=True):
    """A call that may be made."""

    body: Payload
    query: str = ""
    headers: CIMultiDict[str] = CIMultiDict()
    """Without the key."""
    model: str = ""
    cost: CostEstimate = UNKNOWN_COST
    """The most that it costs."""
    price_factor: int = 1
    """Multiple of the standard price, at most."""
    tier: Tier | None = None
    """The tier of service that is asked for, where it is understood."""
    method: str = ""
    """The model's method, such as generateContent."""
    candidates: int = 1
    """Candidates that are asked for."""
    project: str = ""
    """The only project that can answer; "" for any."""
    creates: bool = False
    """Whether the answer may name a new file, cached content or batch."""
    deletes: str = ""
    """Name of the file, the cached content or the batch that is deleted."""
    reads_batch: str = ""
    """Name of the batch that is read."""
    lists: bool = False
    """Whether the answer lists models."""
    feature: str = ""
    """Feature of the call with a quota of its own; "" for none."""
    dropped: tuple[str, ...] = ()
    """Query parameters that are not passed on."""
    stores: bool = False
    """Whether the answer may name an interaction that Google has stored."""
    ledger: BatchLedger | None = None
    """The ledger of an attempt that creates a batch."""
    token: "TokenRequest | None" = None
    """Set if the answer names an ephemeral token."""


class TokenRequest(Struct, frozen=True):
    """A wish for an ephemeral token of the Live API."""

    model: str = ""
    """The only model that it opens sessions of; "" for any."""
    expires: str = ""
    """RFC 3339; "" for Google's default."""


async def native_call(
    request: NativeRequest,
    client: Client,
    owners: FileOwners,
    model_output: Callable[[str], ModelOutput],
    *,
    stores: bool = False,
) -> NativeCall:
    """Return the call for a request. `model_output` returns the longest answer of a model.

    `stores` tells that issued keys may store interactions.

    Raises Forbidden for what an issued key does not permit, NotFound for files of others, and BadRequest for a body
    that is not JSON, a query parameter or a header that is not allowed, and files of two projects.
    """
    allowed = permitted(request.method, request.path, stores=stores)
    query, dropped = allowed_query(request.query, allowed.kind, request.path)
    headers = allowed_headers(request.headers, allowed.kind)
    read, body = None, request.body
    if isinstance(body, bytes):  # no upload
        read = await offload(len(body) > HEAVY, named_body, body or b"{}")
        body = read.data
        headers["Content-Type"] = "application/json"
    basis = NativeCall(body, query, headers, feature=allowed.kind, dropped=tuple(dropped))
    return await _Judge(basis, allowed, client, owners, stores).call(request, read, model_output)


class _Judge(Struct, frozen=True):
    """Decides on one request. `basis` is its call without model, cost and project."""

    basis: NativeCall
    allowed: Permitted
    client: Client
    owners: FileOwners
    stores: bool

    async def call(
        self, request: NativeRequest, read: NamedBody | None, model_output: Callable[[str], ModelOutput]
    ) -> NativeCall:
        name, kind = self.allowed.name, self.allowed.kind
        if kind == "model":
            return await self._model_call(request.path, read or named_body(b"{}"), model_output)
        if kind == "batch":
            return await self._batch(request.path, read or named_body(b"{}"), model_output)
        if kind == "resource":
            if request.method == "PATCH" and name.startswith("cachedContents/"):
                self._check_storage()
            names = {name: name, **(read.names if read is not None else {})}
            deletes = name if request.method == "DELETE" else ""
            return structs.replace(self.basis, project=await self._project(names), deletes=deletes)
        if kind == "stored":
            deletes = name if request.method == "DELETE" else ""
            reads = name if request.method == "GET" and name.startswith("batches/") else ""
            project = await self._project({name: name})
            return structs.replace(self.basis, project=project, deletes=deletes, reads_batch=reads)
        if kind == "interaction":
            return await self._interaction(read or named_body(b"{}"), model_output)
        if kind == "token":
            return await self._token(read or named_body(b"{}"))
        if kind == "upload":
            return await self._upload([value for key, value in request.query if key == "upload_id"])
        if kind == "cache":
            return await self._cache_call(read or named_body(b"{}"))
        self.client.rules.check(request.path.rpartition("/models")[2].removeprefix("/"))
        return structs.replace(self.basis, lists=True)

    async def _model_call(
        self, path: str, read: NamedBody, model_output: Callable[[str], ModelOutput]
    ) -> NativeCall:
        model, method = self.allowed.name, path.rpartition(":")[2]
        self.client.rules.check(model)
        check_models(read.fields, model)
        _check_tools(read)
        most = await offload(
            len(read.data) > HEAVY, cost.call_cost, method, read.fields, len(read.data), model_output(model)
        )
        return structs.replace(
            self.basis, body=read.data, model=model, cost=most, method=method,
            price_factor=cost.factor(read.fields), tier=cost.service_tier(read.fields),
            feature=cost.feature(method, read.fields), candidates=cost.candidates(read.fields),
            project=await self._project(read.names),
        )  # fmt: skip

    async def _batch(
        self, path: str, read: NamedBody, model_output: Callable[[str], ModelOutput]
    ) -> NativeCall:
        """Return the creation of a batch, in the project of the files that its requests name."""
        model, method = self.allowed.name, path.rpartition(":")[2]
        self.client.rules.check(model)
        heavy = len(read.data) > HEAVY
        requests = await offload(heavy, batches.checked_requests, read.fields, model)
        most = await offload(heavy, batches.batch_cost, method, requests, model_output(model))
        return structs.replace(
            self.basis, body=read.data, model=model, cost=most, method=method, feature=method, tier="batch",
            price_factor=batches.tier_factor(requests), project=await self._project(read.names), creates=True,
        )  # fmt: skip

    async def _interaction(self, read: NamedBody, model_output: Callable[[str], ModelOutput]) -> NativeCall:
        """Return the call of an interaction. It is stored only where the operator allows it, for its client alone."""
        fields, dropped = interactions.plain(read.fields, stores=self.stores)
        if not isinstance(read.model, str):
            raise missing("model")
        check_length(read.model)
        model = read.model.removeprefix("models/")
        self.client.rules.check(model)
        before = {f"interactions/{name}": "previous_interaction_id" for name in interactions.previous(fields)}
        if before and not self.stores:
            raise absent(next(iter(before)))
        most = interactions.interaction_cost(fields, len(read.data), model_output(model))
        return structs.replace(
            self.basis, body=encode_json(fields), model=model, cost=most, method=interactions.METHOD,
            price_factor=cost.factor(fields), tier=cost.service_tier(fields),
            feature=interactions.feature(fields),
            dropped=(*self.basis.dropped, *dropped),
            project=await self._project({**before, **read.names, **interactions.files(fields)}),
            stores=fields["store"] is True,
        )  # fmt: skip

    async def _token(self, read: NamedBody) -> NativeCall:
        """Return the creation of an ephemeral token. Its sessions are the key's own, with its rules and budgets."""
        setups = list(cost.values(read.fields, "bidiGenerateContentSetup"))
        models = [model for setup in setups for model in cost.values(setup, "model") if model]
        if len(setups) > 1 or len(models) > 1 or not all(isinstance(model, str) for model in models):
            raise BadRequest(
                "Invalid 'bidiGenerateContentSetup': expected one object with one model.",
                param="bidiGenerateContentSetup",
            )
        model = next(iter(models), "").removeprefix("models/")
        check_length(model)
        self.client.rules.check(model)
        for setup in setups:
            if "fileSearch" in cost.tools(setup):
                raise no_file_search()
        expires = next(iter(cost.values(read.fields, "expireTime")), "")
        wish = TokenRequest(model, expires if isinstance(expires, str) else "")
        return structs.replace(
            self.basis, body=read.data, project=await self._project(read.names), token=wish
        )

    async def _upload(self, uploads: list[str]) -> NativeCall:
        scope, project = (
            await self.owners.upload(",".join(uploads), time()) if uploads else (self.client.scope, "")
        )
        if scope != self.client.scope:
            raise absent("this upload")
        return structs.replace(self.basis, project=project, creates=True)

    async def _cache_call(self, read: NamedBody) -> NativeCall:
        """Return the creation of a cached content, in the project of the files that it names."""
        if not isinstance(read.model, str):
            raise missing("model")
        check_length(read.model)
        model = read.model.removeprefix("models/")
        self.client.rules.check(model)
        self._check_storage()
        _check_tools(read)
        most = cost.call_cost("createCachedContent", read.fields, len(read.data), ModelOutput())
        project = await self._project(read.names)
        return structs.replace(
            self.basis, body=read.data, model=model, cost=most, project=project, creates=True
        )

    async def _project(self, names: dict[str, str]) -> str:
        return await self.owners.project(self.client.scope, names, time())

    def _check_storage(self) -> None:
        """Raise Forbidden for a key with a budget in dollars: Google bills cached contents by the hour."""
        if self.client.rules.dollars:
            raise Forbidden(
                "This API key has a budget in dollars, and Google bills the storage of cached contents by the hour, "
                "which a budget cannot hold.",
                code="not_for_issued_keys",
            )


def _check_tools(read: NamedBody) -> None:
    """Raise Forbidden for a tool that reads what belongs to a whole project."""
    if "fileSearch" in cost.tools(read.fields):
        raise no_file_search()
