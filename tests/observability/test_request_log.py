"""The log record of a request: the order of its fields, those left out, and the trace of background work."""

from time import time_ns

import msgspec

from gateway.observability.request_log import RequestLog, Trace


def test_fields_without_a_value_are_left_out_of_the_line() -> None:
    record = RequestLog("r", "POST", "/v1/models", 200, cached="hit", hedge="won", duration_ms=1.5)

    assert msgspec.json.encode(record) == (
        b'{"request_id":"r","method":"POST","path":"/v1/models","status":200,"duration_ms":1.5,"hedge":"won",'
        b'"cached":"hit"}'
    )


def test_a_line_begins_with_what_identifies_the_request_and_ends_with_what_went_wrong() -> None:
    fields = RequestLog.__struct_fields__

    assert fields[:4] == ("request_id", "method", "path", "status")
    assert fields[-4:] == ("failures", "error", "refused_by", "retry_after")


def test_two_records_share_no_list() -> None:
    first, second = (RequestLog(name, "GET", "/") for name in "ab")
    first.adjusted.append("tools")
    first.failures.append("timeout")

    assert (second.adjusted, second.failures) == ([], [])


def test_the_trace_of_background_work_begins_now_below_the_same_parent() -> None:
    before = time_ns()
    trace = Trace("/v1/responses", "00-aa-bb-01", 5)

    later = trace.after()

    assert (later.route, later.parent, later.background) == ("/v1/responses", "00-aa-bb-01", True)
    assert before <= later.began <= time_ns()
    assert trace.background is False
