"""Remedies: each returns a new request, or None when there was nothing to change."""

import msgspec
import pytest

from gateway.errors import BadRequest, UnusableAnswer, UpstreamError
from gateway.gemini import remedies
from gateway.gemini.wire import Content, GenerateContentRequest, Part, SafetySetting, encode_request


def plain() -> GenerateContentRequest:
    return GenerateContentRequest([Content([Part(text="hi")], "user")])


def changed(request: GenerateContentRequest | None) -> GenerateContentRequest:
    assert request is not None
    return request


ALWAYS = "server_side_on"
"""A flag that can be set on any request."""


@pytest.mark.parametrize(
    "row", [r for r in remedies.REMEDIES if r.feature != ALWAYS], ids=lambda row: row.feature
)
def test_a_remedy_without_anything_to_change_returns_none(row: remedies.Remedy) -> None:
    request = plain()
    assert row.apply(request, "") is None
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


def test_a_category_is_dropped_by_its_number_or_name() -> None:
    row = remedies.BY_FEATURE["safety"]
    settings = [SafetySetting("HARM_CATEGORY_A", "OFF"), SafetySetting("HARM_CATEGORY_B", "OFF")]
    request = GenerateContentRequest(plain().contents, safety_settings=settings)

    without_second = changed(row.apply(request, "Invalid value at 'safety_settings[1].category'"))
    assert [s.category for s in without_second.safety_settings or ()] == ["HARM_CATEGORY_A"]
    assert changed(row.apply(without_second, "HARM_CATEGORY_A is not supported")).safety_settings is None


def test_no_signature_is_put_on_a_part_that_has_one() -> None:
    request = msgspec.json.decode(
        b'{"contents":[{"role":"model","parts":[{"functionCall":{"name":"a"},"thoughtSignature":"S"},'
        b'{"functionCall":{"name":"b"}}]}]}',
        type=GenerateContentRequest,
    )
    assert remedies.BY_FEATURE["signature_missing"].apply(request, "") is None
    signed = changed(remedies.BY_FEATURE["signature_invalid"].apply(request, ""))
    parts = signed.contents[0].parts or []
    assert [part.thought_signature for part in parts] == ["skip_thought_signature_validator", None]
