"""Answers and chunks of Gemini, read into events."""

import json
import tracemalloc
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from gateway.errors import GatewayError, UnusableAnswer, UpstreamTruncated
from gateway.gemini.call_names import CallRules
from gateway.gemini.events import (
    Citations,
    CodePart,
    Event,
    FilePart,
    Finished,
    MediaPart,
    ServerTool,
    TextDelta,
    ThoughtDelta,
    ToolCall,
    TurnEnded,
    TurnStarted,
)
from gateway.gemini.grounding import Citation
from gateway.gemini.stream_translator import decode
from gateway.gemini.thought_signatures import SignatureKeys
from gateway.gemini.turn_reader import TurnReader
from gateway.gemini.usage import TokenCounts

CALL = {"functionCall": {"name": "f", "args": {"a": 1.50}}}


def reader(**options: Any) -> TurnReader:
    numbers: Iterator[int] = count()
    return TurnReader(lambda: f"call_{next(numbers)}", **options)


def chunk(*parts: dict[str, Any], **candidate: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, **candidate}]}


def streamed(*chunks: dict[str, Any], by: TurnReader | None = None) -> list[Event]:
    """Return the events of a stream, without the first one."""
    by = by or reader()
    events: list[Event] = []
    for message in chunks:
        events += by.feed(decode(json.dumps(message).encode()))
    return [event for event in events + by.close() if not isinstance(event, TurnStarted)]


def whole(
    message: dict[str, Any], *, accept_empty: bool = False, by: TurnReader | None = None
) -> list[Event]:
    """Return the events of a unary answer, without the first one."""
    by = by or reader()
    events = by.feed(decode(json.dumps(message).encode()))
    events += by.close(whole=True, accept_empty=accept_empty)
    return [event for event in events if not isinstance(event, TurnStarted)]


def finished(events: list[Event]) -> Finished:
    (event,) = [event for event in events if isinstance(event, Finished)]
    return event


def test_the_answer_starts_once_with_its_names() -> None:
    first = {**chunk({"text": "a"}), "responseId": "r", "modelVersion": "gemini-x"}
    by = reader()
    by.model = "asked"

    (start, text) = by.feed(decode(json.dumps(first).encode()))
    assert (start, text) == (TurnStarted("r", "gemini-x"), TextDelta(0, "a"))
    assert by.feed(decode(json.dumps(chunk({"text": "b"})).encode())) == [TextDelta(0, "b")]


def test_an_answer_without_a_model_has_the_requested_one() -> None:
    by = reader()
    by.model = "asked"

    assert by.feed(decode(b"{}")) == [TurnStarted(None, "asked")]


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("tuned/a.b@c:1", "tuned/a.b@c:1"),
        ("x" * 128, "x" * 128),
        ("x" * 129, "asked"),
        ("evil\r\nX: 1", "asked"),
        ("gemini-x\n", "asked"),
        ("g\u00e9mini", "asked"),
        ("", "asked"),
    ],
)
def test_a_model_s_name_fits_a_header(name: str, model: str) -> None:
    by = reader()
    by.model = "asked"

    assert by.feed(decode(json.dumps({"modelVersion": name}).encode())) == [TurnStarted(None, model)]


def test_thoughts_and_text_are_separate() -> None:
    events = whole(chunk({"text": "T", "thought": True}, {"text": "A"}, {"text": ""}, {"text": "B"}))

    assert events[:3] == [ThoughtDelta(0, "T"), TextDelta(0, "A"), TextDelta(0, "B")]


def test_calls_have_compact_arguments_with_their_numbers_unchanged() -> None:
    raw = b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","id":"x","args":{ "a" : 1.50 }}}]}}]}'
    events = reader().feed(decode(raw))

    assert events[1:] == [ToolCall(0, "x", "f", '{"a":1.50}')]


