"""Chunks of a stream, and the answer that they join to."""

from typing import Any

import pytest

from gateway.emulator.chunks import joined
from gateway.emulator.request import prompt_tokens
from tests.support.emulator import answer, chunks, config, user

F3, F25, F20 = "gemini-3-flash-preview", "gemini-2.5-flash", "gemini-2.0-flash"


def test_thoughts_come_first_and_are_counted() -> None:
    first, *rest = chunks(F25, "hi there", **config(thinkingConfig={"includeThoughts": True}))
    part = first["candidates"][0]["content"]["parts"][0]

    assert (part["thought"], part["text"][:14]) == (True, "**Thinking**\n\n")
    for chunk in (first, *rest):
        counts = chunk["usageMetadata"]
        assert counts["thoughtsTokenCount"] == 12
        assert counts["totalTokenCount"] == counts["promptTokenCount"] + counts.get("candidatesTokenCount", 0) + 12  # fmt: skip
    assert len(rest) == 3
    off = chunks(F25, "hi", **config(thinkingConfig={"includeThoughts": True, "thinkingBudget": 0}))
    assert "thoughtsTokenCount" not in off[-1]["usageMetadata"]


def test_offsets_of_grounding_are_bytes_and_come_last() -> None:
    stream = chunks(F3, "x", tools=[{"googleSearch": {}}])
    whole = joined(stream)["candidates"][0]
    said = whole["content"]["parts"][0]["text"].encode()

    for support in whole["groundingMetadata"]["groundingSupports"]:
        segment = support["segment"]
        assert said[segment.get("startIndex", 0) : segment["endIndex"]].decode() == segment["text"]
    assert [bool(chunk["candidates"][0]["groundingMetadata"]) for chunk in stream] == [False] * (len(stream) - 1) + [True]  # fmt: skip


def test_calls_of_a_step_share_a_chunk_before_the_last() -> None:
    tools = [{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}]
    first, last = chunks(F3, "call f and g", tools=tools)

    assert len(first["candidates"][0]["content"]["parts"]) == 2
    assert last["candidates"][0]["content"]["parts"] == [{"text": ""}]
    assert last["candidates"][0]["finishMessage"] == "Model generated function call(s)."


def test_several_candidates_have_their_index_and_differ() -> None:
    stream = chunks(F20, "hi", **config(candidateCount=2))
    whole = joined(stream)

    assert [candidate["index"] for candidate in whole["candidates"]] == [0, 1]
    texts = [candidate["content"]["parts"][0]["text"] for candidate in whole["candidates"]]
    assert texts == ["You said: hi", "You said: hi (2)"]
    assert [chunk["candidates"][0]["index"] for chunk in stream] == [0, 1] * 3


def test_log_probabilities_stand_beside_each_word() -> None:
    result = answer(F20, "hi", **config(responseLogprobs=True, logprobs=3))["logprobsResult"]
    alone = answer(F20, "hi", **config(responseLogprobs=True))["logprobsResult"]

    assert "".join(token["token"] for token in result["chosenCandidates"]) == "You said: hi"
    assert [len(top["candidates"]) for top in result["topCandidates"]] == [3] * len(
        result["chosenCandidates"]
    )
    assert len(alone["topCandidates"][0]["candidates"]) == 1


@pytest.mark.parametrize(
    ("chunks_", "expected"),
    [
        ([], {}), ([{}], {}), ([{"a": 1}, {"b": 2}], {"a": 1, "b": 2}),
        ([{"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]}, {"usageMetadata": {}}],
         {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}], "usageMetadata": {}}),
        ([{"candidates": [{"content": {"parts": [{"text": "a"}]}}]}, {"candidates": [{"content": {}, "finishReason": "STOP"}]}],
         {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]}),
        ([{"candidates": [{"content": {"parts": [{"text": "a", "thought": True}]}}]}, {"candidates": [{"content": {"parts": [
            {"text": "b", "thought": True}, {"text": "c"}]}}]}],
         {"candidates": [{"content": {"parts": [{"text": "ab", "thought": True}, {"text": "c"}]}}]}),
    ],
)  # fmt: skip
def test_any_chunks_join(chunks_: list[Any], expected: Any) -> None:
    assert joined(chunks_) == expected


def test_a_limit_ends_in_max_tokens_and_leaves_thoughts_alone() -> None:
    candidate = answer(F25, "hi", **config(maxOutputTokens=1, thinkingConfig={"includeThoughts": True}))

    assert [part["text"] for part in candidate["content"]["parts"]][1:] == ["You "]
    assert candidate["finishReason"] == "MAX_TOKENS"


@pytest.mark.row("T12")
def test_t12_each_answer_has_an_id_of_its_own() -> None:
    ids = [[chunk["responseId"] for chunk in chunks(F3, "hi")] for _ in range(2)]

    assert [len(set(own)) for own in ids] == [1, 1]
    assert ids[0][0] != ids[1][0]


@pytest.mark.row("T12")
def test_t12_the_whole_prompt_is_counted_and_a_call_has_tokens() -> None:
    def counts(**fields: Any) -> dict[str, Any]:
        usage: dict[str, Any] = chunks(F3, "call f", **fields)[-1]["usageMetadata"]
        return usage

    tools = [{"functionDeclarations": [{"name": "f", "description": "d" * 400}]}]
    plain, called = counts(), counts(tools=tools)
    instructed = counts(systemInstruction={"parts": [{"text": "x" * 40}]})

    assert plain["promptTokenCount"] == 2
    assert instructed["promptTokenCount"] == 12
    assert called["promptTokenCount"] > 100
    assert called["candidatesTokenCount"] > 5
    assert called["totalTokenCount"] == called["promptTokenCount"] + called["candidatesTokenCount"]


@pytest.mark.row("T12")
def test_t12_files_calls_and_results_of_a_history_are_counted() -> None:
    call, result = (
        {"functionCall": {"name": "f", "args": {"a": "x" * 40}}},
        {"functionResponse": {"name": "f", "response": {"output": "y" * 400}}},
    )
    png = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}

    assert prompt_tokens({"contents": [user("abcd"), {"role": "model", "parts": [call]}, user(result)]}) > 111
    assert prompt_tokens({"contents": [user("abcd", png)]}) == 259
