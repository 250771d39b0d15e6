"""Defects seen in other gateways, each with a test named after it."""

import json
from typing import Any

import aiohttp
import pytest

from gateway.errors import BadRequest, UpstreamError
from gateway.gemini import wire as gemini
from gateway.gemini.stream_translator import StreamTranslator
from gateway.gemini.turn_reader import TurnReader
from gateway.plugins.chat.answer_wire import encode
from gateway.plugins.chat.fields import CHAT
from gateway.plugins.chat.response import AnswerOptions, ChatStream, Envelope, completion
from tests.support.chat import gemini_body

USER = {"role": "user", "content": "go"}
TOOL = {"type": "function", "function": {"name": "f"}}


def sent(**body: Any) -> Any:
    """Return the Gemini body of a chat request."""
    body.setdefault("messages", [USER])
    return gemini_body(body)


def candidate(*parts: dict[str, Any], reason: str | None = None, **fields: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": reason, **fields}
    return {"candidates": [{key: value for key, value in candidate.items() if value is not None}]}


def streamed(*chunks: dict[str, Any]) -> list[Any]:
    """Return the chunks for the client; [DONE] is a text."""
    numbers = iter(range(100))
    encoder = ChatStream(Envelope("x", 1, "m"), include_usage=True)
    translator = StreamTranslator(TurnReader(lambda: f"call_{next(numbers)}"), encoder)
    out = b"".join(translator.feed(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n") for chunk in chunks)
    out += translator.close()
    assert translator.error is None
    lines = [line[6:] for line in out.decode().split("\n\n") if line]
    return [json.loads(line) if line != "[DONE]" else line for line in lines]


def whole(answer: dict[str, Any]) -> Any:
    """Return the completion of a whole answer."""
    reader = TurnReader(lambda: "call_x")
    turn = reader.feed(gemini.decode_response(json.dumps(answer).encode())) + reader.close(
        whole=True, accept_empty=True
    )
    return json.loads(encode(completion(turn, Envelope("x", 1, "m"), AnswerOptions())))


def deltas(chunks: list[Any], field: str) -> list[Any]:
    values = [c["choices"][0]["delta"].get(field) for c in chunks if c != "[DONE]" and c["choices"]]
    return [value for value in values if value]


def finish(chunks: list[Any]) -> list[str]:
    reasons = [c["choices"][0]["finish_reason"] for c in chunks if c != "[DONE]" and c["choices"]]
    return [reason for reason in reasons if reason]


CALL = {"functionCall": {"name": "f", "args": {"a": 1}}}


def test_a_call_before_a_stop_chunk_ends_as_tool_calls_and_a_blocked_prompt_is_a_refusal() -> None:
    assert finish(streamed(candidate(CALL), candidate({"text": ""}, reason="STOP"))) == ["tool_calls"]
    blocked = streamed({"promptFeedback": {"blockReason": "SAFETY"}})
    assert deltas(blocked, "refusal") == ["Request blocked by Gemini: SAFETY"]
    assert blocked[-1] == "[DONE]"


def test_parallel_calls_have_an_index_each() -> None:
    chunks = deltas(streamed(candidate(CALL, CALL, reason="STOP")), "tool_calls")

    assert [calls[0]["index"] for calls in chunks] == [0, 1]


def test_every_text_of_a_chunk_arrives_and_the_finish_reason_is_openais() -> None:
    chunks = streamed(candidate({"text": "a"}, {"text": "b"}, reason="MAX_TOKENS"))

    assert "".join(deltas(chunks, "content")) == "ab"
    assert finish(chunks) == ["length"]


def test_a_chunk_of_counts_ends_nothing_the_text_of_a_safety_chunk_stays_and_a_calls_id_is_not_its_name() -> (
    None
):
    chunks = streamed(
        candidate({"text": "a"}),
        {"usageMetadata": {"promptTokenCount": 1}},
        candidate({"text": "b"}, reason="SAFETY"),
    )
    assert "".join(deltas(chunks, "content")) == "ab"
    assert finish(chunks) == ["content_filter"]
    calls = whole(candidate(CALL, CALL, reason="STOP"))["choices"][0]["message"]["tool_calls"]
    assert calls[0]["id"] != "f"


def test_parts_keep_their_order_and_kind_and_zero_is_a_value() -> None:
    history = [USER, {"role": "assistant", "content": "text", "tool_calls": [{"id": "c", **_fn()}]},
               {"role": "tool", "tool_call_id": "c", "content": "1"}]  # fmt: skip
    parts = sent(messages=history)["contents"][1]["parts"]
    assert [next(iter(part)) for part in parts] == ["text", "functionCall"]
    thoughts: list[dict[str, Any]] = [
        {"text": "1", "thought": True},
        {"text": "2", "thought": True},
        {"text": "\n"},
        {"text": "x"},
    ]
    message = whole(candidate(*thoughts, reason="STOP"))["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("12", "\nx")
    assert sent(seed=0, top_p=0)["generationConfig"] == {"topP": 0.0, "seed": 0}


def _fn() -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "arguments": "{}"}}


def test_choice_none_repeated_ids_and_an_answer_without_candidates() -> None:
    assert sent(tools=[TOOL], tool_choice="none")["toolConfig"]["functionCallingConfig"]["mode"] == "NONE"
    step = [
        {"role": "assistant", "tool_calls": [{"id": "c", **_fn()}]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]
    contents = sent(messages=[USER, *step, *step])["contents"]
    assert [content["role"] for content in contents] == ["user", "model", "user", "model", "user"]
    assert whole({})["choices"][0]["message"]["content"] == ""


def test_an_effort_is_a_budget_on_gemini_25() -> None:
    assert sent(reasoning_effort="high")["generationConfig"]["thinkingConfig"] == {
        "includeThoughts": True,
        "thinkingBudget": 24576,
    }


def test_an_omitted_start_is_zero_a_malformed_call_has_its_message_and_an_unknown_effort_is_a_400() -> None:
    grounding = {"groundingChunks": [{"web": {"uri": "https://a.example"}}],
                 "groundingSupports": [{"segment": {"endIndex": 1}, "groundingChunkIndices": [0]}]}  # fmt: skip
    message = whole(candidate({"text": "ab"}, reason="STOP", groundingMetadata=grounding))["choices"][0][
        "message"
    ]
    assert message["annotations"][0]["url_citation"]["start_index"] == 0
    message = whole(candidate(reason="MALFORMED_FUNCTION_CALL", finishMessage="bad"))["choices"][0]["message"]
    assert message["extra_content"]["google"]["finish_message"] == "bad"
    with pytest.raises(BadRequest):
        sent(reasoning_effort="extreme")


def test_recitation_is_a_content_filter() -> None:
    assert (
        whole(candidate({"text": "a"}, reason="RECITATION"))["choices"][0]["finish_reason"]
        == "content_filter"
    )


def test_an_error_inside_a_200_is_an_error() -> None:
    reader = TurnReader(lambda: "")
    with pytest.raises(UpstreamError):
        reader.feed(gemini.decode_response(b'{"error":{"code":503,"message":"x","status":"UNAVAILABLE"}}'))


def test_an_event_is_one_chunk() -> None:
    assert deltas(streamed(candidate({"text": "forty characters"}, reason="STOP")), "content") == [
        "forty characters"
    ]


def test_thoughts_count_as_completion_tokens_and_search_beside_functions_sets_its_flag() -> None:
    usage = {"promptTokenCount": 5, "candidatesTokenCount": 2, "thoughtsTokenCount": 3, "totalTokenCount": 10}
    chunks = streamed({**candidate({"text": "a"}, reason="STOP"), "usageMetadata": usage})
    assert chunks[-2]["usage"]["completion_tokens"] == 5
    body = sent(model="gemini-3-flash-preview", tools=[TOOL], web_search_options={})
    assert body["toolConfig"] == {
        "functionCallingConfig": {"mode": "VALIDATED"},
        "includeServerSideToolInvocations": True,
    }


def test_fields_for_openai_alone_are_not_sent_to_gemini() -> None:
    fields = {name: {} if name == "metadata" else "x" for name in CHAT if CHAT[name].treatment == "ignored"}

    assert set(sent(**fields)) == {"contents"}


def test_texts_around_a_call_are_joined_and_results_are_function_responses() -> None:
    message = whole(candidate({"text": "a"}, CALL, {"text": "b"}, reason="STOP"))["choices"][0]
    assert (message["message"]["content"], message["finish_reason"]) == ("ab", "tool_calls")
    history = [
        USER,
        {"role": "assistant", "tool_calls": [{"id": "c", **_fn()}]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]
    assert "functionResponse" in sent(messages=history)["contents"][2]["parts"][0]


def test_citations_count_code_points() -> None:
    grounding = {"groundingChunks": [{"web": {"uri": "https://a.example"}}],
                 "groundingSupports": [{"segment": {"startIndex": 5, "endIndex": 8, "text": "abc"},
                                        "groundingChunkIndices": [0]}]}  # fmt: skip
    answer = whole(candidate({"text": "😀 abc"}, reason="STOP", groundingMetadata=grounding))
    cited = answer["choices"][0]["message"]["annotations"][0]["url_citation"]

    assert "😀 abc"[cited["start_index"] : cited["end_index"]] == "abc"


def test_calls_in_two_chunks_are_numbered_through() -> None:
    chunks = deltas(streamed(candidate(CALL), candidate(CALL, reason="STOP")), "tool_calls")

    assert [calls[0]["index"] for calls in chunks] == [0, 1]
    assert len({calls[0]["id"] for calls in chunks}) == 2


async def test_realtime_is_a_404(gateway: str, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{gateway}/v1/realtime") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (404, "unknown_url")
