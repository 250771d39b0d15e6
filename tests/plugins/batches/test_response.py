"""Batches, the answer: OpenAI's own types read it."""

from openai.types import Batch as OpenAIBatch

from gateway.plugins.batches.response import batch_list, batch_object
from gateway.policy.clients.kept_batches import Batch, Details, LineError


def batch(**fields: object) -> Batch:
    details = Details(
        "file-1", at={"in_progress": 3, "failed": 9}, errors=[LineError("x", "Wrong.", 2, "body")]
    )
    return Batch("0" * 24, "s", "", "openai", "/v1/embeddings", 1, 2, "failed", details=details)


def test_a_batch_is_openais() -> None:
    shown = OpenAIBatch.model_validate(batch_object(batch()), strict=True)

    assert (shown.id, shown.in_progress_at, shown.failed_at, shown.completed_at) == (
        "batch_" + "0" * 24,
        3,
        9,
        None,
    )
    assert shown.errors is not None
    assert shown.errors.data is not None
    assert (shown.errors.data[0].line, shown.errors.data[0].param) == (2, "body")
    assert shown.usage is None


def test_usage_is_shown_once_there_is_some() -> None:
    done = batch()
    done.details.usage = {"input": 5, "cached": 2, "output": 7, "thoughts": 3}

    usage = OpenAIBatch.model_validate(batch_object(done), strict=True).usage
    assert usage is not None
    assert (usage.total_tokens, usage.input_tokens_details.cached_tokens) == (12, 2)
    assert usage.output_tokens_details.reasoning_tokens == 3


def test_a_batch_whose_end_is_asked_for_is_cancelling() -> None:
    running = batch()
    running.status, running.cancel_at = "in_progress", 8.5

    shown = batch_object(running)
    assert (shown["status"], shown["cancelling_at"]) == ("cancelling", 8)
    assert batch_list([], has_more=False)["first_id"] is None
