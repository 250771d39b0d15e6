"""Cached contents in memory, those of each key apart (https://ai.google.dev/api/caching)."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
from aiohttp import web

from gateway.emulator.errors import Refusal, RefusedError, key_refusal, model_refusal
from gateway.emulator.files_api import not_found
from gateway.emulator.messages import decode
from gateway.emulator.models import model_of
from gateway.emulator.objects import Fields, Objects
from gateway.emulator.request import prompt_tokens
from gateway.emulator.rest import VERSION, decoded, key_of, page, refused, reply

_SECONDS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")
"""A google.protobuf.Duration in JSON (https://protobuf.dev/programming-guides/json/)."""
_DEFAULT_TTL = 3600.0
"""One hour (https://ai.google.dev/gemini-api/docs/caching)."""
_OTHER_MODEL = (
    "Model used by GenerateContent request ({asked}) and CachedContent ({cached}) has to be the same."
)


class CachesApi:
    """The methods of cached contents. `foreign` returns the refusal of a body that names another key's object."""

    def __init__(
        self,
        objects: Objects,
        foreign: Callable[[web.Request, Any], Refusal | None],
        now: Callable[[], float],
    ) -> None:
        self._objects = objects
        self._foreign = foreign
        self._now = now

    def routes(self) -> list[web.RouteDef]:
        path = VERSION + "/cachedContents"
        return [
            web.post(path, self.create),
            web.get(path, self.list_caches),
            *(web.route(method, path + "/{id}", self.one) for method in ("GET", "PATCH", "DELETE")),
        ]

    def used(self, request: web.Request, model: str, body: dict[str, Any]) -> int:
        """Return the tokens of the cached content that a request of a model names, 0 without one.

        A name that the emulator does not know counts as empty. Raises RefusedError for a cache of another model, or one
        that has expired.
        """
        name = body.get("cachedContent")
        fields = self._objects.get(key_of(request), name) if isinstance(name, str) else None
        if fields is None:
            return 0
        if datetime.fromisoformat(fields["expireTime"]).timestamp() <= self._now():
            raise RefusedError.of(not_found(str(name)))
        if fields["model"] != f"models/{model}":
            raise RefusedError(_OTHER_MODEL.format(asked=f"models/{model}", cached=fields["model"]))
        tokens: int = fields["usageMetadata"]["totalTokenCount"]
        return tokens

    async def create(self, request: web.Request) -> web.Response:
        """Create a cache of contents."""
        if (refusal := key_refusal(request)) is not None:
            return refused(refusal)
        body = decoded(await request.read())
        try:
            if (refusal := self._foreign(request, body)) is not None:
                return refused(refusal)
            cached = decode(body, "CachedContent")
            fields = {**self._fields(cached), **self._end(cached)}
        except RefusedError as error:
            return refused(error.refusal)
        self._objects.add(key_of(request), fields["name"], fields)
        return reply(fields)

    async def list_caches(self, request: web.Request) -> web.Response:
        """List a key's caches."""
        if (refusal := key_refusal(request)) is not None:
            return refused(refusal)
        try:
            return reply(
                page(request, self._objects.of(key_of(request), "cachedContents/"), "cachedContents")
            )
        except RefusedError as error:
            return refused(error.refusal)

    async def one(self, request: web.Request) -> web.Response:
        """Answer GET, PATCH (of the expiration alone) and DELETE."""
        name = f"cachedContents/{request.match_info['id']}"
        if (refusal := key_refusal(request)) is not None:
            return refused(refusal)
        fields = self._objects.get(key_of(request), name)
        if fields is None:
            return refused(not_found(name))
        if request.method == "DELETE":
            self._objects.remove(name)
            return reply({})
        if request.method == "PATCH":
            try:
                changes = decode(decoded(await request.read()), "CachedContent")
                if "ttl" in changes or "expireTime" in changes:
                    fields |= self._end(changes)
            except RefusedError as error:
                return refused(error.refusal)
        return reply(fields)

    def _fields(self, cached: dict[str, Any]) -> Fields:
        """Return the fields of a new cache. Raises RefusedError for no model, or too few tokens."""
        model = str(cached.get("model") or "").removeprefix("models/")
        if not model:
            raise RefusedError("* CreateCachedContentRequest.model: model is required")
        refusal = model_refusal(model, "createCachedContent")
        if refusal is not None:
            raise RefusedError.of(refusal)
        tools = cached.get("tools") or ()
        tokens = prompt_tokens(cached) + -(-len(msgspec.json.encode(tools)) // 4 if tools else 0)
        least = model_of(model).least_cached
        if tokens < least:
            # https://github.com/BerriAI/litellm/issues/17696
            raise RefusedError(
                f"Cached content is too small. total_token_count={tokens}, min_total_token_count={least}"
            )
        return {
            "name": f"cachedContents/{uuid4().hex[:12]}", "model": f"models/{model}",
            **{k: v for k, v in cached.items() if k == "displayName"}, "createTime": self._time(0),
            "updateTime": self._time(0), "usageMetadata": {"totalTokenCount": tokens},
        }  # fmt: skip

    def _end(self, cached: dict[str, Any]) -> Fields:
        """Return `expireTime`, which a `ttl` sets too; Google answers with the former alone."""
        if end := cached.get("expireTime"):
            try:
                datetime.fromisoformat(end)
            except ValueError:
                raise RefusedError(
                    f"Invalid value at 'expire_time' (type.googleapis.com/google.protobuf.Timestamp), \"{end}\""
                ) from None
            return {"expireTime": end}
        duration = cached.get("ttl") or f"{_DEFAULT_TTL}s"
        if (ttl := _SECONDS.fullmatch(duration)) is None:
            raise RefusedError(
                f"Invalid value at 'ttl' (type.googleapis.com/google.protobuf.Duration), \"{duration}\""
            )
        return {"expireTime": self._time(float(ttl[1]))}

    def _time(self, later: float) -> str:
        moment = datetime.fromtimestamp(self._now(), UTC) + timedelta(seconds=later)
        return moment.isoformat().replace("+00:00", "Z")
