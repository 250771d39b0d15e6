"""Sampling and output format: what a client asks for, and the generationConfig that a model takes."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from gateway.conversation.invalid import too_long
from gateway.conversation.notes import Notes
from gateway.gemini.capabilities import Capabilities
from gateway.gemini.schemas import json_schema
from gateway.gemini.schemas.known_schemas import KNOWN
from gateway.gemini.schemas.schema_references import InlineBudget

MOST_STOPS = 5
"""Gemini's limit of stopSequences (https://ai.google.dev/api/generate-content#generationconfig)."""
MOST_OWN_STOPS = 64
"""Further stop sequences, at which the gateway cuts the text itself: each is looked for in each piece of the text."""
_INT32 = 2**31
_PENALTY_CEILING = 1.99
"""Gemini's range of penalties is [-2, 2): it refuses 2."""
JSON = "application/json"

NAMES: Mapping[str, str] = {
    "max_output_tokens": "max_output_tokens",
    "stop_sequences": "stop",
    "response_logprobs": "logprobs",
    "logprobs": "top_logprobs",
}
"""Gemini's field to the client's, where the names differ and the surface says nothing else."""


class Sampling(Struct, frozen=True, gc=False):
    """Sampling options of a request, by Gemini's names."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_output_tokens: int | None = None
    stop_sequences: Sequence[str] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_logprobs: bool = False
    logprobs: int | None = None


class OutputFormat(Struct, frozen=True, gc=False):
    """JSON that a client asks for."""

    at: str
    schema: Mapping[str, Any] | None = None
    description: str | None = None
    schema_at: str = ""


class SamplingLimits(Struct, frozen=True):
    """The limits of one model, and the client's names for fields that exceed them."""

    model: str
    capabilities: Capabilities
    names: Mapping[str, str]
    notes: Notes

    def at(self, field: str) -> str:
        """Return the client's path of a field."""
        return self.names.get(field) or NAMES.get(field, field)


def sampling_fields(sampling: Sampling, limits: SamplingLimits) -> dict[str, Any]:
    """Return the sampling fields of generationConfig, in the model's range, with a note for each change.

    Raises UnsupportedParameter in strict mode for a field that the model does not take at all.
    """
    capabilities, notes = limits.capabilities, limits.notes
    fields: dict[str, Any] = {"top_p": sampling.top_p, "top_k": sampling.top_k}
    temperature, most_tokens, seed = sampling.temperature, sampling.max_output_tokens, sampling.seed
    if temperature is not None and temperature > capabilities.temperature:
        notes.add(limits.at("temperature"))
        temperature = capabilities.temperature
    most_output = capabilities.output_tokens or _INT32 - 1  # Google refuses what is no int32
    if most_tokens is not None and most_tokens > most_output:
        notes.add(limits.at("max_output_tokens"))
        most_tokens = most_output
    if seed is not None and not -_INT32 <= seed < _INT32:  # fold it, the same way each time
        notes.add(limits.at("seed"))
        seed %= _INT32
    fields["temperature"], fields["max_output_tokens"], fields["seed"] = temperature, most_tokens, seed
    if sampling.stop_sequences:
        fields["stop_sequences"] = _stops(sampling.stop_sequences)[:MOST_STOPS] or None
    if sampling.presence_penalty or sampling.frequency_penalty:
        fields |= _penalties(sampling, limits)
    if sampling.response_logprobs:
        fields |= _logprobs(sampling, limits)
    return fields


def other_stops(sampling: Sampling, at: str) -> tuple[str, ...]:
    """Return the stop sequences above Gemini's limit. Raises BadRequest with the client's path of too many."""
    stops = _stops(sampling.stop_sequences)
    if len(stops) > MOST_STOPS + MOST_OWN_STOPS:
        raise too_long(at, MOST_STOPS + MOST_OWN_STOPS, len(stops))
    return tuple(stops[MOST_STOPS:])


def _stops(stops: Sequence[str]) -> list[str]:
    """Return the stop sequences, each once, without empty ones, which Gemini refuses."""
    return list(dict.fromkeys(stop for stop in stops if stop))


def _penalties(sampling: Sampling, limits: SamplingLimits) -> dict[str, float]:
    penalties = {
        name: value
        for name in ("presence_penalty", "frequency_penalty")
        if (value := getattr(sampling, name))
    }
    if limits.capabilities.penalties:
        return {name: min(value, _PENALTY_CEILING) for name, value in penalties.items()}
    for name in penalties:
        limits.notes.drop(limits.at(name), f"{limits.model} does not support penalties.")
    return {}


def _logprobs(sampling: Sampling, limits: SamplingLimits) -> dict[str, Any]:
    if limits.capabilities.logprobs:
        # some models refuse a count of 0
        return {"response_logprobs": True, "logprobs": sampling.logprobs or None}
    limits.notes.drop(limits.at("response_logprobs"), f"{limits.model} does not return log probabilities.")
    return {}


def without_sampling(fields: dict[str, Any], limits: SamplingLimits) -> None:
    """Take temperature, topP and topK out of the fields of a model that refuses them, with a note for each.

    Speech models from 3.8 on refuse them, older ones ignored them
    (https://ai.google.dev/gemini-api/docs/speech-generation). Raises UnsupportedParameter in strict mode.
    """
    for name in ("temperature", "top_p", "top_k"):
        if fields.get(name) is not None:
            fields[name] = None
            limits.notes.drop(limits.at(name), f"{limits.model} takes no sampling parameters.")


def format_fields(
    wanted: OutputFormat, capabilities: Capabilities, budget: InlineBudget, notes: Notes
) -> dict[str, Any]:
    """Return the fields of generationConfig for JSON output. Raises BadRequest for a schema that cannot be."""
    if not wanted.schema:
        return {"response_mime_type": JSON}
    lost: list[str] = []
    cleaned = KNOWN.sanitize(wanted.schema, wanted.schema_at, budget, ordered=capabilities.ordered, lost=lost)
    for path in lost:
        notes.drop(path, json_schema.UNSAID)
    if wanted.description and "description" not in cleaned:
        cleaned["description"] = wanted.description
    return {"response_mime_type": JSON, "response_json_schema": cleaned}
