"""Defects seen in other gateways, each with a test named after it."""

import json
from typing import Any

import aiohttp
import pytest

from gateway.errors import BadRequest
from gateway.gemini import wire as gemini
from gateway.gemini.stream_translator import StreamTranslator
from gateway.gemini.turn_reader import TurnReader
from gateway.plugins.chat.fields import CHAT
from gateway.plugins.chat.response import AnswerOptions, ChatStream, Envelope, completion
from gateway.plugins.chat.wire import encode
from tests.support.chat import gemini_body

USER = {"role": "user", "content": "go"}
TOOL = {"type": "function", "function": {"name": "f"}}


def asked(**body: Any) -> Any:
    """The Gemini body of a chat request."""
    body.setdefault("messages", [USER])
    return gemini_body(body)


def candidate(*parts: dict[str, Any], reason: str | None = None, **fields: Any) -> dict[str, Any]:
    found = {"content": {"role": "model", "parts": list(parts)}, "finishReason": reason, **fields}
    return {"candidates": [{key: value for key, value in found.items() if value is not None}]}


def streamed(*chunks: dict[str, Any]) -> list[Any]:
    """The chunks a client gets, [DONE] as a text."""
    numbers = iter(range(100))
    encoder = ChatStream(Envelope("x", 1, "m"), include_usage=True)
    translator = StreamTranslator(TurnReader(lambda: f"call_{next(numbers)}"), encoder)
    out = b"".join(translator.feed(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n") for chunk in chunks)
    out += translator.close()
    assert translator.error is None
    found = [line[6:] for line in out.decode().split("\n\n") if line]
    return [json.loads(line) if line != "[DONE]" else line for line in found]


def whole(answer: dict[str, Any]) -> Any:
    """The completion of a whole answer."""
    reader = TurnReader(lambda: "call_x")
    turn = reader.feed(gemini.decode_response(json.dumps(answer).encode())) + reader.close(
        whole=True, accept_empty=True
    )
    return json.loads(encode(completion(turn, Envelope("x", 1, "m"), AnswerOptions())))


def deltas(chunks: list[Any], field: str) -> list[Any]:
    found = [c["choices"][0]["delta"].get(field) for c in chunks if c != "[DONE]" and c["choices"]]
    return [value for value in found if value]


def finish(chunks: list[Any]) -> list[str]:
    found = [c["choices"][0]["finish_reason"] for c in chunks if c != "[DONE]" and c["choices"]]
    return [reason for reason in found if reason]


CALL = {"functionCall": {"name": "f", "args": {"a": 1}}}


def test_row_1_a_call_then_a_stop_chunk_ends_as_tool_calls_and_a_blocked_chunk_is_told() -> None:
    assert finish(streamed(candidate(CALL), candidate({"text": ""}, reason="STOP"))) == ["tool_calls"]
    blocked = streamed({"promptFeedback": {"blockReason": "SAFETY"}})
    assert deltas(blocked, "refusal") == ["Request blocked by Gemini: SAFETY"]
    assert blocked[-1] == "[DONE]"


def test_row_2_parallel_calls_have_an_index_each() -> None:
    found = deltas(streamed(candidate(CALL, CALL, reason="STOP")), "tool_calls")

    assert [calls[0]["index"] for calls in found] == [0, 1]


def test_row_3_texts_of_one_chunk_are_all_there_and_the_reasons_are_openais() -> None:
    found = streamed(candidate({"text": "a"}, {"text": "b"}, reason="MAX_TOKENS"))

    assert "".join(deltas(found, "content")) == "ab"
    assert finish(found) == ["length"]


def test_row_4_counts_alone_end_nothing_text_of_a_safety_chunk_stays_and_ids_differ() -> None:
    found = streamed(
        candidate({"text": "a"}),
        {"usageMetadata": {"promptTokenCount": 1}},
        candidate({"text": "b"}, reason="SAFETY"),
    )
    assert "".join(deltas(found, "content")) == "ab"
    assert finish(found) == ["content_filter"]
    calls = whole(candidate(CALL, CALL, reason="STOP"))["choices"][0]["message"]["tool_calls"]
    assert calls[0]["id"] != "f"


def test_row_5_parts_keep_their_order_and_kind_and_zero_is_a_value() -> None:
    history = [USER, {"role": "assistant", "content": "text", "tool_calls": [{"id": "c", **_fn()}]},
               {"role": "tool", "tool_call_id": "c", "content": "1"}]  # fmt: skip
    parts = asked(messages=history)["contents"][1]["parts"]
    assert [next(iter(part)) for part in parts] == ["text", "functionCall"]
    thoughts: list[dict[str, Any]] = [
        {"text": "1", "thought": True},
        {"text": "2", "thought": True},
        {"text": "\n"},
        {"text": "x"},
    ]
    message = whole(candidate(*thoughts, reason="STOP"))["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("12", "\nx")
    assert asked(seed=0, top_p=0)["generationConfig"] == {"topP": 0.0, "seed": 0}


def _fn() -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "arguments": "{}"}}


def test_row_6_choice_none_ids_that_repeat_and_no_candidates_are_all_fine() -> None:
    assert asked(tools=[TOOL], tool_choice="none")["toolConfig"]["functionCallingConfig"]["mode"] == "NONE"
    step = [
        {"role": "assistant", "tool_calls": [{"id": "c", **_fn()}]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]
    contents = asked(messages=[USER, *step, *step])["contents"]
    assert [content["role"] for content in contents] == ["user", "model", "user", "model", "user"]
    assert whole({})["choices"][0]["message"]["content"] == ""


def test_row_7_a_level_is_never_sent_to_25() -> None:
    assert asked(reasoning_effort="high")["generationConfig"]["thinkingConfig"] == {
        "includeThoughts": True,
        "thinkingBudget": 24576,
    }


def test_row_8_an_omitted_start_is_zero_a_malformed_call_is_told_and_an_odd_effort_is_a_400() -> None:
    grounding = {"groundingChunks": [{"web": {"uri": "https://a.example"}}],
                 "groundingSupports": [{"segment": {"endIndex": 1}, "groundingChunkIndices": [0]}]}  # fmt: skip
    message = whole(candidate({"text": "ab"}, reason="STOP", groundingMetadata=grounding))["choices"][0][
        "message"
    ]
    assert message["annotations"][0]["url_citation"]["start_index"] == 0
    told = whole(candidate(reason="MALFORMED_FUNCTION_CALL", finishMessage="bad"))["choices"][0]["message"]
    assert told["extra_content"]["google"]["finish_message"] == "bad"
    with pytest.raises(BadRequest):
        asked(reasoning_effort="extreme")


def test_row_9_recitation_is_a_filter() -> None:
    assert (
        whole(candidate({"text": "a"}, reason="RECITATION"))["choices"][0]["finish_reason"]
        == "content_filter"
    )


def test_row_10_an_upstream_error_is_no_answer() -> None:
    from gateway.errors import UpstreamError

    reader = TurnReader(lambda: "")
    with pytest.raises(UpstreamError):
        reader.feed(gemini.decode_response(b'{"error":{"code":503,"message":"x","status":"UNAVAILABLE"}}'))


def test_row_11_an_event_is_one_chunk_not_one_for_each_character() -> None:
    assert deltas(streamed(candidate({"text": "forty characters"}, reason="STOP")), "content") == [
        "forty characters"
    ]


def test_row_12_counts_are_read_in_streams_with_thoughts_and_search_beside_functions_sets_its_flag() -> None:
    usage = {"promptTokenCount": 5, "candidatesTokenCount": 2, "thoughtsTokenCount": 3, "totalTokenCount": 10}
    found = streamed({**candidate({"text": "a"}, reason="STOP"), "usageMetadata": usage})
    assert found[-2]["usage"]["completion_tokens"] == 5
    body = asked(model="gemini-3-flash-preview", tools=[TOOL], web_search_options={})
    assert body["toolConfig"] == {"includeServerSideToolInvocations": True}


def test_row_13_openais_own_fields_stay_here() -> None:
    sent = {name: {} if name == "metadata" else "x" for name in CHAT if CHAT[name].treatment == "ignored"}

    assert set(asked(**sent)) == {"contents"}


def test_row_14_every_part_counts_and_results_are_no_prose() -> None:
    message = whole(candidate({"text": "a"}, CALL, {"text": "b"}, reason="STOP"))["choices"][0]
    assert (message["message"]["content"], message["finish_reason"]) == ("ab", "tool_calls")
    history = [
        USER,
        {"role": "assistant", "tool_calls": [{"id": "c", **_fn()}]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]
    assert "functionResponse" in asked(messages=history)["contents"][2]["parts"][0]


def test_row_16_citations_count_code_points() -> None:
    grounding = {"groundingChunks": [{"web": {"uri": "https://a.example"}}],
                 "groundingSupports": [{"segment": {"startIndex": 5, "endIndex": 8, "text": "abc"},
                                        "groundingChunkIndices": [0]}]}  # fmt: skip
    found = whole(candidate({"text": "😀 abc"}, reason="STOP", groundingMetadata=grounding))
    cited = found["choices"][0]["message"]["annotations"][0]["url_citation"]

    assert "😀 abc"[cited["start_index"] : cited["end_index"]] == "abc"


def test_row_15_what_is_inherited_elsewhere_calls_in_two_chunks_are_numbered_on() -> None:
    found = deltas(streamed(candidate(CALL), candidate(CALL, reason="STOP")), "tool_calls")

    assert [calls[0]["index"] for calls in found] == [0, 1]
    assert len({calls[0]["id"] for calls in found}) == 2


async def test_row_17_realtime_is_an_honest_404(gateway: str, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{gateway}/v1/realtime") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (404, "unknown_url")
