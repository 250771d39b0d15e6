"""Endpoints of the key pool."""

from datetime import UTC, datetime
from time import time

import msgspec
from aiohttp import web
from msgspec import Struct

from gateway.console.endpoint import Done, Endpoint
from gateway.console.sources import Sources, answer
from gateway.exchange.request_body import read_body
from gateway.policy.pool_projects import ADVICE


class PutBack(Struct, forbid_unknown_fields=True):
    """Body of `POST /admin/pool/put_back`."""

    project: str
    key_id: str = ""
    """Id of the key, as `/admin/pool` shows it; "" for the project with all its keys."""


_decode_put_back = msgspec.json.Decoder(PutBack).decode


class Pool:
    """Shows the pool's projects and keys, and lets them be used again."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        return [
            Endpoint("GET", "/admin/pool", self.show, "List projects and keys with their state."),
            Endpoint("POST", "/admin/pool/put_back", self.put_back,
                     "Use a key, or a project with all its keys, again.", body=PutBack, answer=Done),
        ]  # fmt: skip

    async def show(self, _: web.Request) -> web.Response:
        """List projects and keys: ready, cooling down or refused, with reason, end, and what to do about a refusal."""
        states = self._sources.services.exchange.accounting.pool.describe(time())
        data = [
            {
                **msgspec.to_builtins(state),
                "until": _iso(state.until) if state.until else None,
                "advice": ADVICE.get(state.reason, ""),
            }
            for state in states
        ]
        return answer({"data": data})

    async def put_back(self, request: web.Request) -> web.Response:
        """Use a key, or a project with all its keys, again: its refusal was a mistake, or is repaired."""
        body = (await read_body(request)).decode(_decode_put_back)
        accounting = self._sources.services.exchange.accounting
        accounting.on_pool_update(accounting.pool.put_back(body.project, body.key_id, time()))
        await self._sources.audit(request, "pool.put_back", body.project, body.key_id)
        return answer(Done())


def _iso(at: float) -> str:
    return datetime.fromtimestamp(min(at, 4e9), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
