"""Endpoints of the key pool."""

from datetime import UTC, datetime
from time import monotonic, time
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from gateway.config.sections import ProjectConfig
from gateway.console.endpoint import Done, Endpoint
from gateway.console.needs_zh import advice, reason
from gateway.console.rows import encoded
from gateway.console.sources import Sources, answer
from gateway.errors import GatewayError, NotFound, scrub
from gateway.exchange.incoming.request_body import read_body
from gateway.exchange.replies.delivery import json_response
from gateway.policy.pool.google_quota import DAY
from gateway.policy.pool.keypool import KeyPool
from gateway.policy.pool.projects import (
    ADVICE,
    PAUSED,
    PUT_BACK,
    KeyState,
    PoolUpdate,
    ProjectModelState,
)
from gateway.policy.pool.vertex_key import VertexKey

_YEAR = 365 * DAY
"""Seconds from which on an end is none: a project is paused until it is resumed, a leaked key until it is put back."""


class PutBack(Struct, forbid_unknown_fields=True):
    """Body of `POST /admin/pool/put_back`."""

    project: str
    key_id: str = ""
    """Id of the key, as `/admin/pool` shows it; "" for the project with all its keys."""


class Clear(Struct, forbid_unknown_fields=True):
    """Body of `POST /admin/pool/PROJECT/clear`; with neither, everything of the project."""

    model: str = ""
    """Model whose cooldowns end and whose learned limits are forgotten."""
    key_id: str = ""
    """Key whose refusal ends."""


class Probe(Struct, forbid_unknown_fields=True):
    """Body of `POST /admin/pool/PROJECT/probe`."""

    model: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,120}$")]


class Probed(Struct, frozen=True):
    """Google's answer to a question for the model."""

    ok: bool
    status: int | None
    ms: float
    said: str = ""


_decode_put_back = msgspec.json.Decoder(PutBack).decode
_decode_clear = msgspec.json.Decoder(Clear).decode
_decode_probe = msgspec.json.Decoder(Probe).decode


class Pool:
    """Shows the pool's projects and keys, and lets them rest or be used again."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        project = "/admin/pool/{project}"
        return [
            Endpoint("GET", "/admin/pool", self.show, "List projects and keys with their state."),
            Endpoint("POST", "/admin/pool/put_back", self.put_back,
                     "Use a key, or a project with all its keys, again.", body=PutBack, answer=Done),
            Endpoint("POST", f"{project}/clear", self.clear, "End the rests of a project, a model or a key.",
                     body=Clear, answer=Done),
            Endpoint("POST", f"{project}/probe", self.probe, "Ask Google for a model with a key of the project.",
                     body=Probe, answer=Probed),
            Endpoint("POST", f"{project}/pause", self.pause, "Do not use a project until it is resumed.", answer=Done),
            Endpoint("POST", f"{project}/resume", self.resume, "Use a paused project again.", answer=Done),
        ]  # fmt: skip

    async def show(self, request: web.Request) -> web.Response:
        """List projects and keys: ready, cooling down or refused, with reason, end, and what to do about a refusal."""
        services, now = self._sources.services, time()
        pool = services.exchange.accounting.pool
        if not pool:
            raise NotFound("This gateway has no pool: set pool.projects.", code="no_pool")
        states = pool.describe(now)
        data = [
            {
                **msgspec.to_builtins(state),
                "until": _iso(state.until) if state.until else None,
                "advice": ADVICE.get(state.reason, ""),
            }
            for state in states
        ]
        projects = [
            _project(
                config,
                [state for state in states if state.project == config.name],
                pool.known_models(config.name),
                now,
            )
            for config in services.config.pool.projects
        ]
        language = request.headers.get("Accept-Language")
        for entry in (
            part for project in projects for part in (project, *project["keys"], *project["cells"])
        ):
            entry["why"] = reason(entry["reason"], language)
            if entry.get("advice"):
                entry["advice"] = advice(entry["reason"], language)
        models = sorted({cell["model"] for project in projects for cell in project["cells"]})
        return json_response(encoded({"data": data, "projects": projects, "models": models}), {})

    async def put_back(self, request: web.Request) -> web.Response:
        """Use a key, or a project with all its keys, again: its refusal was a mistake, or is repaired."""
        body = (await read_body(request)).decode(_decode_put_back)
        self._told(self._pool.put_back(body.project, body.key_id, time()))
        return await self._done(request, "pool.put_back", body.project, body.key_id)

    async def clear(self, request: web.Request) -> web.Response:
        """End what keeps a project, a model or a key from being used. Raises NotFound."""
        body = (await read_body(request)).decode(_decode_clear) if request.can_read_body else Clear()
        project, pool, now = request.match_info["project"], self._pool, time()
        if body.model:
            self._told(pool.order(project, body.model, PUT_BACK, now))
        elif body.key_id:
            self._told(pool.put_back(project, body.key_id, now))
        else:
            self._told(pool.put_back(project, "", now))
            for model, _ in pool.known_models(project):
                self._told(pool.order(project, model, PUT_BACK, now))
        return await self._done(request, "pool.clear", project, body.model or body.key_id)

    async def pause(self, request: web.Request) -> web.Response:
        """Stop using a project, on all machines and across restarts. Raises NotFound."""
        project = request.match_info["project"]
        self._told(self._pool.order(project, "", PAUSED, time()))
        return await self._done(request, "pool.pause", project)

    async def resume(self, request: web.Request) -> web.Response:
        """Use a project again. Raises NotFound."""
        project = request.match_info["project"]
        self._told(self._pool.order(project, "", PUT_BACK, time()))
        return await self._done(request, "pool.resume", project)

    async def probe(self, request: web.Request) -> web.Response:
        """Ask Google for a model's description, or on Vertex AI for a count, which cost nothing. Raises NotFound."""
        model = (await read_body(request)).decode(_decode_probe).model
        project = request.match_info["project"]
        key, began, status, said = self._pool.key(project), monotonic(), 200, ""
        try:
            path, body = (f"models/{model}", None) if not isinstance(key, VertexKey) else _counting(model)
            await self._sources.services.exchange.ask_free(path, key, body)
        except GatewayError as error:
            status, said = error.upstream_status or 0, scrub(error.message[:300])
        await self._sources.audit(request, "pool.probe", project, model)
        ms = round((monotonic() - began) * 1000, 1)
        return answer(Probed(status == 200, status or None, ms, said))

    @property
    def _pool(self) -> KeyPool:
        return self._sources.services.exchange.accounting.pool

    def _told(self, updates: list[PoolUpdate]) -> None:
        """Store changes and publish them to other machines."""
        self._sources.services.exchange.accounting.on_pool_update(updates)

    async def _done(self, request: web.Request, what: str, project: str, detail: str = "") -> web.Response:
        await self._sources.audit(request, what, project, detail)
        return answer(Done())