def test_calls_get_an_id_where_it_is_missing_or_repeated() -> None:
    parts = [
        {"functionCall": {"name": "f", **extra}} for extra in ({}, {"id": "x"}, {"id": "x"}, {"args": None})
    ]
    calls = [event for event in whole(chunk(*parts)) if isinstance(event, ToolCall)]

    assert [(call.id, call.arguments) for call in calls] == [
        ("call_0", "{}"), ("x", "{}"), ("call_1", "{}"), ("call_2", "{}"),
    ]  # fmt: skip


def test_calls_have_the_clients_names() -> None:
    rules = CallRules({"f": "my f"}, frozenset({"f"}))
    (call, *_) = whole(chunk({"functionCall": {"name": "default_api.f"}}), by=reader(rules=rules))

    assert isinstance(call, ToolCall)
    assert call.name == "my f"


def test_without_parallel_calls_only_the_first_counts() -> None:
    events = whole(chunk(CALL, CALL), by=reader(rules=CallRules(single=True)))

    assert [type(event) for event in events] == [ToolCall, Finished, TurnEnded]


def test_a_call_without_a_name_is_no_event() -> None:
    assert [type(event) for event in whole(chunk({"functionCall": {}}, {"text": "a"}))] == [
        TextDelta, Finished, TurnEnded,
    ]  # fmt: skip


def test_stop_after_a_call_means_tool_calls() -> None:
    events = streamed(chunk(CALL), chunk({"text": ""}, finishReason="STOP"))

    assert finished(events).reason == "tool_calls"


def test_signatures_of_calls_and_images_are_kept_for_the_store() -> None:
    keys = SignatureKeys("scope")
    by = reader(keyring=keys)
    image = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    events = whole(
        chunk(
            {**CALL, "thoughtSignature": "S1"},
            {**image, "thoughtSignature": "S2"},
            {"text": "a", "thoughtSignature": "S3"},
        ),
        by=by,
    )

    assert [(signed.keys, signed.signature) for signed in by.signed] == [
        (keys.call("call_0", "f", '{"a":1.5}'), "S1"), (keys.image("AA=="), "S2"),
    ]  # fmt: skip
    assert isinstance(events[0], ToolCall)
    assert events[0].signature == "S1"
    assert finished(events).signature == "S3"


def test_media_files_and_code() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    events = whole(chunk(
        {"text": "ab"}, {**image, "thought": True}, image, {"fileData": {"fileUri": "u", "mimeType": "m"}},
        {"executableCode": {"code": "1"}}, {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "o"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "e"}}, {"hologram": 1},
    ))  # fmt: skip

    assert events[1:6] == [
        MediaPart(0, "image/png", "AA=="), FilePart(0, "u", "m"), CodePart(0, source="1", at=2),
        CodePart(0, output="o", at=2), CodePart(0, output="e", failed=True, at=2),
    ]  # fmt: skip
    assert [type(event) for event in events[6:]] == [Finished, TurnEnded]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("STOP", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("PROHIBITED_CONTENT", "content_filter"),
     ("IMAGE_SAFETY", "content_filter"), ("MALFORMED_FUNCTION_CALL", "stop"), ("NEW_THING", "stop"), (None, "stop"),
     (1, "stop"), (2, "length"), (3, "content_filter"), (99, "stop"), ("OTHER", "stop")],
)  # fmt: skip
def test_every_finish_reason_is_one_of_openais(reason: Any, expected: str) -> None:
    event = finished(whole(chunk({"text": "x"}, finishReason=reason)))

    assert (event.reason, event.refusal) == (expected, None)


@pytest.mark.parametrize(
    ("candidate", "refusal"),
    [
        ({"finishReason": "SAFETY", "safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "blocked": True},
                                                      {"category": "HARM_CATEGORY_HATE_SPEECH"}]},
         "Answer blocked by Gemini: SAFETY, HARM_CATEGORY_HARASSMENT"),
        ({"finishReason": "OTHER"}, "Answer blocked by Gemini: OTHER"),
    ],
)  # fmt: skip
def test_an_empty_filtered_answer_is_a_refusal(candidate: dict[str, Any], refusal: str) -> None:
    event = finished(whole({"candidates": [candidate]}))

    assert (event.reason, event.refusal) == ("content_filter", refusal)


