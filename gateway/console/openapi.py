"""`GET /admin/openapi.json`: the admin API as OpenAPI 3.1, from the table of its endpoints.

https://spec.openapis.org/oas/v3.1.0
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from aiohttp import web

from gateway import __version__
from gateway.config.secret import Secret
from gateway.console.endpoint import Endpoint
from gateway.console.sources import answer

_PLACE = re.compile(r"\{(\w+)\}")
_INTRODUCTION = (
    "Operators' API on the admin listener. Programs send `Authorization: Bearer TOKEN` with `admin.token` or one of "
    "`admin.tokens`; browsers have a session. Errors are in OpenAI's format; their codes stand in docs/refer/errors.md."
)


class OpenApi:
    """Describes the endpoints."""

    def __init__(self, described: Sequence[Endpoint]) -> None:
        self._described = described

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        return [
            Endpoint(
                "GET", "/admin/openapi.json", self.show, "Describe this API as OpenAPI.", access="everybody"
            )
        ]

    async def show(self, _: web.Request) -> web.Response:
        """Answer with the document."""
        return answer(document([*self._described, *self.endpoints()]))


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Return the OpenAPI document of endpoints."""
    endpoints = list(endpoints)
    types = [kind for endpoint in endpoints for kind in (endpoint.body, endpoint.answer) if kind is not None]
    schemas, components = msgspec.json.schema_components(
        types, schema_hook=_secret, ref_template="#/components/schemas/{name}"
    )
    by_type = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, by_type)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Gateway: admin API", "version": __version__, "description": _INTRODUCTION},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"bearer": []}],
    }


def _operation(endpoint: Endpoint, by_type: dict[Any, Any]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PLACE.findall(endpoint.path)
    ]
    parameters += [
        {"name": query.name, "in": "query", "description": query.meaning, "schema": {"type": "string"}}
        for query in endpoint.query
    ]
    schema = by_type[endpoint.answer] if endpoint.answer is not None else {}
    operation: dict[str, Any] = {
        "operationId": endpoint.handler.__qualname__,
        "summary": endpoint.summary,
        "responses": {
            str(endpoint.status): {"description": "done", "content": {endpoint.media: {"schema": schema}}},
            "default": {"description": "an error in OpenAI's format"},
        },
    }
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": by_type[endpoint.body]}}}
    if endpoint.access == "everybody":
        operation["security"] = []
    return operation


def _secret(kind: type) -> dict[str, Any]:
    """Return the schema of a Secret. Raises NotImplementedError, as msgspec expects, for other types."""
    if kind is not Secret:
        raise NotImplementedError(kind)
    return {"type": "string"}
