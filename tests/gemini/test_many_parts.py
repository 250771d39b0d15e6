"""Messages with very many parts."""

import pytest

from gateway.errors import UpstreamError
from gateway.gemini.many_parts import joined
from gateway.gemini.wire import FunctionCall, Part


def test_neighbouring_texts_are_one_part_and_others_stay() -> None:
    signed, call = Part(text="d", thought_signature="s"), Part(function_call=FunctionCall("f"))
    parts = [Part(text="a"), Part(text="b"), Part(text="c", thought=True), signed, call, Part(text="e")]

    assert joined(parts) == [Part(text="ab"), Part(text="c", thought=True), signed, call, Part(text="e")]


def test_more_parts_than_an_answer_can_have_are_the_upstreams_error() -> None:
    parts = [Part(function_call=FunctionCall("f"))] * 10_001

    with pytest.raises(UpstreamError, match="more than 10000 parts"):
        joined(parts)
    assert len(joined(parts[:10_000])) == 10_000
