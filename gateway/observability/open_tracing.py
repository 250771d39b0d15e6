"""Opens tracing when OpenTelemetry's standard environment variables ask for it. The YAML has no section for it.

The variables: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

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
"""The only supported value of a variable."""


def open_tracing(environ: Mapping[str, str], report: Callable[[str], None]) -> "Tracing | None":
    """Return traces if the environment asks for them, else None. Blocks. `report` takes the reason for no traces."""
    if not _wanted(environ):
        return None
    for name, value in _KNOWN.items():
        if environ.get(name, "").strip().lower() not in ("", value):
            report(f"no traces: {name} must be {value}")
            return None
    try:
        from gateway.observability.tracing import exporting  # imports OpenTelemetry, which takes long

        return exporting(report)
    except ImportError as error:
        report(
            f"traces need the package {error.name}: on a server, `gateway plugin install --extra otel`, then "
            "`gateway roll`; in a checkout, pip install '.[otel]'"
        )
    except Exception as error:  # noqa: BLE001 - the SDK raises many kinds for variables; the gateway serves without
        report(f"no traces: OpenTelemetry refused the OTEL_* variables: {type(error).__name__}: {error}")
    return None


def _wanted(environ: Mapping[str, str]) -> bool:
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    return exporter != "none" and bool(exporter or any(environ.get(name) for name in _ENDPOINTS))
