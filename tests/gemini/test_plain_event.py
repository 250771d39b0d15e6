"""The plain way of a stream's texts: which events take it, and that it gives what the long way gives."""

import base64
import json
from itertools import chain
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.gemini.plain_event import read_texts
from gateway.gemini.wire import decode_response
from tests.support.corpus import Record, recorded
from tests.support.stream_ways import SURFACES, outcome, pieces

PLAIN: dict[str, Any] = {
    "candidates": [{"content": {"parts": [{"text": "Zü"}], "role": "model"}, "index": 0}],
    "usageMetadata": {
        "promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 9,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 5}], "thoughtsTokenCount": 2,
        "serviceTier": "standard",
    },
    "modelVersion": "gemini-3-flash", "responseId": "r",
}  # fmt: skip
"""An event as Google sends it."""


def encoded(*events: object) -> list[bytes]:
    return [json.dumps(event, ensure_ascii=False).encode() for event in events]


def event(part: object, *, beside: object = None, **fields: Any) -> dict[str, Any]:
    """Return an event with one part, with fields of the candidate, and others beside the candidates."""
    return {"candidates": [{"content": {"parts": [part]}, **fields}], **(beside or {})}  # type: ignore[dict-item]


def test_a_run_of_plain_events_ends_at_another() -> None:
    payloads = encoded(PLAIN, event({"text": "b"}), event({"text": "c"}, finishReason="SAFETY"), PLAIN)
    plain = read_texts(payloads)

    assert plain.texts == ["Zü", "b"]
    assert [usage.candidates_token_count for usage in plain.usages] == [2]
    assert not plain.ends_counted
    assert plain.finish is None
    assert read_texts(payloads[2:]).texts == []
    assert read_texts(payloads[3:]).texts == ["Zü"]
    assert read_texts(payloads[3:]).ends_counted


def test_the_end_of_an_answer_is_plain_wherever_it_comes() -> None:
    plain = read_texts(encoded(PLAIN, event({"text": "b"}, finishReason="STOP"), PLAIN))

    assert (plain.texts, plain.finish) == (["Zü", "b", "Zü"], "STOP")


@pytest.mark.parametrize(
    "other",
    [
        event({"text": ""}),
        event({"text": "a", "thought": True}),
        event({"text": "a", "thoughtSignature": "c2ln"}),
        event({"functionCall": {"name": "f"}}),
        event({"text": "a"}, index=1),
        event({"text": "a"}, finishReason="MAX_TOKENS"),
        event({"text": "a"}, finishReason="STOP", finishMessage="done"),
        event({"text": "a"}, citationMetadata={}),
        event({"text": "a"}, groundingMetadata={}),
        event({"text": "a"}, logprobsResult={}),
        event({"text": "a"}, beside={"error": {"code": 503}}),
        event({"text": "a"}, beside={"promptFeedback": {"blockReason": "SAFETY"}}),
        event({"text": "a"}, beside={"usageMetadata": {"promptTokenCount": -1}}),
        event({"text": "a"}, beside={"usageMetadata": {"promptTokenCount": 10**500}}),
        event({"text": "a"}, beside={"usageMetadata": {"new": 10**500}}),
        event({"text": "a"}, beside={"new": 10**500}),
        {"candidates": []},
        {"candidates": [PLAIN["candidates"][0]] * 2},
        event({"text": "a"}) | {"candidates": [{"content": {"parts": [{"text": "a"}] * 2}}]},
        [PLAIN],
        None,
    ],
)  # fmt: skip
def test_any_other_event_is_left_to_the_long_way(other: object) -> None:
    assert read_texts(encoded(other)).texts == []


def test_the_counts_are_those_of_the_long_way() -> None:
    (plain,) = read_texts(encoded(PLAIN)).usages
    (long,) = [decode_response(payload).usage_metadata for payload in encoded(PLAIN)]

    assert long is not None
    for name in type(long).__struct_fields__:
        assert msgspec.to_builtins(getattr(plain, name)) == msgspec.to_builtins(getattr(long, name))


