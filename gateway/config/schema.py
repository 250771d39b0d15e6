"""The JSON Schema of the configuration, for editors and for the reference in the README."""

import json
from typing import Any

import msgspec

from gateway.config.model import GatewayConfig


def json_schema() -> str:
    """What `gateway schema` prints and `config/gateway.schema.json` holds."""
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gateway.yaml",
    }
    return json.dumps(schema | msgspec.json.schema(GatewayConfig), indent=2, ensure_ascii=False) + "\n"
