"""OpenAI's error object, the retry headers, and the scrubbing of keys."""

import json
from asyncio import CancelledError
from collections.abc import Callable
from time import process_time
from types import FrameType

import pytest

from gateway.errors import (
    BadRequest,
    BudgetExceeded,
    ConfigError,
    Draining,
    Fault,
    Forbidden,
    GatewayError,
    LedgerUnavailable,
    LoopDetected,
    MethodNotAllowed,
    NotFound,
    NoUsableKey,
    RateLimited,
    Revoked,
    UnusableAnswer,
    UpstreamError,
    forget_frames,
    openai_error,
    retry_headers,
    scrub,
)
from gateway.exchange.cancellation import of_cancellation
from tests.support.canaries import CANARIES, hits

KEYS = (
    ("key AIzaSyA1234567890123456789012345678901234 leaked", "key **** leaked"),
    ("AQ.Ab8RN6abcdefghijklmnop", "****"),
    ("x?key=hush&y=1", "x?key=****&y=1"),
    ("api_key:hush is invalid", "api_key:**** is invalid"),
    ("AIza%2Dxyz refused", "**** refused"),
    ("taq.abcdefghijklmnop", "t****"),
    ("an AQ.abcdefgh cut", "an **** cut"),
    ("xsk-gw-abcd", "x****"),
    ("gw-abcdefgh, sk-abcdefgh", "****, ****"),
    ("Authorization: Basic dXNlcjo=", "Authorization: Basic ****"),
    ("basic user1234", "basic ****"),
    ("Bearer abcdef", "Bearer ****"),
    ("access_token=hush", "access_token=****"),
    ("client_secret=hush&x", "client_secret=****&x"),
    ("password=hush", "password=****"),
    ("passwd=hush", "passwd=****"),
    ("https://me:hush@example.com/", "https://****@example.com/"),
    ("-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY----- x", "**** x"),
    ('"-----BEGIN RSA PRIVATE KEY-----\nhush", x', '"****", x'),
    ("-----BEGIN PRIVATE KEY-----\nhush", "****"),
    ("%68%75%73%68%68%75%73%68 x", "**** x"),
    ("sk-gw-ab%2Dcdef x", "**** x"),
    ("eyJhbGciOiJI.eyJz x", "**** x"),
    ("eyJhbGciOiJI.eyJz.c2ln x", "**** x"),
)


@pytest.mark.parametrize(("text", "scrubbed"), KEYS)
def test_keys_are_scrubbed(text: str, scrubbed: str) -> None:
    assert scrub(text) == scrubbed
    assert json.loads(openai_error(GatewayError(text)))["error"]["message"] == scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "AIza", "AQ.short", "a keyword", "monkey = 1", "faq.abcdefgh", "task-abcdefgh", "11//0abcdefgh", "keyjhbGciOiJI.eyJz",
        "basic information", "Bearer authentication", "bearer tokens", "Bearer YOUR_API_KEY",
        "https://example.com/me@home", "-----BEGIN PUBLIC KEY-----", "%68%75%73%68%68%75%73",
    ],
)  # fmt: skip
def test_text_without_a_key_stays(text: str) -> None:
    assert scrub(text) == text


def test_an_error_body_has_its_four_keys() -> None:
    error = json.loads(openai_error(NotFound("no", param="model")))

    assert error == {
        "error": {"message": "no", "type": "invalid_request_error", "param": "model", "code": "unknown_url"}
    }


@pytest.mark.parametrize(
    ("retry_after", "should_retry", "headers"),
    [
        (None, None, {}),
        (34.07, None, {"retry-after": "35", "retry-after-ms": "34070"}),
        (0.8, None, {"retry-after": "1", "retry-after-ms": "800"}),
        (0.0, True, {"retry-after": "1", "retry-after-ms": "0", "x-should-retry": "true"}),
        (None, False, {"x-should-retry": "false"}),
    ],
)
def test_retry_headers(retry_after: float | None, should_retry: bool | None, headers: dict[str, str]) -> None:
    error = RateLimited("slow down", retry_after=retry_after, should_retry=should_retry)

    assert retry_headers(error) == headers


REFUSED = "Google refuses all keys, or has suspended their projects, or these have no credit left."
LOOP = (
    "The gateway received its own request: `upstream.base_url` must be Gemini's address, not the gateway's."
)
AGAIN, NEVER = {"retry-after": "1", "retry-after-ms": "1000"}, {"x-should-retry": "false"}


