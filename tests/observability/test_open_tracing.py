"""Tracing is opened only when OpenTelemetry's environment variables ask for it, and never stops the gateway."""

import subprocess
import sys

import pytest

from gateway.observability.open_tracing import open_tracing

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_SERVICE_NAME": "x"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "True"},
    ],
)
def test_an_environment_that_does_not_ask_gets_no_traces(environ: dict[str, str]) -> None:
    reasons: list[str] = []

    assert open_tracing(environ, reasons.append) is None
    assert reasons == []


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        (
            {"OTEL_TRACES_EXPORTER": "console"},
            "no traces: OTEL_TRACES_EXPORTER must be otlp",
        ),
        (
            {**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "no traces: OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf",
        ),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"},
            "no traces: OTEL_EXPORTER_OTLP_TRACES_PROTOCOL must be http/protobuf",
        ),
        (
            {**ENDPOINT, "OTEL_BSP_MAX_QUEUE_SIZE": "-1"},
            "no traces: OpenTelemetry refused the OTEL_* variables: ValueError: max_queue_size must be a positive integer.",
        ),
    ],
)  # fmt: skip
def test_traces_that_cannot_be_have_a_reason(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], reason: str
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    reasons: list[str] = []

    assert open_tracing(environ, reasons.append) is None
    assert reasons == [reason]


@pytest.mark.parametrize("environ", [{"OTEL_TRACES_EXPORTER": " OTLP "}, {**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}])  # fmt: skip
@pytest.mark.parametrize("package", ["opentelemetry", "opentelemetry.sdk.trace", "opentelemetry.exporter"])
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], package: str
) -> None:
    for name in list(sys.modules):
        if name == "gateway.observability.tracing" or name.startswith(package + "."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    reasons: list[str] = []

    assert open_tracing(environ, reasons.append) is None
    (reason,) = reasons
    assert reason.startswith("traces need the package opentelemetry")
    assert reason.endswith("in a checkout, pip install '.[otel]'")


def test_opentelemetry_is_not_imported_unless_traces_are_asked_for() -> None:
    program = (
        "import sys, gateway.server.application, gateway.observability.open_tracing as t; t.open_tracing({}, print);"
        " print([name for name in sys.modules if name.startswith(('opentelemetry', 'gateway.observability.tracing'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_complaints_of_the_sdk_are_reported_without_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ENDPOINT, "OTEL_EXPORTER_OTLP_HEADERS": "a secret without a name"}.items():
        monkeypatch.setenv(name, value)
    reasons: list[str] = []
    tracing = open_tracing(ENDPOINT, reasons.append)

    assert tracing is not None
    tracing._provider.shutdown()
    assert reasons[0].startswith("Header format invalid!")
    assert "secret" not in "".join(reasons)
