"""Finished answers, from a request's report and the events of its choices."""

from gateway.exchange.finished_answer import AnswerRecord, FinishedAnswer
from gateway.exchange.report import ExchangeReport
from gateway.gemini.events import Finished, TextDelta, ThoughtDelta, ToolCall, TurnEnded, TurnStarted
from gateway.gemini.usage import TokenCounts


def record(*events: object) -> AnswerRecord:
    result = AnswerRecord()
    for event in events:
        result.add([event])  # type: ignore[list-item]
    return result


def test_an_answer_has_its_choices_in_order_and_the_tokens_of_all() -> None:
    call = ToolCall(1, "c", "f", "{}")
    records = {
        1: record(call, Finished(1, "tool_calls"), TurnEnded(TokenCounts(prompt=1, completion=2))),
        0: record(
            TurnStarted("r", "m"), ThoughtDelta(0, "hm"), TextDelta(0, "a"), TextDelta(0, "b"),
            Finished(0, "content_filter", "blocked"), TurnEnded(TokenCounts(prompt=10, thoughts=20)),
        ),
    }  # fmt: skip
    report = ExchangeReport("m", "gpt-4o", stream=True, micros=1_500_000)
    answer = FinishedAnswer.of(report, records, 200, 1.23456)

    first, second = answer.choices
    assert (first.text, first.thoughts, first.finish_reason, first.refusal) == (
        "ab",
        "hm",
        "content_filter",
        "blocked",
    )
    assert (second.calls, second.finish_reason) == ([call], "tool_calls")
    assert (answer.text, answer.finish_reason) == ("ab", "content_filter")
    assert answer.usage == TokenCounts(prompt=11, completion=2, thoughts=20)
    assert (answer.model, answer.requested_model, answer.stream) == ("m", "gpt-4o", True)
    assert (answer.dollars, answer.seconds) == (1.5, 1.235)


def test_without_events_the_tokens_are_the_report_s() -> None:
    answer = FinishedAnswer.of(ExchangeReport(prompt_tokens=7, completion_tokens=2, error="x"), {}, 499, 0)

    assert (answer.usage.input, answer.usage.output, answer.error) == (7, 2, "x")
    assert (answer.model, answer.text, answer.finish_reason) == ("", "", None)


def test_an_answer_that_broke_off_has_no_finish_reason() -> None:
    answer = FinishedAnswer.of(ExchangeReport(), {0: record(TextDelta(0, "be"))}, 499, 0)

    assert (answer.text, answer.finish_reason) == ("be", None)
