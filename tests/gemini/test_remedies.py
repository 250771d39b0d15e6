"""Remedies: each returns a new request, or None when there was nothing to change."""

from typing import Any

import pytest

from gateway.errors import BadRequest, UnusableAnswer, UpstreamError
from gateway.gemini import remedies
from gateway.gemini.wire import (
    Content,
    GenerateContentRequest,
    GenerationConfig,
    Part,
    SafetySetting,
    encode_request,
)


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


def test_another_kind_of_output_says_nothing_of_other_requests() -> None:
    def asking(**config: Any) -> GenerateContentRequest:
        return GenerateContentRequest(plain().contents, generation_config=GenerationConfig(**config))

    assert remedies.concerns_all(plain())
    assert remedies.concerns_all(asking(temperature=1.0))
    for field in (
        {"response_modalities": ["IMAGE"]},
        {"speech_config": {"a": 1}},
        {"image_config": {"a": 1}},
    ):
        assert not remedies.concerns_all(asking(**field))