def _counting(model: str) -> tuple[str, bytes]:
    """Return a call of countTokens: Vertex AI describes no models, and counts for nothing."""
    return f"models/{model}:countTokens", b'{"contents":[{"role":"user","parts":[{"text":"a"}]}]}'


def _project(
    entry: ProjectConfig, states: list[KeyState], models: list[tuple[str, ProjectModelState]], now: float
) -> dict[str, Any]:
    """Return a project with its keys, and a cell for each model that was asked of it."""
    whole = next((state for state in states if not state.key_id and not state.model), None)
    shown = (
        _state(whole, now)
        if whole is not None
        else {"state": "ready", "reason": "", "until": None, "advice": ""}
    )
    cells = [
        _cell(entry.name, model, state, now) for model, state in sorted(models, key=lambda pair: pair[0])
    ]
    for cell in cells:
        if cell["state"] == "ready":
            cell.update(state=shown["state"], reason=shown["reason"])
    return {
        "name": entry.name,
        "kind": "gemini" if entry.vertex is None else "vertex",
        "location": entry.vertex.location if entry.vertex is not None else "",
        **shown,
        "paused": shown["state"] == PAUSED,
        "patterns": list(entry.models),
        "in_flight": sum(cell["in_flight"] for cell in cells),
        "keys": [{"id": key.key_id, **_state(key, now)} for key in states if key.key_id],
        "cells": cells,
    }


def _state(state: KeyState, now: float) -> dict[str, Any]:
    return {
        "state": PAUSED if state.reason == PAUSED else state.state,
        "reason": state.reason,
        "until": state.until if state.until is not None and state.until - now < _YEAR else None,
        "advice": ADVICE.get(state.reason, ""),
    }


def _cell(project: str, model: str, state: ProjectModelState, now: float) -> dict[str, Any]:
    shown = state.describe(project, model, now)
    return {
        "model": model,
        "state": shown.state,
        "reason": shown.reason,
        "until": shown.until,
        "in_flight": state.in_flight,
        "said": state.said,
        "said_at": state.said_at or None,
        "ceilings": [
            {
                "per": "day" if limit.seconds == DAY else "minute",
                "counts": "tokens" if limit.counts_tokens else "requests",
                "limit": limit.limit,
                "used": limit.used,
                "learned": limit.learned,
            }
            for limit in state.quotas.learned(now)
        ],
    }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(min(at, 4e9), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
