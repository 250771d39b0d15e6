"""Messages, the answer: usage, errors in Anthropic's words, and the name of the model."""

import anthropic
import anthropic.types
import anthropic.types.shared
import httpx2
import pytest
from anthropic._error_classes import make_status_error

from gateway.conversation.invalid import missing, too_long, unsupported_value
from gateway.errors import (
    BadRequest,
    BudgetExceeded,
    ContextTooLong,
    GatewayError,
    Quota,
    RateLimited,
    UnsupportedParameter,
    UpstreamError,
)
from gateway.gemini.events import Finished, MediaPart, TextDelta, TurnEnded, TurnStarted
from gateway.gemini.usage import TokenCounts
from gateway.plugins.messages.response import MessagesStream, error_object, error_status, usage
from tests.support.frames import frames


def test_cached_tokens_are_counted_apart() -> None:
    counts = usage(TokenCounts(prompt=100, cached=60, completion=5))

    assert counts == {
        "input_tokens": 40,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 60,
        "output_tokens": 5,
    }


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (missing("max_tokens"), "max_tokens: Field required"),
        (unsupported_value("x", ("a",), "tool_choice.type"), "tool_choice.type: Input should be 'a'"),
        (unsupported_value("x", ("a", "b", "c"), "p"), "p: Input should be 'a', 'b' or 'c'"),
        (too_long("stop_sequences", 5, 6), "stop_sequences: List should have at most 5 items after validation, not 6"),
        (UnsupportedParameter("Unsupported parameter: 'thinking'. It cannot.", param="thinking"), "thinking: It cannot."),
        (BadRequest("Invalid value for 'tool_choice.name': no tool is named 'f'.", param="tool_choice.name"),
         "tool_choice.name: no tool is named 'f'."),
        (BadRequest("Unknown parameter: 'google.tools[0].x'. Known: y.", param="google.tools[0].x"),
         "google.tools.0.x: Extra inputs are not permitted. Known: y."),
        (BadRequest("messages[0].content: Expected `str`", param="messages[0].content"),
         "messages.0.content: Expected `str`"),
        (BadRequest("Invalid base64.", param="messages.0.content.1.source.data"),
         "messages.0.content.1.source.data: Invalid base64."),
        (BadRequest("the request body is not valid JSON"), "the request body is not valid JSON"),
    ],
)  # fmt: skip
def test_an_error_begins_with_its_field_and_speaks_as_anthropic_does(
    error: GatewayError, message: str
) -> None:
    assert error_object(error) == {"type": "invalid_request_error", "message": message}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RateLimited("slow down"), "rate_limit_error"),
        (UpstreamError("overloaded", status=503), "overloaded_error"),
        (UpstreamError("too late", status=504), "timeout_error"),
        (UpstreamError("broken"), "api_error"),
        (BadRequest("no", status=415), "invalid_request_error"),
    ],
)
def test_an_error_has_anthropic_s_type(error: GatewayError, kind: str) -> None:
    assert error_object(error)["type"] == kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (
            BadRequest("no", status=415, code="unsupported_encoding"),
            anthropic.types.shared.RequestBodyEncodingUnsupportedError,
        ),
        (
            BadRequest("no", status=415, code="invalid_encoding"),
            anthropic.types.shared.RequestBodyEncodingInvalidError,
        ),
        (BudgetExceeded("spent"), anthropic.types.shared.EnforcedSpendLimitReachedError),
        (RateLimited("slow down"), anthropic.RateLimitError),
        (GatewayError("no", status=400, code="not_downloadable"), anthropic.types.FileNotDownloadableError),
    ],
)
def test_anthropic_s_sdk_raises_the_class_of_an_error_s_code(error: GatewayError, kind: type) -> None:
    body = {"type": "error", "error": error_object(error)}
    response = httpx2.Response(error_status(error), request=httpx2.Request("POST", "http://gateway"))
    raised = make_status_error("no", body=body, response=response)
    assert type(raised) is kind


@pytest.mark.parametrize(
    ("name", "model"),
    [("gemini-2.5-pro", "gemini-2.5-pro"), (None, "asked")],
)
def test_the_model_that_answers_is_named(name: str | None, model: str) -> None:
    encoder = MessagesStream({"model": "asked", "content": [], "stop_reason": None})
    encoder.encode([TurnStarted("r", name)])

    assert encoder.message["model"] == model


@pytest.mark.row("T10")
def test_t10_left_out_media_are_named_once_for_each_type() -> None:
    encoder = MessagesStream({"model": "asked", "content": [], "stop_reason": None})
    kinds = ("image/png", "audio/wav", "image/png")
    encoder.encode([MediaPart(0, kind, "AAAA") for kind in kinds])
    encoder.encode([Finished(0, "stop")])

    (block,) = encoder.message["content"]
    assert block["type"] == "text"
    assert [block["text"].count(kind) for kind in ("image/png", "audio/wav")] == [1, 1]
    assert "AAAA" not in block["text"]


@pytest.mark.row("G6")
@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((1200000, 1048576), "prompt is too long: 1200000 tokens > 1048576 maximum"),
        ((None, 1048576), "prompt is too long: 1048577 tokens > 1048576 maximum"),
        ((None, None), "prompt is too long"),
    ],
)
def test_g06_an_overflow_is_told_in_anthropics_words(
    numbers: tuple[int | None, int | None], message: str
) -> None:
    error = ContextTooLong("no", param="messages")
    error.tokens, error.most = numbers

    assert error_object(error) == {"type": "invalid_request_error", "message": message}


@pytest.mark.row("G6")
def test_g06_spent_credit_is_told_in_anthropics_words() -> None:
    quota = RateLimited("You exceeded your quota.", code="insufficient_quota")
    quota.quotas = (Quota("GenerateRequestsPerDay"),)

    assert error_object(BudgetExceeded("Spent.")) == {
        "type": "rate_limit_error", "message": "Your credit balance is too low: Spent.",
        "details": {"error_code": "enforced_spend_limit_reached"},
    }  # fmt: skip
    assert error_object(quota)["message"] == "You exceeded your quota."


@pytest.mark.row("G22")
def test_g22_silence_is_a_ping_after_the_start_of_the_message() -> None:
    encoder = MessagesStream({"model": "asked", "content": [], "stop_reason": None})

    first, second = encoder.keep_alive(begun=False), encoder.keep_alive(begun=True)
    text = encoder.encode([TextDelta(0, "x")])

    assert [event["type"] for event in frames(first + second + text)] == [
        "message_start", "ping", "ping", "content_block_start", "content_block_delta"
    ]  # fmt: skip


@pytest.mark.row("G22")
def test_g22_nothing_stands_before_a_start_that_is_on_its_way() -> None:
    encoder = MessagesStream({"model": "asked", "content": [], "stop_reason": None})
    encoder.encode([TextDelta(0, "x")])

    assert encoder.keep_alive(begun=False) == b": keep-alive\n\n"


@pytest.mark.row("G22")
def test_g22_no_ping_follows_the_end() -> None:
    encoder = MessagesStream({"model": "asked", "content": [], "stop_reason": None})
    encoder.encode([TextDelta(0, "x"), Finished(0, "stop"), TurnEnded(TokenCounts())])

    assert encoder.keep_alive(begun=True) == b": keep-alive\n\n"
