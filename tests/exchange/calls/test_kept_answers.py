"""`test_exchange_cache` holds the cache through a whole gateway; here is which answers are kept."""

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.exchange.calls.kept_answers import keep_answer, kept_answer


class Answers:
    """A cache that takes notes."""

    def __init__(self, messages: list[bytes] | None = None) -> None:
        self.messages = messages
        self.kept: list[Any] = []

    async def get(self, key: bytes, now: float) -> list[bytes] | None:
        return self.messages if key == b"key" else None

    async def put(self, key: bytes, messages: list[bytes], seconds: float, now: float) -> None:
        self.kept.append((key, messages, seconds))


def state(**changes: Any) -> Any:
    fields = {"wanted_key": b"key", "cache_key": b"", "is_fallback": False, "accept_empty": False} | changes
    return SimpleNamespace(
        **fields, report=SimpleNamespace(cached="miss"), context=SimpleNamespace(cache=60.0)
    )


async def test_a_kept_answer_is_a_hit_and_an_absent_one_is_to_be_kept() -> None:
    hit, miss = state(), state(wanted_key=b"another")
    answers: Any = Answers([b"{}"])

    assert await kept_answer(answers, hit) == [b"{}"]
    assert await kept_answer(answers, miss) is None
    assert (hit.report.cached, hit.cache_key) == ("hit", b"")
    assert (miss.report.cached, miss.cache_key) == ("miss", b"another")


@pytest.mark.parametrize(
    ("is_complete", "changes", "is_kept"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"is_fallback": True}, False),
        (True, {"accept_empty": True}, False),
    ],
)
async def test_only_a_complete_answer_of_the_requested_model_is_kept(
    is_complete: bool, changes: dict[str, Any], is_kept: bool
) -> None:
    answers: Any = Answers()
    reader: Any = SimpleNamespace(is_complete=is_complete)
    await keep_answer(answers, state(cache_key=b"key", **changes), [b"{}"], reader)

    assert answers.kept == ([(b"key", [b"{}"], 60.0)] if is_kept else [])
