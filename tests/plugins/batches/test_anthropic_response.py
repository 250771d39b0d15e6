"""Anthropic's batches, the answer: the object in each state, and the lines of results."""

import json
from typing import Any

import pytest
from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse

from gateway.plugins.batches.anthropic_response import batch_list, batch_object, errored, unanswered
from gateway.policy.clients.kept_batches import Batch, Status

ORIGIN = "https://gateway.example"


def batch(status: Status = "in_progress", **more: Any) -> Batch:
    return Batch("0" * 24, "s", "key_a", "anthropic", "/v1/messages", 100, 172900, status, total=3, **more)


@pytest.mark.parametrize(
    ("status", "processing"),
    [
        ("validating", "in_progress"), ("in_progress", "in_progress"), ("finalizing", "in_progress"),
        ("cancelling", "canceling"), ("completed", "ended"), ("failed", "ended"), ("expired", "ended"),
        ("cancelled", "ended"),
    ],
)  # fmt: skip
def test_each_state_is_one_of_anthropics(status: Status, processing: str) -> None:
    entry = batch(status)
    entry.details.at[status] = 200
    entry.details.results = {"succeeded": 1, "expired": 2}
    shown = batch_object(entry, ORIGIN)

    assert MessageBatch.model_validate(shown, strict=False).processing_status == processing
    counts = shown["request_counts"]
    assert sum(counts.values()) == 3
    is_ended = processing == "ended"
    assert counts["processing"] == (0 if is_ended else 3)
    assert shown["ended_at"] == ("1970-01-01T00:03:20Z" if is_ended else None)
    assert shown["results_url"] == (
        f"{ORIGIN}/v1/messages/batches/{shown['id']}/results" if is_ended else None
    )
    assert shown["expires_at"] == "1970-01-03T00:01:40Z"


def test_a_wish_to_cancel_is_shown_at_once() -> None:
    shown = batch_object(batch(cancel_at=200.5), ORIGIN)
    assert (shown["processing_status"], shown["cancel_initiated_at"]) == ("canceling", "1970-01-01T00:03:20Z")


def test_an_empty_page_has_no_ids() -> None:
    assert batch_list([], ORIGIN, has_more=False) == {
        "data": [], "first_id": None, "last_id": None, "has_more": False
    }  # fmt: skip


def test_lines_are_what_the_sdk_reads() -> None:
    error = b'{"type":"error","error":{"type":"api_error","message":"no"}}'
    for line, kind in ((errored("a", error), "errored"), (unanswered("a", "expired"), "expired")):
        assert line.endswith(b"\n")
        read = MessageBatchIndividualResponse.model_validate(json.loads(line))
        assert (read.custom_id, read.result.type) == ("a", kind)
