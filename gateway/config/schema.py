"""JSON Schema of the configuration, for editors."""

import json
from typing import Any

import msgspec

from gateway.config.secret import Secret
from gateway.config.sections import GatewayConfig


def _secret(kind: type) -> dict[str, Any]:
    """Return the schema of a Secret. Raises NotImplementedError, as msgspec expects, for other types."""
    if kind is not Secret:
        raise NotImplementedError(kind)
    references = [
        {"required": [name], "properties": {name: {"type": "string"}}} for name in ("env", "credential")
    ]
    return {"type": "object", "minProperties": 1, "maxProperties": 1, "oneOf": references}


def json_schema() -> str:
    """Return the schema, the content of config/gateway.schema.json."""
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
