"""The file with the results of a message batch."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.errors import GatewayError
from gateway.exchange.batches.results import LineResult
from gateway.gemini.usage import TokenCounts
from gateway.plugins.batches import anthropic_surface
from gateway.plugins.batches.anthropic_surface import MessageSurface
from gateway.policy.clients.kept_batches import Batch
from gateway.store.batches.batch_store import BatchStore


class Messages:
    """The one method of the plugin `messages` that is used here."""

    def error_formats(self) -> Any:
        return {"anthropic": lambda error, _: (error.status, json.dumps({"m": error.message}).encode())}


async def test_each_kind_of_result_is_written_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def results(*_: Any) -> AsyncIterator[LineResult]:
        yield LineResult("a", b'{"x":1}', TokenCounts(prompt=3, completion=2, cached=1))
        yield LineResult("b", error=GatewayError("no"))
        yield LineResult("c", refused=b'{"m":"bad"}')
        yield LineResult("d", unanswered="cancelled")
        yield LineResult("e", unanswered="expired")

    monkeypatch.setattr(anthropic_surface, "results", results)
    surface = MessageSurface(SimpleNamespace(run="google"), SimpleNamespace(plugins={"messages": Messages()}))  # type: ignore[arg-type]
    surface.store = BatchStore(tmp_path)
    batch = Batch("0" * 24, "s", "key_a", "anthropic", "/v1/messages", 1, 2, total=5)
    surface.store.add(batch)
    for _ in range(2):  # a process that was killed before the end writes it again
        await surface.finish(batch, [], None)  # type: ignore[arg-type]

    lines = [json.loads(line) for line in surface.store.results(batch).read_bytes().splitlines()]
    assert [line["custom_id"] for line in lines] == list("abcde")
    assert [line["result"] for line in lines] == [
        {"type": "succeeded", "message": {"x": 1}}, {"type": "errored", "error": {"m": "no"}},
        {"type": "errored", "error": {"m": "bad"}}, {"type": "canceled"}, {"type": "expired"},
    ]  # fmt: skip
    kept = surface.store.get(batch.id)
    assert kept is not None
    assert kept.details.results == {"succeeded": 1, "errored": 2, "canceled": 1, "expired": 1}
    assert kept.details.usage == {"input": 3, "cached": 1, "output": 2, "thoughts": 0}
    assert (kept.completed, kept.failed) == (1, 4)
    assert not list(tmp_path.glob("*.new"))
    assert not surface.runs_here(batch)
    surface.store.close()
