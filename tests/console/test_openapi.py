"""The admin API as OpenAPI."""

import json
from typing import Any

import jsonschema
import msgspec

from gateway.config.admin import AdminConfig
from gateway.console.app import Admin
from gateway.console.openapi import document


def fail() -> Any:
    raise AssertionError


API = Admin(fail, AdminConfig())
DOCUMENT = msgspec.to_builtins(document(API.endpoints))


def test_every_route_is_described_and_none_else() -> None:
    routes = {
        (route.method.lower(), route.resource.canonical)
        for route in API.app().router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    described = {(method, path) for path, operations in DOCUMENT["paths"].items() for method in operations}

    assert routes - described == {
        ("get", "/"),
        ("get", "/console"),
        ("get", "/console/"),
        ("get", "/console/{build}/{name}"),
    }
    assert described <= routes


def test_every_reference_leads_somewhere() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    names = {text.rpartition("/")[2] for text in _references(DOCUMENT)}

    assert names <= set(schemas)
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [text for part in value.values() for text in _references(part)]
    return [text for part in value for text in _references(part)] if isinstance(value, list) else []


def test_each_operation_has_a_name_of_its_own_and_a_sentence() -> None:
    operations = [op for methods in DOCUMENT["paths"].values() for op in methods.values()]
    names = [op["operationId"] for op in operations]

    assert len(set(names)) == len(names)
    assert all(op["summary"].endswith(".") for op in operations)


async def test_it_is_served_to_everybody(admin: Any) -> None:
    async with admin.session.get(
        admin.make_url("/admin/openapi.json"), headers={"Authorization": ""}
    ) as response:
        assert response.status == 200
        assert json.loads(await response.read())["openapi"] == "3.1.0"
