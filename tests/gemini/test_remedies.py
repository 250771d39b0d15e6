"""Remedies: each returns a new request, or None when there was nothing to change."""

import msgspec
import pytest

from gateway.errors import BadRequest, UnusableAnswer, UpstreamError, Violation
from gateway.gemini import remedies
from gateway.gemini.wire import Content, GenerateContentRequest, Part, SafetySetting, encode_request


def plain() -> GenerateContentRequest:
    return GenerateContentRequest([Content([Part(text="hi")], "user")])


def changed(request: GenerateContentRequest | None) -> GenerateContentRequest:
    assert request is not None
    return request


LEARNED = BadRequest("")
ALWAYS = "server_side_on"
"""A flag that can be set on any request."""


@pytest.mark.parametrize(
    "row", [r for r in remedies.REMEDIES if r.feature != ALWAYS], ids=lambda row: row.feature
)
def test_a_remedy_without_anything_to_change_returns_none(row: remedies.Remedy) -> None:
    request = plain()
    assert row.apply(request, LEARNED) is None
    assert encode_request(request) == encode_request(plain())


def test_each_feature_has_one_row() -> None:
    assert len(remedies.BY_FEATURE) == len(remedies.REMEDIES)


def test_only_a_refusal_of_the_upstream_has_a_remedy() -> None:
    message = "Penalty is not enabled for this model"

    assert remedies.remedy(BadRequest(message, upstream_status=400), []) is remedies.BY_FEATURE["penalties"]
    assert remedies.remedy(BadRequest(message, upstream_status=400), ["penalties"]) is None
    assert remedies.remedy(BadRequest(message), []) is None
    assert remedies.remedy(UpstreamError(message, upstream_status=400), []) is None
    assert remedies.remedy(UnusableAnswer("STOP"), []) is None


def test_learned_refusals_are_avoided_before_the_call() -> None:
    request = GenerateContentRequest(
        [*plain().contents, Content([Part(text="x")], "model")], safety_settings=[SafetySetting("A", "OFF")]
    )
    before = encode_request(request)

    prepared, fields = remedies.prepare(request, {"prefill", "penalties"})

    assert fields == ["contents"]
    assert prepared.contents[-1].role == "user"
    assert encode_request(request) == before


def left(error: BadRequest) -> list[str]:
    """Return the last letters of the categories that are left of A, B and C."""
    row = remedies.BY_FEATURE["safety"]
    settings = [SafetySetting(f"HARM_CATEGORY_{letter}", "OFF") for letter in "ABC"]
    request = GenerateContentRequest(plain().contents, safety_settings=settings)
    result = row.apply(request, error) or request
    return [setting.category[-1] for setting in result.safety_settings or ()]


def test_the_categories_that_a_refusal_points_at_are_dropped() -> None:
    kind = "(type.googleapis.com/google.ai.generativelanguage.v1beta.HarmCategory)"
    lines = [f"Invalid value at 'safety_settings[{i}].category' {kind}, \"X\"" for i in (0, 2)]
    several = BadRequest("\n".join(lines), upstream_status=400)
    several.violations = tuple(Violation("safety_settings", line) for line in lines)
    known = "HarmCategory.HARM_CATEGORY_B, HarmCategory.HARM_CATEGORY_C"
    predicate = (
        f"* GenerateContentRequest.safety_settings[0]: element predicate failed: $.category in ({known})\n"
    )

    assert left(BadRequest(lines[1])) == ["A", "B"]
    assert left(several) == ["B"]
    assert left(BadRequest(predicate)) == ["B", "C"]
    assert left(BadRequest("x\n" + lines[0])) == ["A", "B", "C"]


def test_no_signature_is_put_on_a_part_that_has_one() -> None:
    request = msgspec.json.decode(
        b'{"contents":[{"role":"model","parts":[{"functionCall":{"name":"a"},"thoughtSignature":"S"},'
        b'{"functionCall":{"name":"b"}}]}]}',
        type=GenerateContentRequest,
    )
    assert remedies.BY_FEATURE["signature_missing"].apply(request, LEARNED) is None
    signed = changed(remedies.BY_FEATURE["signature_invalid"].apply(request, LEARNED))
    parts = signed.contents[0].parts or []
    assert [part.thought_signature for part in parts] == ["skip_thought_signature_validator", None]
