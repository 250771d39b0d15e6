"""Batches that are kept: their states."""

from gateway.policy.clients.kept_batches import ENDED, Batch


def test_a_state_is_dated() -> None:
    batch = Batch("a", "s", "", "openai", "/v1/embeddings", 1, 2, looks=5)

    batch.enter("cancelling", 10.9)
    batch.enter("cancelled", 12)

    assert (batch.status, batch.looks, batch.details.at) == (
        "cancelled",
        0,
        {"cancelling": 10, "cancelled": 12},
    )
    assert batch.status in ENDED
