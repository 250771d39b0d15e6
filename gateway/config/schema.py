"""The JSON Schema of the configuration, for editors and for the reference in the README."""

import json
from typing import Any

import msgspec

from gateway.config.secret import Secret
from gateway.config.sections import GatewayConfig


def _secret(kind: type) -> dict[str, Any]:
    """A reference to where a secret stands. Raises NotImplementedError, msgspec's own word, for other types."""
    if kind is not Secret:
        raise NotImplementedError(kind)
    places = [
        {"required": [name], "properties": {name: {"type": "string"}}} for name in ("env", "credential")
    ]
    return {"type": "object", "minProperties": 1, "maxProperties": 1, "oneOf": places}


def json_schema() -> str:
    """What `gateway schema` prints and `config/gateway.schema.json` holds."""
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gateway.yaml",
    }
    return (
        json.dumps(
            schema | msgspec.json.schema(GatewayConfig, schema_hook=_secret), indent=2, ensure_ascii=False
        )
        + "\n"
    )