@pytest.mark.parametrize(
    ("feedback", "reason"),
    [({"blockReason": "SAFETY"}, "SAFETY"), ({"blockReason": "OTHER", "blockReasonMessage": "why"}, "why")],
)
def test_a_blocked_prompt_is_a_refusal(feedback: dict[str, Any], reason: str) -> None:
    events = streamed(
        {"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 4}}, by=reader(base=2)
    )

    assert events == [
        Finished(2, "content_filter", f"Request blocked by Gemini: {reason}"), TurnEnded(TokenCounts(4)),
    ]  # fmt: skip


def test_feedback_beside_an_answer_is_no_block() -> None:
    events = whole({**chunk({"text": "x"}), "promptFeedback": {"blockReason": "SAFETY"}})

    assert finished(events) == Finished(0, "stop")


def test_a_stream_without_a_finish_reason_is_truncated() -> None:
    for chunks in ([chunk({"text": "a"})], []):
        with pytest.raises(UpstreamTruncated, match="ended before completion"):
            streamed(*chunks)


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ({}, "no candidate"),
        ({"candidates": [{"finishReason": "STOP"}]}, "STOP"),
        (chunk({"text": "T", "thought": True}, finishReason="STOP"), "STOP"),
        ({"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]}, "MALFORMED_FUNCTION_CALL"),
        ({"candidates": [{"finishReason": 10}]}, "MALFORMED_FUNCTION_CALL"),
    ],
)
def test_an_empty_answer_is_unusable_until_it_is_accepted(message: dict[str, Any], cause: str) -> None:
    with pytest.raises(UnusableAnswer) as caught:
        whole(message)

    assert caught.value.cause == cause
    assert finished(whole(message, accept_empty=True)).reason == "stop"


@pytest.mark.parametrize("reason", ["MAX_TOKENS", "SAFETY", "OTHER"])
def test_an_empty_answer_with_a_reason_is_an_answer(reason: str) -> None:
    assert whole({"candidates": [{"finishReason": reason}]})[-1] == TurnEnded(TokenCounts())


def test_a_broken_answer_brings_geminis_message() -> None:
    event = finished(whole(chunk({"text": "x"}, finishReason="MALFORMED_FUNCTION_CALL", finishMessage="bad")))
    usual = finished(
        whole(chunk(CALL, finishReason="STOP", finishMessage="Model generated function call(s)."))
    )

    assert (event.message, usual.message) == ("bad", None)


def test_an_error_inside_a_200_is_raised() -> None:
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    with pytest.raises(GatewayError) as caught:
        streamed(chunk({"text": "a"}), error)

    assert (caught.value.status, caught.value.code) == (503, "overloaded")


def test_candidates_are_numbered_from_the_base() -> None:
    message = {"candidates": [
        {"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"},
        {"content": {"parts": [{"text": "b"}]}, "finishReason": "MAX_TOKENS", "index": 1},
    ]}  # fmt: skip

    assert streamed(message, by=reader(base=4, most=2))[:4] == [
        TextDelta(4, "a"), TextDelta(5, "b"), Finished(4, "stop"), Finished(5, "length"),
    ]  # fmt: skip


@pytest.mark.row("A21")
@pytest.mark.parametrize(
    ("indexes", "most", "expected"),
    [
        ([5], 1, {4: "a"}),
        ([-1], 1, {4: "a"}),
        ([2**62], 8, {4: "a"}),
        ([0, 1], 1, {4: "a"}),
        ([1, 0], 1, {4: "b"}),
        ([1, 0], 2, {4: "b", 5: "a"}),
        ([None, None, None], 2, {4: "a", 5: "b"}),
        ([7, -7, 9], 2, {4: "a", 5: "b"}),
    ],
)
def test_a21_an_index_that_nobody_asked_for(
    indexes: list[int | None], most: int, expected: dict[int, str]
) -> None:
    candidates = [
        {"content": {"parts": [{"text": text}]}, "finishReason": "STOP"} | ({} if i is None else {"index": i})
        for i, text in zip(indexes, "abc", strict=False)
    ]
    events = streamed({"candidates": candidates}, by=reader(base=4, most=most))

    assert {event.index: event.text for event in events if isinstance(event, TextDelta)} == expected
    assert sorted(event.index for event in events if isinstance(event, Finished)) == sorted(expected)


def test_log_probabilities_go_with_the_text_of_their_chunk() -> None:
    likely = {"chosenCandidates": [{"token": "a", "logProbability": -0.5}]}
    text, alone = streamed(chunk({"text": "a"}, logprobsResult=likely),
                           {"candidates": [{"logprobsResult": likely, "finishReason": "STOP"}]})[:2]  # fmt: skip

    assert isinstance(text, TextDelta)
    assert isinstance(alone, TextDelta)
    assert (text.text, alone.text) == ("a", "")
    assert text.logprobs is not None
    assert text.logprobs == alone.logprobs
    assert text.logprobs.chosen_candidates is not None
    assert text.logprobs.chosen_candidates[0].log_probability == -0.5


def test_sources_come_at_the_end_in_the_whole_text() -> None:
    first = {"groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}],
             "groundingSupports": [{"segment": {"endIndex": 3, "text": "a b"}, "groundingChunkIndices": [0]}],
             "webSearchQueries": ["q", "r"]}  # fmt: skip
    cited = {"citationSources": [{"startIndex": 1, "endIndex": 2, "uri": "https://c.example"}]}
    by = reader()
    events = streamed(
        chunk({"text": "a"}, groundingMetadata=first),
        chunk(
            {"text": " b"},
            finishReason="STOP",
            groundingMetadata={},
            citationMetadata=cited,
            urlContextMetadata={"u": 1},
        ),
        by=by,
    )

    (sources,) = [event for event in events if isinstance(event, Citations)]
    assert sources.citations == [
        Citation(0, 3, "https://a.example", "A"),
        Citation(1, 2, "https://c.example", ""),
    ]
    assert json.loads(bytes(sources.metadata)) == first
    assert json.loads(bytes(sources.url_context)) == {"u": 1}
    assert by.counts.searches == 2


def test_grounding_of_an_unknown_shape_costs_the_annotations_only() -> None:
    events = whole(chunk({"text": "a"}, groundingMetadata={"groundingChunks": 5}))

    assert [type(event) for event in events] == [TextDelta, Citations, Finished, TurnEnded]


def test_counts_of_a_stream_are_merged() -> None:
    events = streamed(
        {**chunk({"text": "a"}), "usageMetadata": {"promptTokenCount": 3, "serviceTier": "flex"}},
        {**chunk({"text": "b"}, finishReason="STOP"), "usageMetadata": {"candidatesTokenCount": 2}},
    )

    assert events[-1] == TurnEnded(TokenCounts(3, completion=2), "flex")


@pytest.mark.parametrize(
    ("number", "name"),
    [(3, "SAFETY"), (4, "RECITATION"), (5, "OTHER"), (6, "LANGUAGE"), (7, "BLOCKLIST"), (8, "PROHIBITED_CONTENT"),
     (9, "SPII"), (11, "IMAGE_SAFETY")],
)  # fmt: skip
def test_numbers_of_finish_reasons_mean_their_names(number: int, name: str) -> None:
    event = finished(whole({"candidates": [{"finishReason": number}]}))

    assert event.refusal == f"Answer blocked by Gemini: {name}"


@pytest.mark.parametrize(
    "part",
    [
        {"text": "a", "thoughtSignature": "S"},
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
        {"fileData": {"fileUri": "u"}},
        {"executableCode": {"code": "1"}},
        {**CALL, "thoughtSignature": "S"},
    ],
    ids=lambda part: next(iter(part)),
)
def test_an_answer_of_any_single_part_is_not_empty(part: dict[str, Any]) -> None:
    events = streamed(chunk(part, finishReason="STOP"))

    assert [type(event) for event in events[1:]] == [Finished, TurnEnded]


def test_an_empty_stream_is_unusable() -> None:
    with pytest.raises(UnusableAnswer):
        streamed({"candidates": [{"finishReason": "STOP"}]})


def test_a_numbered_outcome_of_code_is_read() -> None:
    parts = [{"codeExecutionResult": {"outcome": outcome, "output": "o"}} for outcome in (1, 2)]
    results = [event for event in whole(chunk({"text": "x"}, *parts)) if isinstance(event, CodePart)]

    assert [result.failed for result in results] == [False, True]


@pytest.mark.parametrize(
    ("reason", "complete"), [("STOP", True), ("MAX_TOKENS", True), ("SAFETY", False), (None, False)]
)
def test_an_answer_is_complete_by_its_last_candidates_reason(reason: str | None, complete: bool) -> None:
    by = reader(most=2)
    assert not by.is_complete
    first = {"content": {"parts": [{"text": "a"}]}, "finishReason": "OTHER", "index": 0}
    last = {"content": {"parts": [{"text": "b"}]}, "finishReason": reason, "index": 1}
    by.feed(decode(json.dumps({"candidates": [first, last]}).encode()))

    assert by.is_complete is complete


TOLD = {"promptTokenCount": 3, "candidatesTokenCount": 2}


@pytest.mark.row("A7")
@pytest.mark.parametrize(
    ("chunks", "counted"),
    [
        ([{"usageMetadata": TOLD}], False),
        ([{**chunk({"text": "a"}), "usageMetadata": TOLD}], False),
        ([{**chunk({"text": "a"}, finishReason="STOP"), "usageMetadata": TOLD}], True),
        ([{**chunk({"text": "a"}, finishReason="STOP"), "usageMetadata": {"promptTokenCount": 3}}], False),
        ([{**chunk({"text": "a"}, finishReason="STOP"), "usageMetadata": {"candidatesTokenCount": 3}}], False),
        ([{**chunk({"text": "a"}, finishReason="STOP"), "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}}], True),
        ([{**chunk({"text": "a"}), "usageMetadata": TOLD}, chunk(finishReason="STOP")], False),
        ([chunk({"text": "a"}, finishReason="STOP"), {"usageMetadata": TOLD}], True),
        ([{"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}}], True),
        ([], False),
    ],
)  # fmt: skip
def test_a07_a_stream_is_counted_with_the_end_of_its_answer(chunks: list[Any], counted: bool) -> None:
    by = reader()
    for message in chunks:
        by.feed(decode(json.dumps(message).encode()))

    assert by.is_counted is counted
    assert by.begun is bool(chunks)


@pytest.mark.row("A7")
def test_a07_a_whole_answer_needs_no_finish_reason_to_be_counted() -> None:
    by = reader()
    by.feed(decode(json.dumps({**chunk({"text": "a"}), "usageMetadata": TOLD}).encode()))
    by.close(whole=True)

    assert by.is_counted


@pytest.mark.row("A4")
@pytest.mark.parametrize("read", [streamed, whole])
def test_a04_an_answer_of_200_000_parts_is_a_few_events(read: Any) -> None:
    """Each part was an event of its own, and the loop lagged by 0.8 s."""
    texts, thoughts = [{"text": "x"}] * 100_000, [{"text": "y", "thought": True}] * 100_000
    events = read(chunk(*thoughts, *texts, CALL, *texts[:3], finishReason="STOP"))

    assert [type(event) for event in events] == [
        ThoughtDelta, TextDelta, ToolCall, TextDelta, Finished, TurnEnded
    ]  # fmt: skip
    assert events[:2] == [ThoughtDelta(0, "y" * 100_000), TextDelta(0, "x" * 100_000)]
    assert events[3] == TextDelta(0, "xxx")


@pytest.mark.row("A4")
@pytest.mark.parametrize("part", [CALL, {"text": "x", "thoughtSignature": "AA=="}, {}])
def test_a04_an_answer_of_more_parts_than_google_can_send_is_refused(part: dict[str, Any]) -> None:
    assert whole(chunk({"text": "x"}, *[part] * 9_000, finishReason="STOP"))
    with pytest.raises(GatewayError) as caught:
        whole(chunk({"text": "x"}, *[part] * 11_000, finishReason="STOP"))

    assert (caught.value.status, caught.value.code) == (502, "upstream_bad_response")


@pytest.mark.row("A5")
@pytest.mark.parametrize("read", [streamed, whole])
def test_a05_citations_are_bounded_and_those_left_out_counted(read: Any) -> None:
    chunks = [{"web": {"uri": f"http://x/{i}", "title": "t"}} for i in range(300)]
    supports = [
        {"segment": {"startIndex": i, "endIndex": i + 3}, "groundingChunkIndices": list(range(300))}
        for i in range(300)
    ]
    by = reader()
    metadata = {"groundingChunks": chunks, "groundingSupports": supports}
    events = read(chunk({"text": "x" * 400}, finishReason="STOP", groundingMetadata=metadata), by=by)
    (cited,) = [event for event in events if isinstance(event, Citations)]

    assert len(cited.citations) == 1000
    assert by.citations_left_out == 300 * 300 - 1000


@pytest.mark.row("T4")
@pytest.mark.parametrize(
    "reason",
    ["NO_IMAGE", "IMAGE_OTHER", "OTHER", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "A_NEW_REASON"],
)
@pytest.mark.parametrize("parts", [(), ({"text": "x"},)])
def test_t04_the_reason_and_the_words_of_a_failed_turn_are_told(
    reason: str, parts: tuple[dict[str, Any], ...]
) -> None:
    event = finished(whole(chunk(*parts, finishReason=reason, finishMessage="Sorry."), accept_empty=True))

    assert (event.failure, event.message) == (reason, "Sorry.")


@pytest.mark.row("T4")
@pytest.mark.parametrize("reason", ["STOP", "MAX_TOKENS", "CONTINUATION", "FINISH_REASON_UNSPECIFIED", None])
def test_t04_a_complete_turn_has_no_failure(reason: str | None) -> None:
    """Google writes `Model generated function call(s).` beside STOP (recorded)."""
    event = finished(
        whole(chunk(CALL, finishReason=reason, finishMessage="Model generated function call(s)."))
    )

    assert (event.failure, event.message) == (None, None)


@pytest.mark.row("T9")
def test_t09_a_turn_of_tool_parts_is_in_order_and_kept() -> None:
    by = reader(keyring=SignatureKeys("k"))
    events = whole(
        chunk(
            {"text": "ab"},
            {"toolCall": {"id": "t1", "toolType": "URL_CONTEXT", "args": {}}, "thoughtSignature": "S1"},
            {"toolResponse": {"id": "t1", "toolType": "URL_CONTEXT"}, "thoughtSignature": "S2"},
            CALL,
        ),
        by=by,
    )

    assert [type(event).__name__ for event in events[1:4]] == ["ServerTool", "ServerTool", "ToolCall"]
    assert [event.at for event in events if isinstance(event, ServerTool)] == [2, 2]
    assert len(by.signed) == 2


@pytest.mark.row("A5")
def test_a05_a_long_stream_keeps_its_text_and_not_its_pieces() -> None:
    """Each piece was kept as an object of its own, with a header of 50 bytes: streams of 15 minutes grew by a seventh."""
    by, data = reader(), json.dumps(chunk({"text": "word "})).encode()
    by.feed(decode(data))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(5000):
            by.feed(decode(data))
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    assert grown < 5000 * 5 * 2
