"""Responses, the answer, beyond the golden files: times, failures, and the frames before an answer."""

import pytest

from gateway.errors import (
    BadRequest,
    BudgetExceeded,
    ContextTooLong,
    GatewayError,
    NotFound,
    RateLimited,
    UpstreamError,
)
from gateway.gemini.events import Finished, TextDelta, TurnEnded, TurnStarted
from gateway.gemini.usage import TokenCounts
from tests.support.frames import frames
from tests.support.responses import CREATED, ENDED, Answer

END = TurnEnded(TokenCounts())


def test_a_response_is_created_before_it_is_answered() -> None:
    encoder = Answer({"input": "x", "background": True}).encoder
    assert encoder.response["status"] == "queued"

    begun = frames(encoder.begin())
    later = frames(encoder.encode([TextDelta(0, "hi")]))

    assert [event["type"] for event in begun] == ["response.created", "response.in_progress"]
    assert begun[0]["response"]["status"] == "in_progress"
    assert later[0]["sequence_number"] == 2


def test_completed_at_is_the_end_and_only_of_a_completed_response() -> None:
    complete, cut, failed = (Answer({"input": "x"}).encoder for _ in range(3))
    complete.encode([TextDelta(0, "x"), Finished(0, "stop"), END])
    cut.encode([TextDelta(0, "x"), Finished(0, "length"), END])
    failed.fail(UpstreamError("broken"))

    assert (complete.response["created_at"], complete.response["completed_at"]) == (CREATED, ENDED)
    assert [encoder.response["completed_at"] for encoder in (cut, failed)] == [None, None]


@pytest.mark.parametrize(
    ("tier", "expected"),
    [
        ("flex", "flex"),
        ("PRIORITY", "priority"),
        ("standard", "default"),
        (None, "default"),
        (3, "default"),
        ("odd", "default"),
    ],
)
def test_the_service_tier_is_the_one_that_answered(tier: str | int | None, expected: str) -> None:
    encoder = Answer({"input": "x", "service_tier": "flex"}).encoder
    encoder.encode([TextDelta(0, "x"), Finished(0, "stop"), TurnEnded(TokenCounts(), tier)])

    assert encoder.response["service_tier"] == expected


def test_done_is_set_by_the_last_event() -> None:
    encoder = Answer({"input": "x"}).encoder
    encoder.encode([TextDelta(0, "x"), Finished(0, "stop")])
    assert not encoder.done

    encoder.encode([END])
    assert encoder.done


def test_a_failure_ends_the_stream_with_its_code_and_without_keys() -> None:
    encoder = Answer({"input": "x"}).encoder
    failed, error = frames(encoder.fail(RateLimited("slow down, AIza" + "x" * 35)))[-2:]

    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"]["code"] == "rate_limit_exceeded"
    assert (error["type"], error["code"]) == ("error", "rate_limit_exceeded")
    assert "AIzaxxx" not in failed["response"]["error"]["message"] + error["message"]


@pytest.mark.row("G8")
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ContextTooLong("too long"), "context_length_exceeded"),
        (BudgetExceeded("spent"), "insufficient_quota"),
        (RateLimited("spent", code="insufficient_quota"), "insufficient_quota"),
        (RateLimited("slow down"), "rate_limit_exceeded"),
        (NotFound("no model", code="model_not_found"), "model_not_found"),
        (BadRequest("no", param="input[0]"), "invalid_value"),
        (UpstreamError("broken"), "server_error"),
    ],
)
def test_g08_a_failure_in_the_stream_has_its_own_code(error: GatewayError, code: str) -> None:
    failed, event = frames(Answer({"input": "x"}).encoder.fail(error))[-2:]

    assert failed["response"]["error"]["code"] == code
    assert (event["code"], event["param"]) == (error.code, error.param)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("gemini-x", "gemini-x"), (None, "asked")],
)
def test_the_model_is_the_one_that_answered(name: str | None, expected: str) -> None:
    encoder = Answer({"input": "x"}).encoder
    encoder.encode([TurnStarted("r1", name)])

    assert encoder.response["model"] == expected


@pytest.mark.row("G22")
def test_g22_silence_is_the_beginning_and_then_in_progress_again() -> None:
    encoder = Answer({"input": "x"}).encoder

    silence = encoder.keep_alive(begun=False) + encoder.keep_alive(begun=True)
    events = frames(silence + encoder.encode([TextDelta(0, "hi")]))

    assert [event["type"] for event in events][:3] == ["response.created", *["response.in_progress"] * 2]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert encoder.keep_alive(begun=False) == b": keep-alive\n\n"


@pytest.mark.row("G22")
def test_g22_nothing_but_a_comment_follows_the_last_event() -> None:
    encoder = Answer({"input": "x"}).encoder
    encoder.encode(
        [TurnStarted("r1", "m"), TextDelta(0, "hi"), Finished(0, "stop"), TurnEnded(TokenCounts())]
    )

    assert encoder.done
    assert encoder.keep_alive(begun=True) == b": keep-alive\n\n"
