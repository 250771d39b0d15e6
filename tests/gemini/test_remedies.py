"""Remedies: each changes what it is for, and says so when there was nothing to change."""

import msgspec
import pytest

from gateway.errors import BadRequest, UnusableAnswer, UpstreamError
from gateway.gemini import remedies as adjust
from gateway.gemini.wire import Content, GenerateContentRequest, Part, SafetySetting, encode_request


def plain() -> GenerateContentRequest:
    return GenerateContentRequest([Content([Part(text="hi")], "user")])


ALWAYS = "server_side_on"
"""A flag that can be set on any request."""


@pytest.mark.parametrize(
    "row", [r for r in adjust.REMEDIES if r.feature != ALWAYS], ids=lambda row: row.feature
)
def test_a_remedy_that_has_nothing_to_change_says_so(row: adjust.Remedy) -> None:
    request = plain()
    assert not row.apply(request, "")
    assert encode_request(request) == encode_request(plain())


def test_each_feature_has_one_row() -> None:
    assert len(adjust.BY_FEATURE) == len(adjust.REMEDIES)


def test_only_a_refusal_of_the_upstream_has_a_remedy() -> None:
    told = "Penalty is not enabled for this model"

    assert adjust.remedy(BadRequest(told, upstream_status=400), []) is adjust.BY_FEATURE["penalties"]
    assert adjust.remedy(BadRequest(told, upstream_status=400), ["penalties"]) is None
    assert adjust.remedy(BadRequest(told), []) is None
    assert adjust.remedy(UpstreamError(told, upstream_status=400), []) is None
    assert adjust.remedy(UnusableAnswer("STOP"), []) is None


def test_what_a_model_refused_is_left_out_before_it_is_asked() -> None:
    request = plain()
    request.safety_settings = [SafetySetting("A", "OFF")]
    request.contents.append(Content([Part(text="x")], "model"))

    assert adjust.prepare(request, {"prefill", "penalties"}) == ["messages"]
    assert request.contents[-1].role == "user"


def test_a_category_is_dropped_by_its_number_or_name() -> None:
    row = adjust.BY_FEATURE["safety"]
    request = plain()
    request.safety_settings = [
        SafetySetting("HARM_CATEGORY_A", "OFF"),
        SafetySetting("HARM_CATEGORY_B", "OFF"),
    ]
    assert row.apply(request, "Invalid value at 'safety_settings[1].category'")
    assert [s.category for s in request.safety_settings] == ["HARM_CATEGORY_A"]
    assert row.apply(request, "HARM_CATEGORY_A is not supported")
    assert request.safety_settings is None


def test_no_signature_is_put_on_a_part_that_has_one() -> None:
    request = msgspec.json.decode(
        b'{"contents":[{"role":"model","parts":[{"functionCall":{"name":"a"},"thoughtSignature":"S"},'
        b'{"functionCall":{"name":"b"}}]}]}',
        type=GenerateContentRequest,
    )
    assert not adjust.BY_FEATURE["signature_missing"].apply(request, "")
    assert adjust.BY_FEATURE["signature_invalid"].apply(request, "")
    parts = request.contents[0].parts or []
    assert [part.thought_signature for part in parts] == ["skip_thought_signature_validator", None]
