"""Whether traces are wanted: OpenTelemetry's own variables say so, and nothing else (no section of the file)."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.observability.tracing import Tracing

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_KNOWN = {
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
}
"""The one value of a variable that can be followed."""


def open_tracing(environ: Mapping[str, str], tell: Callable[[str], None]) -> "Tracing | None":
    """Traces if the environment asks for them, else None. Blocks. `tell` gets what stands in the way."""
    if not _asked(environ):
        return None
    for name, value in _KNOWN.items():
        if environ.get(name, "").strip().lower() not in ("", value):
            tell(f"there are no traces: {name} can only be {value} here")
            return None
    try:
        from gateway.observability.tracing import (
            exporting,
        )  # with it comes OpenTelemetry: only who traces waits for it

        return exporting(tell)
    except ImportError as error:
        tell(f"traces need the package {error.name}: pip install 'gemini-gateway[otel]'")
    except Exception as error:  # noqa: BLE001 - whatever the SDK raises of variables: the gateway serves without
        tell(f"there are no traces: {error}")
    return None


def _asked(environ: Mapping[str, str]) -> bool:
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    return exporter != "none" and bool(exporter or any(environ.get(name) for name in _ENDPOINTS))
