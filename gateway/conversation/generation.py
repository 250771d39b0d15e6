"""Sampling and output format: what a client asks for, and the generationConfig that a model takes."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from gateway.conversation.invalid import too_long
from gateway.conversation.notes import Notes
from gateway.errors import BadRequest
from gateway.gemini import json_schema
from gateway.gemini.capabilities import Capabilities

MOST_STOPS = 5
"""Gemini's limit of stopSequences (https://ai.google.dev/api/generate-content#generationconfig)."""
_INT32 = 2**31
_PENALTY_CEILING = 1.99
"""Gemini's range of penalties is [-2, 2): it refuses 2."""
JSON = "application/json"
Number = TypeVar("Number", int, float)

NAMES: Mapping[str, str] = {
    "max_output_tokens": "max_output_tokens",
    "stop_sequences": "stop",
    "response_logprobs": "logprobs",
    "logprobs": "top_logprobs",
}
"""Gemini's field to the client's, where the names differ and the surface says nothing else."""


class Sampling(Struct, frozen=True, gc=False):
    """How a client wants tokens to be chosen, by Gemini's names."""

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


class SamplingWriter:
    """Brings one request's sampling into the range that a model takes, with a note for what changes."""

    def __init__(
        self,
        sampling: Sampling,
        names: Mapping[str, str],
        model: str,
        capabilities: Capabilities,
        notes: Notes,
    ) -> None:
        self._sampling = sampling
        self._names = names
        self._model = model
        self._capabilities = capabilities
        self._notes = notes

    def fields(self) -> dict[str, Any]:
        """Return the fields of generationConfig. Raises UnsupportedParameter in strict mode."""
        sampling = self._sampling
        fields: dict[str, Any] = {
            "temperature": self._at_most("temperature", sampling.temperature, self._capabilities.temperature),
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "max_output_tokens": self._at_most(
                "max_output_tokens", sampling.max_output_tokens, self._capabilities.output_tokens
            ),
            "seed": self._seed(sampling.seed),
        }
        if sampling.stop_sequences:
            fields["stop_sequences"] = self._stops(sampling.stop_sequences)
        if sampling.presence_penalty:
            fields["presence_penalty"] = self._penalty("presence_penalty", sampling.presence_penalty)
        if sampling.frequency_penalty:
            fields["frequency_penalty"] = self._penalty("frequency_penalty", sampling.frequency_penalty)
        if sampling.response_logprobs:
            self._logprobs(fields)
        return fields

    def _at(self, field: str) -> str:
        return self._names.get(field) or NAMES.get(field, field)

    def _at_most(self, field: str, value: Number | None, limit: Number | None) -> Number | None:
        if value is None or limit is None or value <= limit:
            return value
        self._notes.add(self._at(field))
        return limit

    def _seed(self, seed: int | None) -> int | None:
        """Fold a seed into Gemini's int32, the same way each time."""
        if seed is None or -_INT32 <= seed < _INT32:
            return seed
        self._notes.add(self._at("seed"))
        return seed % _INT32

    def _stops(self, stops: Sequence[str]) -> list[str] | None:
        kept = [stop for stop in stops if stop]
        if len(kept) > MOST_STOPS:
            raise too_long(self._at("stop_sequences"), MOST_STOPS, len(kept))
        return kept or None

    def _penalty(self, field: str, value: float) -> float | None:
        if self._capabilities.penalties:
            return min(value, _PENALTY_CEILING)
        self._notes.drop(self._at(field), f"{self._model} does not support penalties.")
        return None

    def _logprobs(self, fields: dict[str, Any]) -> None:
        if not self._capabilities.logprobs:
            self._notes.drop(
                self._at("response_logprobs"), f"{self._model} does not return log probabilities."
            )
            return
        fields["response_logprobs"] = True
        fields["logprobs"] = self._sampling.logprobs or None  # some models refuse 0


def format_fields(wanted: OutputFormat | None, capabilities: Capabilities) -> dict[str, Any]:
    """Return the fields of generationConfig for JSON output. Raises BadRequest for a schema that cannot be."""
    if wanted is None:
        return {}
    if not wanted.schema:
        return {"response_mime_type": JSON}
    try:
        cleaned = json_schema.sanitize(wanted.schema, ordered=capabilities.ordered)
    except BadRequest as error:
        raise BadRequest(error.message, param=wanted.schema_at) from None
    if wanted.description and "description" not in cleaned:
        cleaned["description"] = wanted.description
    return {"response_mime_type": JSON, "response_json_schema": cleaned}
