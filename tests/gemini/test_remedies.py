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
ALWAYS = ("server_side_on", "again")
"""A flag that can be set on any request, and another attempt."""


@pytest.mark.parametrize(
    "row", [r for r in remedies.REMEDIES if r.feature not in ALWAYS], ids=lambda row: row.feature
)
def test_a_remedy_without_anything_to_change_returns_none(row: remedies.Remedy) -> None:
    request = plain()
    assert row.apply(request, LEARNED) is None
    assert encode_request(request) == encode_request(plain())


def test_each_feature_has_one_row() -> None:
    assert len(remedies.BY_FEATURE) == len(remedies.REMEDIES)


def test_only_a_refusal_of_the_upstream_has_a_remedy() -> None:
    message = "Penalty is not enabled for this model"

    assert remedies.matching(BadRequest(message, upstream_status=400), []) == [
        remedies.BY_FEATURE["penalties"]
    ]
    assert remedies.matching(BadRequest(message, upstream_status=400), ["penalties"]) == []
    assert remedies.matching(BadRequest(message), []) == []
    assert remedies.matching(UpstreamError(message, upstream_status=400), []) == []
    assert remedies.matching(UnusableAnswer("STOP"), []) == []


@pytest.mark.row("T6")
def test_t06_each_row_names_its_evidence() -> None:
    assert [row.feature for row in remedies.REMEDIES if not row.evidence.startswith("https://")] == []


STEPS = {
    "The specified schema produces a constraint that has too many states for serving. Typical causes": [
        "schema_bounds", "unforced", "schemas_in_words"],
    "* GenerateContentRequest.tools[0].function_declarations[1].parameters.required[0]: property is not defined\n": [
        "schema_misfit", "schema", "schema_classic", "schemas_in_words"],
    "* GenerateContentRequest.tools[0].function_declarations[80].parameters.properties[data].properties: only allowed for "
    "OBJECT type\n* GenerateContentRequest": ["schema_misfit", "schema", "schema_classic", "schemas_in_words"],
    "* GenerateContentRequest.generation_config.response_schema.properties[a].enum: only allowed for STRING type": [
        "schema_misfit", "schema", "schema_classic", "schemas_in_words"],
    "reference to undefined schema at properties.target_object.anyOf.1": ["references", "schemas_in_words"],
    "schema at top-level can only contain properties starting with '$' when $ref is present": [
        "references", "schemas_in_words"],
    "Model generated invalid JSON syntax and the output could not be parsed. Please retry the request.": [
        "again", "answer_in_words"],
    "Aspect ratio is not enabled for this model": ["image_size", "image_config"],
    "Aspect ratio is not enabled for models/gemini-2.5-flash": ["image_size", "image_config"],
    "Invalid value at 'generation_config.image_config.image_size' (TYPE_STRING), 8": ["image_size", "image_config"],
    "Invalid JSON payload received. Unknown name \"imageSize\" at 'generation_config.image_config': Cannot find field.": [
        "image_size", "image_config"],
    "Request contains an invalid argument.": ["image_opaque", "schema_bounds", "unforced", "answer_in_words"],
    "Request contains an invalid argument. too": [],
    "A schema in GenerationConfig in the request exceeds the maximum allowed nesting depth.": ["schemas_in_words"],
    "Unable to submit request because `request_folder_access` functionDeclaration `parameters.a` schema didn't specify the "
    "schema type field.": ["schema_misfit", "schema", "schema_classic", "schemas_in_words"],
    "The referenced name `#/$defs/A` in function_response.response does not match to a display_name": ["referenced_name"],
}  # fmt: skip
"""Google's words, each recorded in the row's evidence."""


@pytest.mark.row("T6")
@pytest.mark.parametrize("message", STEPS)
def test_t06_the_steps_of_a_refusal(message: str) -> None:
    error = BadRequest(message, upstream_status=400)

    assert [row.feature for row in remedies.matching(error, [])] == STEPS[message]
    assert [
        row.feature for row in remedies.matching(BadRequest(f"x {message}", upstream_status=400), [])
    ] == []
    assert [row.feature for row in remedies.matching(error, STEPS[message][:1])] == STEPS[message][1:]


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


def test_a_picture_keeps_its_shape_where_only_its_size_is_refused() -> None:
    config = GenerationConfig(
        response_modalities=["IMAGE"], image_config={"aspectRatio": "1:1", "imageSize": "4K"}
    )
    request = GenerateContentRequest(plain().contents, generation_config=config)
    size, shape = remedies.BY_FEATURE["image_size"], remedies.BY_FEATURE["image_config"]

    smaller = size.apply(request, BadRequest("x"))
    assert smaller is not None
    assert smaller.generation_config is not None
    assert smaller.generation_config.image_config == {"aspectRatio": "1:1"}
    assert size.apply(smaller, BadRequest("x")) is None
    free = shape.apply(smaller, BadRequest("x"))
    assert free is not None
    assert free.generation_config == GenerationConfig(response_modalities=["IMAGE"])
    assert shape.apply(free, BadRequest("x")) is None