COUNT = st.one_of(st.none(), st.integers(-1, 12), st.sampled_from([2**31, 10**400]))
USAGE = st.one_of(
    st.none(),
    st.fixed_dictionaries({
        "promptTokenCount": st.just(5), "candidatesTokenCount": st.just(3), "totalTokenCount": st.just(8),
    }),
    st.fixed_dictionaries({}, optional={
        "promptTokenCount": COUNT, "candidatesTokenCount": COUNT, "totalTokenCount": COUNT,
        "thoughtsTokenCount": COUNT, "toolUsePromptTokenCount": COUNT, "cachedContentTokenCount": COUNT,
        "serviceTier": st.sampled_from(["flex", "standard", 2, None]), "trafficType": st.just("ON_DEMAND"),
        "promptTokensDetails": st.sampled_from([[], [{"modality": "IMAGE", "tokenCount": 2}], [{"modality": 2}], None]),
    }),
)  # fmt: skip
WORDS = st.sampled_from(["a", "Zü", "😀", '"\\\n', "STOP", "##", "x" * 40, ""])
PART = st.one_of(
    WORDS.map(lambda words: {"text": words}),
    WORDS.map(lambda words: {"text": words}),
    WORDS.map(lambda words: {"text": words}),
    WORDS.map(lambda words: {"text": words, "thought": True}),
    st.sampled_from([
        {"text": "a", "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "f", "args": {"a": 1}, "id": "i"}, "thoughtSignature": "c2ln"},
        {"executableCode": {"code": "1"}, "thoughtSignature": "c2ln"},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        {"inlineData": {"mimeType": "image/png", "data": "iVBO"}},
    ]),
)  # fmt: skip
CANDIDATE = st.fixed_dictionaries(
    {"content": st.fixed_dictionaries({"parts": st.lists(PART, min_size=1, max_size=2)})},
    optional={
        "index": st.sampled_from([0, 0, 0, 1, None]),
        "finishReason": st.sampled_from(["STOP", "MAX_TOKENS", "CONTINUATION", "SAFETY", None, None, None, None]),
        "citationMetadata": st.just({"citationSources": [{"startIndex": 0, "endIndex": 3, "uri": "https://a.example"}]}),
        "groundingMetadata": st.just({"groundingChunks": [{"web": {"uri": "https://b.example", "title": "t"}}]}),
    },
)  # fmt: skip
TEXT = st.builds(
    lambda words, index: {"content": {"parts": [{"text": words}], "role": "model"}, "index": index},
    WORDS, st.sampled_from([0, 0, 0, 1]),
)  # fmt: skip
EVENT = st.fixed_dictionaries(
    {"candidates": st.one_of(*[st.lists(TEXT, min_size=1, max_size=1)] * 3, st.lists(CANDIDATE, max_size=2))},
    optional={
        "usageMetadata": USAGE, "modelVersion": st.just("m"), "responseId": st.just("r"), "createTime": st.just("t"),
        "new": st.just(1),
    },
)  # fmt: skip
END = event(
    {"text": ""},
    finishReason="STOP",
    citationMetadata={"citationSources": [{"startIndex": 0, "endIndex": 3, "uri": "https://a.example"}]},
    beside={"usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 6}},
)
EVENTS = st.lists(st.one_of(EVENT, EVENT, EVENT, EVENT, st.just({"error": {"code": 503}})), max_size=8)
STREAM = st.builds(
    lambda *events: b"".join(b"data: %s\r\n\r\n" % payload for payload in encoded(*chain(*events))),
    EVENTS, st.sampled_from([[END], []]), EVENTS, st.sampled_from([[END], []]),
)  # fmt: skip
OPTIONS = st.fixed_dictionaries(
    {"stops": st.sampled_from([(), (), (), ("ST", "#")]), "base": st.sampled_from([0, 3]), "most": st.sampled_from([1, 2])}
)  # fmt: skip


@pytest.mark.parametrize("surface", SURFACES)
@settings(max_examples=60)
@given(STREAM, st.lists(st.integers(0, 5000), max_size=8), OPTIONS)
def test_both_ways_are_equal_on_any_stream(
    surface: str, stream: bytes, cuts: list[int], options: dict[str, Any]
) -> None:
    arriving = pieces(stream, cuts)

    assert outcome(surface, arriving, long=False, **options) == outcome(
        surface, arriving, long=True, **options
    )


IMAGE = event({"inlineData": {"mimeType": "image/png", "data": "iVBO"}})
CALL = event({"functionCall": {"name": "f", "id": "i"}})


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize(
    "events",
    [
        pytest.param([PLAIN, PLAIN, CALL, PLAIN, PLAIN, END], id="texts_after_a_call_that_waits_for_sources"),
        pytest.param([IMAGE, PLAIN, PLAIN, END], id="a_text_in_the_block_of_a_note"),
        pytest.param([PLAIN, END, PLAIN, event({"text": "a"})], id="texts_after_the_end"),
    ],
)
def test_both_ways_are_equal_where_a_text_meets_something_else(
    surface: str, events: list[dict[str, Any]]
) -> None:
    stream = b"".join(b"data: %s\r\n\r\n" % payload for payload in encoded(*events))
    for arriving in ([stream], pieces(stream, range(100, len(stream), 100))):
        assert outcome(surface, arriving, long=False) == outcome(surface, arriving, long=True)


@pytest.mark.parametrize("surface", SURFACES)
def test_both_ways_are_equal_at_every_cut(surface: str) -> None:
    plain = event({"text": "\u201ea\U0001f600"}, beside={"usageMetadata": PLAIN["usageMetadata"]})
    stream = b"".join(
        b"data: %s\r\n\r\n" % p for p in encoded(PLAIN, plain, event({"text": "b"}), plain, END)
    )
    for cut in range(len(stream)):
        arriving = [stream[:cut], stream[cut:]]
        assert outcome(surface, arriving, long=False) == outcome(surface, arriving, long=True)


def is_stream(record: Record) -> bool:
    return (record["endpoint"], record["status"]) == ("streamGenerateContent", 200)


@pytest.mark.parametrize("record", recorded(is_stream))
def test_both_ways_are_equal_on_recorded_traffic(record: Record) -> None:
    stream = base64.b64decode(record["raw_b64"])
    for surface in SURFACES:
        for step in (len(stream), 700):
            arriving = pieces(stream, range(step, len(stream), step))
            assert outcome(surface, arriving, long=False) == outcome(surface, arriving, long=True)
