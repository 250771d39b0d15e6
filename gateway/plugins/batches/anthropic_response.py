"""Anthropic's batches, the answer: the objects of batches, and the lines of their results.

See https://docs.anthropic.com/en/api/retrieving-message-batches and
https://docs.anthropic.com/en/api/retrieving-message-batch-results.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from gateway.policy.clients.kept_batches import ENDED, Batch

Object = dict[str, Any]
PREFIX = "msgbatch_"


def batch_object(batch: Batch, origin: str) -> Object:
    """Return a MessageBatch. `origin` is the gateway's scheme and host, as the client sees them."""
    name, at = PREFIX + batch.id, batch.details.at
    is_ended = batch.status in ENDED
    results = f"{origin}/v1/messages/batches/{name}/results" if is_ended else None
    return {
        "id": name, "type": "message_batch", "processing_status": _processing(batch),
        "request_counts": _counts(batch), "created_at": _time(batch.created_at),
        "expires_at": _time(batch.expires_at), "ended_at": _time(at.get(batch.status)) if is_ended else None,
        "cancel_initiated_at": _time(int(batch.cancel_at) or None), "archived_at": None, "results_url": results,
    }  # fmt: skip


def batch_list(batches: Sequence[Batch], origin: str, *, has_more: bool) -> Object:
    """Return a page of batches."""
    data = [batch_object(batch, origin) for batch in batches]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "first_id": first, "last_id": last, "has_more": has_more}


def deleted(name: str) -> Object:
    """Return the answer to a deletion."""
    return {"id": name, "type": "message_batch_deleted"}


def succeeded(custom_id: str, message: bytes) -> bytes:
    """Return the result of a request that was answered. `message` is the encoded Message."""
    return _line(custom_id, b'{"type":"succeeded","message":%b}' % message)


def errored(custom_id: str, error: bytes) -> bytes:
    """Return the result of a request that failed. `error` is the encoded answer to a failed request."""
    return _line(custom_id, b'{"type":"errored","error":%b}' % error)


def unanswered(custom_id: str, kind: str) -> bytes:
    """Return the result of a request that was not answered: `canceled` or `expired`."""
    return _line(custom_id, b'{"type":"%b"}' % kind.encode())


def _line(custom_id: str, result: bytes) -> bytes:
    return b'{"custom_id":%b,"result":%b}\n' % (msgspec.json.encode(custom_id), result)


def _processing(batch: Batch) -> str:
    if batch.status in ENDED:
        return "ended"
    return "canceling" if batch.cancel_at or batch.status == "cancelling" else "in_progress"


def _counts(batch: Batch) -> dict[str, int]:
    """Return the requests by their results, all of which are `processing` until the batch has ended."""
    counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
    if batch.status not in ENDED:
        return counts | {"processing": batch.total}
    return counts | batch.details.results


def _time(seconds: int | None) -> str | None:
    """Return a time as RFC 3339 has it."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
