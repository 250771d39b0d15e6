"""Stop sequences that the gateway cuts at: exactly, however the answer arrives."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.gemini.call_names import CallRules
from gateway.gemini.events import Citations, Event, Finished, TextDelta, ThoughtDelta, ToolCall, TurnEnded
from gateway.gemini.stop_sequences import StopCutter
from gateway.gemini.stream_translator import StreamTranslator, decode
from gateway.gemini.turn_reader import TurnReader


def chunk(*parts: dict[str, Any], finish: str | None = None, **fields: Any) -> bytes:
    candidate = {"content": {"parts": list(parts), "role": "model"}, "index": 0, **fields}
    if finish:
        candidate["finishReason"] = finish
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 9, "totalTokenCount": 12}
    return json.dumps({"candidates": [candidate], "usageMetadata": usage}, ensure_ascii=False).encode()


class Recorder:
    """An encoder that keeps the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def encode(self, events: list[Event]) -> bytes:
        self.events += events
        return b""

    def texts(self, index: int, texts: list[str]) -> bytes:
        return self.encode([TextDelta(index, text) for text in texts])

    def fail(self, error: Exception) -> bytes:
        raise error


def reader(*stops: str) -> TurnReader:
    return TurnReader(lambda: "id", CallRules(stops=stops))


def result(events: list[Event]) -> tuple[str, str, str | None]:
    end = next(event for event in events if isinstance(event, Finished))
    return "".join(e.text for e in events if isinstance(e, TextDelta)), end.reason, end.stop_sequence


def streamed(data: bytes, cuts: list[int], *stops: str) -> list[Event]:
    """Return the events of a stream that arrives in pieces."""
    recorder = Recorder()
    translator = StreamTranslator(reader(*stops), recorder)
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        translator.feed(data[begin:end])
    translator.close()
    assert translator.error is None
    return recorder.events


STREAM = b"".join(
    b"data: " + event + b"\r\n\r\n"
    for event in (
        chunk({"text": "Zür"}), chunk({"text": "ich<|"}), chunk({"text": "fim"}), chunk({"text": "<|fim_suf"}),
        chunk({"text": "fix|>\nrest"}), chunk({"text": " more", }, {"functionCall": {"name": "f"}}), chunk(finish="MAX_TOKENS"),
    )
)  # fmt: skip


@pytest.mark.row("G17")
def test_g17_a_stream_is_cut_the_same_at_every_byte() -> None:
    expected = ("Zürich<|fim", "stop", "<|fim_suffix|>")
    for cut in range(len(STREAM) + 1):
        assert result(streamed(STREAM, [cut], "\nrest", "<|fim_suffix|>", "nowhere")) == expected, cut
    every = list(range(1, len(STREAM)))
    assert result(streamed(STREAM, every, "\nrest", "<|fim_suffix|>")) == expected


@pytest.mark.row("G17")
def test_g17_nothing_follows_the_cut_but_the_end_and_its_counts() -> None:
    events = streamed(STREAM, [], "<|fim_suffix|>")

    assert not any(isinstance(event, ToolCall) for event in events)
    assert isinstance(events[-1], TurnEnded)
    assert events[-1].counts.completion == 9


@pytest.mark.row("G17")
def test_g17_text_that_only_looks_like_a_stop_arrives() -> None:
    events = streamed(STREAM, [], "<|fim_suffix|>x", "more and")

    assert result(events) == ("Zürich<|fim<|fim_suffix|>\nrest more", "length", None)
    held = [e.text for e in events if isinstance(e, TextDelta)]
    assert held[:3] == ["Zür", "ich", "<|fim"]


TEXT = st.text("ab<", max_size=14)


def first_end(text: str, stops: list[str]) -> tuple[str, str | None]:
    """Return the text before the sequence that is complete first, by looking at each beginning of the text."""
    for end in range(len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            stop = max(complete, key=len)
            return text[: end - len(stop)], stop
    return text, None


@pytest.mark.row("G17")
@given(TEXT, st.lists(st.text("ab<", min_size=1, max_size=4), min_size=1, max_size=4, unique=True), st.data())
def test_g17_any_text_cut_anywhere(text: str, stops: list[str], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    cutter = StopCutter(stops)
    events = cutter.cut([TextDelta(0, piece) for piece in pieces]) + cutter.cut([Finished(0, "stop")])

    kept, stop = first_end(text, stops)
    assert result(events) == (kept, "stop", stop)


@pytest.mark.row("G17")
def test_g17_candidates_are_cut_by_themselves_and_others_events_keep_their_order() -> None:
    cutter = StopCutter(["##"])
    events = cutter.cut(
        [
            TextDelta(0, "a#"),
            TextDelta(1, "b##c"),
            ThoughtDelta(0, "t"),
            TextDelta(0, "#d"),
            TextDelta(1, "e"),
        ]
    )

    assert events == [
        TextDelta(0, "a"),
        TextDelta(1, "b"),
        TextDelta(0, "#"),
        ThoughtDelta(0, "t"),
        TextDelta(0, "#d"),
    ]


@pytest.mark.row("G17")
def test_g17_a_long_sequence_is_held_back_by_its_length() -> None:
    stop = "x" * 300
    cutter = StopCutter([stop])

    assert cutter.cut([TextDelta(0, "ab" * 200)]) == [TextDelta(0, ("ab" * 200)[:101])]
    assert result(cutter.cut([TextDelta(0, stop), Finished(0, "stop")])) == (("ab" * 200)[101:], "stop", stop)


@pytest.mark.row("G17")
def test_g17_citations_and_log_probabilities_of_what_was_cut_go() -> None:
    tokens = [{"token": word, "logProbability": -1.0} for word in ("ab", "c#", "#d")]
    logprobs = {"chosenCandidates": tokens, "topCandidates": [{"candidates": [token]} for token in tokens]}
    grounding = {
        "groundingChunks": [{"web": {"uri": f"https://{name}.example", "title": name}} for name in "xy"],
        "groundingSupports": [
            {"segment": {"startIndex": 0, "endIndex": 2}, "groundingChunkIndices": [0]},
            {"segment": {"startIndex": 2, "endIndex": 6}, "groundingChunkIndices": [1]},
        ],
    }
    by = reader("##")
    data = chunk({"text": "abc##d"}, finish="STOP", logprobsResult=logprobs, groundingMetadata=grounding)
    events = by.feed(decode(data)) + by.close()

    delta = next(event for event in events if isinstance(event, TextDelta))
    assert delta.text == "abc"
    assert delta.logprobs is not None
    assert [t.token for t in delta.logprobs.chosen_candidates or ()] == ["ab", "c#"]
    cited = next(event for event in events if isinstance(event, Citations))
    assert [citation.url for citation in cited.citations] == ["https://x.example"]
