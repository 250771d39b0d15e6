"""Request context: the log record that is made of it, and its copy for background work."""

import json
from time import monotonic

import msgspec

from gateway.errors import UpstreamError
from gateway.exchange.context import RequestContext, dry_context
from gateway.exchange.report import ExchangeReport
from gateway.observability.request_log import Trace
from gateway.policy.clients.access import Client


def full() -> RequestContext:
    report = ExchangeReport()
    report.describe("m", "alias", stream=True, notes=["user"])
    report.project, report.attempts, report.adjusted, report.fallbacks = "p", 2, ["n"], ["x overloaded"]
    report.hedge, report.cached, report.failures = "won", "miss", ["overloaded"]
    report.add_chunk_gap(0.25)
    report.fail(UpstreamError("no", code="overloaded", upstream_status=503))
    client = Client("", "f" * 8, "key_1", "key_1")
    return RequestContext(
        "req_1", "POST", "/v1/x", monotonic() - 1, report, Trace("/v1/x", None, 1), "chat", client, 60.0
    )


def test_the_log_line_has_all_fields_in_their_order() -> None:
    context = full()
    context.first_byte()
    line = json.loads(msgspec.json.encode(context.log(200)))
    first_byte, duration = line.pop("first_byte_ms"), line.pop("duration_ms")

    assert list(line.items()) == [
        ("request_id", "req_1"), ("method", "POST"), ("path", "/v1/x"), ("status", 200), ("model", "m"),
        ("requested_model", "alias"), ("stream", True), ("client", "f" * 8), ("key", "key_1"), ("surface", "chat"),
        ("project", "p"), ("upstream_status", 503), ("attempts", 2), ("chunk_gap_ms", 250.0), ("notes", ["user"]),
        ("adjusted", ["n"]), ("fallbacks", ["x overloaded"]), ("hedge", "won"), ("cached", "miss"),
        ("failures", ["overloaded"]), ("error", "overloaded"),
    ]  # fmt: skip
    assert 1000 <= first_byte <= duration < 60_000


def test_unknown_fields_are_not_in_the_line() -> None:
    context = RequestContext("req_1", "GET", "/", monotonic(), ExchangeReport())
    line = json.loads(msgspec.json.encode(context.log(404)))
    del line["duration_ms"]

    assert line == {"request_id": "req_1", "method": "GET", "path": "/", "status": 404}


def test_background_work_has_a_report_of_its_own() -> None:
    context = full()
    background = context.in_background("/v1/x (background)")
    background.report.attempts += 5
    record = background.log(200)

    assert context.report.attempts == 2
    assert (record.path, record.model, record.requested_model, record.notes) == (
        "/v1/x (background)", "m", "alias", ["user"],
    )  # fmt: skip
    assert (record.client, record.key, record.request_id) == ("f" * 8, "key_1", "req_1")
    assert (record.stream, record.project, record.error, record.adjusted) == (False, None, None, [])
    assert background.cache == 0
    assert background.trace is not None
    assert background.trace.background
    assert background.trace.began > 1


def test_a_dry_context_belongs_to_its_client() -> None:
    client = Client("k", "f", "s")

    assert dry_context(client).client is client
    assert dry_context(client).report is not dry_context(client).report
