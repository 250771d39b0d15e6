"""Blocks of an unknown kind told as text, within bounds."""

from time import thread_time
from typing import Any

import pytest

from gateway.conversation.foreign.telling import MOST_TOLD, tell


def _text(value: dict[str, Any]) -> str:
    return tell(value, "odd").text or ""


@pytest.mark.row("G5")
def test_g05_a_block_is_told_by_its_type_and_fields() -> None:
    block = {"type": "odd", "a": 1, "b": {"c": ["d"]}, "none": None, "empty": "", "signature": "s"}

    assert _text(block) == '[odd] {"a":1,"b":{"c":["d"]}}'


def test_a_block_without_fields_is_its_type() -> None:
    assert _text({"type": "odd"}) == "[odd]"


@pytest.mark.parametrize(
    "value", ["x" * 10**6, ["y" * 5000] * 10**3, list(range(10**6)), {"z" * 10**6: 1}], ids=["text", "texts", "list", "key"]
)  # fmt: skip
def test_what_is_told_is_bounded(value: object) -> None:
    began = thread_time()
    text = _text({"type": "odd", "big": value})

    assert len(text) <= MOST_TOLD + 100
    assert thread_time() - began < 0.5
