"""Batches, the answer: OpenAI's Batch object, and pages of them."""

from collections.abc import Sequence
from typing import Any

from gateway.conversation.notes import brief
from gateway.policy.clients.kept_batches import ENDED, Batch

Object = dict[str, Any]
_DATED = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
"""States whose beginning is shown."""


def batch_object(batch: Batch) -> Object:
    """Return OpenAI's Batch."""
    details, status = batch.details, batch.status
    dates = {f"{state}_at": details.at.get(state) for state in _DATED}
    if batch.cancel_at and status not in ENDED:
        status, dates["cancelling_at"] = "cancelling", int(batch.cancel_at)
    errors = None
    if details.errors:
        data = [
            {"code": e.code, "line": e.line, "message": e.message, "param": e.param} for e in details.errors
        ]
        errors = {"object": "list", "data": data}
    result = {
        "id": f"batch_{batch.id}", "object": "batch", "endpoint": batch.endpoint, "errors": errors,
        "input_file_id": details.input_file, "completion_window": details.completion_window, "status": status,
        "output_file_id": details.output_file, "error_file_id": details.error_file, "created_at": batch.created_at,
        "expires_at": batch.expires_at, **dates,
        "request_counts": {"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        "metadata": details.metadata, "model": details.model,
    }  # fmt: skip
    if details.usage:
        result["usage"] = _usage(details.usage)
    return result


def note_headers(batch: Batch) -> dict[str, str]:
    """Return the header with the fields of a batch's lines that were not honoured."""
    notes = batch.details.notes
    return {"x-gateway-notes": ",".join(brief(list(notes)))} if notes else {}


def batch_list(batches: Sequence[Batch], *, has_more: bool) -> Object:
    """Return OpenAI's list."""
    data = [batch_object(batch) for batch in batches]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more}


def _usage(counts: dict[str, int]) -> Object:
    read, written = counts.get("input", 0), counts.get("output", 0)
    return {
        "input_tokens": read, "input_tokens_details": {"cached_tokens": counts.get("cached", 0)},
        "output_tokens": written, "output_tokens_details": {"reasoning_tokens": counts.get("thoughts", 0)},
        "total_tokens": read + written,
    }  # fmt: skip
