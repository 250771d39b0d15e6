"""Sampling and output formats, brought into the range of the model."""

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.conversation.generation import (
    OutputFormat,
    Sampling,
    SamplingLimits,
    format_fields,
    other_stops,
    sampling_fields,
)
from gateway.conversation.notes import Notes
from gateway.errors import BadRequest, UnsupportedParameter
from gateway.gemini.capabilities import Capabilities
from gateway.gemini.schemas.schema_references import InlineBudget

NEWEST = Capabilities()


def fields_of(
    sampling: Sampling, capabilities: Capabilities = NEWEST, names: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Return the fields that are set, and the notes."""
    notes = Notes()
    fields = sampling_fields(sampling, SamplingLimits("gemini-x", capabilities, names or {}, notes))
    return {name: value for name, value in fields.items() if value is not None}, notes.distinct()


def test_values_in_range_pass_and_zero_is_a_value() -> None:
    sampling = Sampling(temperature=0, top_p=0, top_k=0, max_output_tokens=5, seed=0, stop_sequences=["a"])

    assert fields_of(sampling) == (
        {"temperature": 0, "top_p": 0, "top_k": 0, "max_output_tokens": 5, "seed": 0, "stop_sequences": ["a"]},
        [],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sampling", "expected", "note"),
    [
        (Sampling(temperature=1.0), {"temperature": 1.0}, []),
        (Sampling(temperature=1.5), {"temperature": 1.0}, ["temperature"]),
        (Sampling(max_output_tokens=100), {"max_output_tokens": 100}, []),
        (Sampling(max_output_tokens=101), {"max_output_tokens": 100}, ["max_tokens"]),
    ],
)
def test_a_value_over_the_models_limit_is_lowered_and_noted(
    sampling: Sampling, expected: dict[str, Any], note: list[str]
) -> None:
    limited = Capabilities(temperature=1.0, output_tokens=100)

    assert fields_of(sampling, limited, {"max_output_tokens": "max_tokens"}) == (expected, note)


def test_an_answers_length_is_not_limited_where_the_limit_is_unknown() -> None:
    assert fields_of(Sampling(max_output_tokens=10**9)) == ({"max_output_tokens": 10**9}, [])


@pytest.mark.parametrize("seed", [-(2**31), 2**31 - 1])
def test_a_seed_of_32_bits_passes(seed: int) -> None:
    assert fields_of(Sampling(seed=seed)) == ({"seed": seed}, [])


@pytest.mark.parametrize(
    ("seed", "sent"), [(2**31, 0), (2**31 + 5, 5), (-(2**31) - 1, 2**31 - 1), (10**20, 10**20 % 2**31)]
)
def test_a_longer_seed_is_folded_and_noted(seed: int, sent: int) -> None:
    assert fields_of(Sampling(seed=seed)) == ({"seed": sent}, ["seed"])


@pytest.mark.parametrize(
    ("stops", "sent"), [(["", "a", ""], ["a"]), (list("abcde"), list("abcde")), (["", *"abcde"], list("abcde"))]
)  # fmt: skip
def test_empty_stops_are_left_out(stops: list[str], sent: list[str]) -> None:
    assert fields_of(Sampling(stop_sequences=stops)) == ({"stop_sequences": sent}, [])


def test_only_empty_stops_are_none() -> None:
    assert fields_of(Sampling(stop_sequences=["", ""])) == ({}, [])


@pytest.mark.row("G17")
def test_g17_stops_above_geminis_limit_are_the_gateways_own() -> None:
    sampling = Sampling(stop_sequences=["a", "", *"abcdefg"])

    assert fields_of(sampling) == ({"stop_sequences": list("abcde")}, [])
    assert other_stops(sampling, "stops") == ("f", "g")
    with pytest.raises(BadRequest) as caught:
        other_stops(Sampling(stop_sequences=[str(i) for i in range(70)]), "stops")
    assert (caught.value.param, caught.value.code) == ("stops", "array_above_max_length")


def test_penalties_stay_below_two() -> None:
    penalties = Sampling(presence_penalty=2.0, frequency_penalty=-2.0)

    assert fields_of(penalties, Capabilities(penalties=True)) == (
        {"presence_penalty": 1.99, "frequency_penalty": -2.0},
        [],
    )


def test_penalties_that_a_model_does_not_take_are_noted_unless_they_are_zero() -> None:
    assert fields_of(Sampling(presence_penalty=0.0, frequency_penalty=1.0)) == ({}, ["frequency_penalty"])


@pytest.mark.parametrize(("count", "sent"), [(3, {"logprobs": 3}), (0, {}), (None, {})])
def test_log_probabilities_have_a_count_only_above_zero(count: int | None, sent: dict[str, int]) -> None:
    sampling = Sampling(response_logprobs=True, logprobs=count)

    assert fields_of(sampling, Capabilities(logprobs=True)) == ({"response_logprobs": True, **sent}, [])


def test_log_probabilities_that_a_model_does_not_return_are_noted() -> None:
    assert fields_of(Sampling(response_logprobs=True, logprobs=3)) == ({}, ["logprobs"])


@pytest.mark.parametrize(
    "sampling", [Sampling(presence_penalty=1.0), Sampling(frequency_penalty=1.0), Sampling(response_logprobs=True)]
)  # fmt: skip
def test_strict_mode_refuses_what_a_model_does_not_take(sampling: Sampling) -> None:
    limits = SamplingLimits("gemini-x", NEWEST, {}, Notes(strict=True))

    with pytest.raises(UnsupportedParameter, match="gemini-x does not"):
        sampling_fields(sampling, limits)


def test_a_field_has_the_clients_name_or_else_openais() -> None:
    limits = SamplingLimits("m", NEWEST, {"stop_sequences": "stop_sequences"}, Notes())

    assert [limits.at(field) for field in ("stop_sequences", "response_logprobs", "logprobs", "seed")] == [
        "stop_sequences",
        "logprobs",
        "top_logprobs",
        "seed",
    ]


def test_json_without_a_schema() -> None:
    assert format_fields(OutputFormat("f"), NEWEST, InlineBudget(), Notes()) == {
        "response_mime_type": "application/json"
    }


@pytest.mark.parametrize(
    ("own", "described", "expected"),
    [
        (None, None, None),
        (None, "A person", "A person"),
        ("Somebody", "A person", "Somebody"),
        ("Somebody", None, "Somebody"),
    ],
)
def test_a_formats_description_becomes_that_of_a_schema_without_one(
    own: str | None, described: str | None, expected: str | None
) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, **({"description": own} if own else {})}  # fmt: skip

    fields = format_fields(OutputFormat("f", schema, described), NEWEST, InlineBudget(), Notes())

    assert fields["response_mime_type"] == "application/json"
    assert fields["response_json_schema"] == schema | ({"description": expected} if expected else {})


def test_the_order_of_properties_is_written_down_for_models_that_lose_it() -> None:
    wanted = OutputFormat("f", {"type": "object", "properties": {"b": {}, "a": {}}})

    kept, lost = (
        format_fields(wanted, Capabilities(ordered=ordered), InlineBudget(), Notes())
        for ordered in (False, True)
    )

    assert "propertyOrdering" not in kept["response_json_schema"]
    assert lost["response_json_schema"]["propertyOrdering"] == ["b", "a"]


def test_a_schema_that_cannot_be_is_refused_at_the_clients_field() -> None:
    with pytest.raises(BadRequest) as caught:
        format_fields(
            OutputFormat("f", {"type": "object", "properties": "a"}, schema_at="f.schema"),
            NEWEST,
            InlineBudget(),
            Notes(),
        )

    assert caught.value.param == "f.schema"
