"""Ends of an answer: one that failed is not told as a success."""

from typing import Any

import pytest

from tests.plugins.responses.test_hosted_items import FUNCTION, WAYS, answered, chunk

TEXT = {"text": "Part of it."}


@pytest.mark.row("T4")
@WAYS
@pytest.mark.parametrize("reason", ["NO_IMAGE", "OTHER", "IMAGE_OTHER", "A_NEW_REASON"])
@pytest.mark.parametrize("parts", [(), (TEXT,)], ids=["empty", "text"])
def test_t04_a_declined_answer_is_incomplete_and_says_why(
    reason: str, parts: tuple[dict[str, Any], ...], *, streamed: bool
) -> None:
    response, events = answered(
        [], chunk(*parts, finishReason=reason, finishMessage="Unable to show."), streamed=streamed
    )

    assert response["status"] == "incomplete"
    details = response["incomplete_details"]
    assert details["reason"] == "content_filter"
    assert reason in details["message"]
    assert "Unable to show." in details["message"]
    assert response["completed_at"] is None
    shown = response["output"][-1]["content"][0]
    assert shown["type"] == ("output_text" if parts else "refusal")
    if streamed:
        assert events[-1]["type"] == "response.incomplete"


@pytest.mark.row("T4")
@WAYS
@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"])
def test_t04_a_broken_answer_has_failed_and_says_why(reason: str, *, streamed: bool) -> None:
    response, events = answered(
        [FUNCTION], chunk(TEXT, finishReason=reason, finishMessage="print(f("), streamed=streamed
    )

    assert response["status"] == "failed"
    assert response["error"]["code"] == "server_error"
    assert reason in response["error"]["message"]
    assert "print(f(" in response["error"]["message"]
    if streamed:
        assert events[-1]["type"] == "response.failed"


@pytest.mark.row("T4")
@WAYS
def test_t04_complete_calls_are_run_whatever_came_after_them(*, streamed: bool) -> None:
    call = {"functionCall": {"id": "q1", "name": "f", "args": {}}}
    response, _ = answered([FUNCTION], chunk(call, finishReason="OTHER"), streamed=streamed)

    assert response["status"] == "completed"


@WAYS
def test_the_limit_is_told_without_a_message(*, streamed: bool) -> None:
    response, _ = answered([], chunk(TEXT, finishReason="MAX_TOKENS"), streamed=streamed)

    assert (response["status"], response["incomplete_details"]) == (
        "incomplete",
        {"reason": "max_output_tokens"},
    )
