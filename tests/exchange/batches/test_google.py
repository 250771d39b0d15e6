"""Google's batches, read: states, counts in texts, answers inline or by file, and errors of lines."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import UpstreamError
from gateway.exchange.batches.google import (
    file_body,
    inline_body,
    line_error,
    read_batch,
    read_line,
    read_page,
    request_line,
    requests,
)
from gateway.policy.clients.kept_batches import Part


def batch(**metadata: Any) -> bytes:
    return json.dumps(
        {"name": "batches/x", "done": metadata.pop("done", False), "metadata": metadata}
    ).encode()


@pytest.mark.parametrize(
    ("state", "done", "result"),
    [
        ("BATCH_STATE_PENDING", False, ""),
        ("JOB_STATE_QUEUED", False, ""),
        ("BATCH_STATE_RUNNING", False, ""),
        ("JOB_STATE_PAUSED", False, ""),
        ("BATCH_STATE_NEW_WORD", False, ""),
        ("BATCH_STATE_SUCCEEDED", True, "SUCCEEDED"),
        ("JOB_STATE_PARTIALLY_SUCCEEDED", True, "PARTIALLY_SUCCEEDED"),
        ("JOB_STATE_FAILED", False, "FAILED"),
        ("BATCH_STATE_EXPIRED", True, "EXPIRED"),
        ("BATCH_STATE_CANCELLED", True, "CANCELLED"),
        ("", True, "SUCCEEDED"),
    ],
)
def test_a_state_is_read_in_either_spelling(state: str, done: bool, result: str) -> None:
    assert read_batch(batch(state=state, done=done)).state == result


def test_counts_are_texts_and_the_answers_are_in_either_place() -> None:
    stats = {"requestCount": "3", "successfulRequestCount": "2", "failedRequestCount": "1"}
    google = read_batch(batch(batchStats=stats, output={"responsesFile": "files/y"}))
    assert (google.metadata.batch_stats.successful_request_count, google.output.responses_file) == (
        2,
        "files/y",
    )
    answers = {"inlinedResponses": {"inlinedResponses": [{"response": {}, "metadata": {"key": "4"}}]}}
    google = read_batch(json.dumps({"response": answers}).encode())
    assert google.output.inlined_responses is not None
    line = read_line(google.output.inlined_responses.inlined_responses[0])
    assert line is not None
    assert line.name == "4"


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b'{"name": 7}'])
def test_what_is_no_batch_is_an_error(data: bytes) -> None:
    with pytest.raises(UpstreamError):
        read_batch(data)
    with pytest.raises(UpstreamError):
        read_page(data.replace(b"name", b"operations"))
    assert read_line(data.replace(b"name", b"key")) is None


def test_requests_are_inline_or_a_file_with_the_same_keys(tmp_path: Path) -> None:
    path, part = (
        tmp_path / "requests",
        Part("batch_1-0", "1", 0, "batchGenerateContent", "m", upload="files/x"),
    )
    bodies = {"0": b'{"a":"},\\"request\\":"}', "7.1": b"{}"}
    path.write_bytes(b"".join(request_line(key, body) for key, body in bodies.items()))

    assert dict(requests(path)) == bodies
    assert [json.loads(each)["key"] for each in path.read_bytes().splitlines()] == ["0", "7.1"]
    sent = json.loads(inline_body(part, path))["batch"]
    assert sent["displayName"] == "batch_1-0"
    assert sent["inputConfig"]["requests"]["requests"] == [
        {"request": json.loads(body), "metadata": {"key": key}} for key, body in bodies.items()
    ]
    assert json.loads(file_body(part))["batch"]["inputConfig"] == {"fileName": "files/x"}


@pytest.mark.parametrize(
    ("status", "http", "code"),
    [
        ({"code": 13, "message": "internal"}, 500, "internal_error"),
        ({"code": 14, "message": "overloaded"}, 503, "internal_error"),
        ({"code": 3, "message": "wrong"}, 400, None),
        ({"code": 400, "message": "wrong", "status": "INVALID_ARGUMENT"}, 400, None),
        ({"code": 8, "message": "quota"}, 429, "rate_limit_exceeded"),
        ({"code": 99}, 500, "internal_error"),
        ([], 500, "internal_error"),
    ],
)
def test_the_error_of_a_line_has_its_http_status(status: Any, http: int, code: str | None) -> None:
    error = line_error(json.dumps(status).encode())

    assert error.status == http
    assert code is None or error.code == code