@pytest.mark.parametrize(
    ("make", "status", "code", "headers", "message"),
    [
        (lambda: MethodNotAllowed(frozenset({"POST", "GET"})), 405, "method_not_allowed", {},
         "The specified HTTP method is not allowed for the requested resource"),
        (lambda: BudgetExceeded("spent"), 429, "insufficient_quota", NEVER, "spent"),
        (Draining, 503, "shutting_down", AGAIN, "The gateway is restarting; please try again."),
        (Revoked, 401, "invalid_api_key", {}, "Incorrect API key provided: it was revoked or has expired."),
        (LedgerUnavailable, 503, "ledger_unavailable", {"retry-after": "5", "retry-after-ms": "5000"},
         "The gateway cannot write to its ledger at the moment. Please try again later."),
        (lambda: LedgerUnavailable("other"), 503, "ledger_unavailable", {"retry-after": "5", "retry-after-ms": "5000"},
         "other"),
        (LoopDetected, 508, "loop_detected", NEVER, LOOP),
        (lambda: NoUsableKey("m"), 503, "no_usable_key", NEVER, "No key of this gateway can be used for m: " + REFUSED),
        (lambda: NoUsableKey(""), 503, "no_usable_key", NEVER, "No key of this gateway can be used: " + REFUSED),
        (lambda: NoUsableKey("m", served=False), 503, "no_usable_key", NEVER,
         "No Google project of this gateway serves m."),
        (lambda: UnusableAnswer("MALFORMED_FUNCTION_CALL"), 502, "upstream_unusable", {},
         "The model's answer cannot be used: MALFORMED_FUNCTION_CALL."),
    ],
)  # fmt: skip
def test_errors_with_a_message_of_their_own(
    make: Callable[[], GatewayError], status: int, code: str, headers: dict[str, str], message: str
) -> None:
    error = make()

    assert (error.status, error.code, error.message, str(error)) == (status, code, message, message)
    assert retry_headers(error) == headers


def test_what_an_error_tells_beside_its_message() -> None:
    answer = UnusableAnswer("SAFETY")
    assert (answer.cause, answer.upstream_status) == ("SAFETY", 200)
    assert MethodNotAllowed(frozenset({"POST", "GET", "PUT"})).allow == "GET, POST, PUT"
    own = Forbidden("no", status=451, type="t", code="c", param="p", upstream_status=403)
    assert [own.status, own.type, own.code, own.param, own.upstream_status] == [451, "t", "c", "p", 403]
    plain = Forbidden("no")
    assert (plain.status, plain.type, plain.code) == (403, "permission_denied_error", "permission_denied")
    assert (plain.param, plain.upstream_status, plain.sent) == (None, None, True)


def test_a_configuration_error_has_a_line_for_each_fault() -> None:
    faults = (Fault("g.yaml", 1, 2, "no"), Fault("g.yaml", 30, 4, "neither"))

    assert str(ConfigError(faults)) == "g.yaml:1:2: no\ng.yaml:30:4: neither"
    assert ConfigError(faults).faults == faults


@pytest.mark.parametrize(
    ("reason", "expected"),
    [(("draining",), Draining), (("revoked",), Revoked), ((), type(None)), (("other",), type(None))],
)
def test_a_cancelled_request_has_an_error_for_a_client_that_is_still_there(
    reason: tuple[str, ...], expected: type
) -> None:
    assert type(of_cancellation(CancelledError(*reason))) is expected


def crash(cause: BaseException | None, context: BaseException | None, error: BaseException) -> FrameType:
    """Raise and catch an error with others behind it. Return the frame that it was raised in, which has ended."""

    def handler(body: bytes) -> None:
        error.__cause__, error.__context__ = cause, context
        raise error

    with pytest.raises(type(error)):
        handler(b"a request")
    error.__cause__, error.__context__ = cause, context
    assert error.__traceback__ is not None
    assert error.__traceback__.tb_next is not None
    frame = error.__traceback__.tb_next.tb_frame
    assert frame.f_locals["body"] == b"a request"
    return frame


def test_an_error_that_is_kept_keeps_no_request_alive() -> None:
    inner, cause, context, member = (ValueError(name) for name in ("inner", "cause", "context", "member"))
    group = ExceptionGroup("group", [member])
    crashed = KeyError("crash")
    frames = [
        crash(None, None, inner),
        crash(None, None, member),
        crash(inner, None, cause),
        crash(None, None, context),
        crash(None, context, group),
        crash(cause, group, crashed),
    ]
    inner.__context__ = crashed  # a circle ends

    assert forget_frames(crashed) is crashed
    assert [frame.f_locals for frame in frames] == [{}] * len(frames)
    assert crashed.__traceback__ is not None  # for the log
    behind = (inner, cause, context, member, group)
    assert [error.__traceback__ for error in behind] == [None] * len(behind)


def test_an_error_for_a_client_keeps_no_traceback() -> None:
    error, cause = UpstreamError("no"), OSError("reset")
    crash(None, None, cause)
    crash(cause, None, error)

    assert forget_frames(error) is error
    assert (error.__traceback__, cause.__traceback__) == (None, None)


@pytest.mark.row("A24")
@pytest.mark.parametrize("kind", CANARIES)
@pytest.mark.parametrize(
    "around", ["{}", "Unknown parameter: '{}'.", "x.{}[0]", "/v1/{}/x", "an ({}) in brackets"]
)
def test_a24_no_error_repeats_a_key(kind: str, around: str) -> None:
    text = around.format(CANARIES[kind])
    body = openai_error(BadRequest(text, param=text))

    assert hits(text)
    assert hits(body) == []


@pytest.mark.row("A24")
def test_a24_the_search_for_secrets_takes_linear_time() -> None:
    pieces = [
        "eyj",
        "sk-",
        "-----begin ",
        "-----begin private key",
        "://a",
        "key=",
        "%41",
        "aq.",
        "bearer ",
        "aiza",
        "1//0",
    ]
    for text in [piece * (200_000 // len(piece)) for piece in [*pieces, "".join(pieces)]]:
        start = process_time()
        scrub(text)
        assert process_time() - start < 1
