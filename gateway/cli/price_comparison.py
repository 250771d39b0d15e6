"""Another list of prices, and its differences from the gateway's."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from gateway.policy.models.pricing import Price, Prices
from gateway.policy.models.successors import timestamp

_MOST_BYTES = 32 * 2**20
_KINDS = (
    "input", "cached", "output", "audio", "image_input", "video_input", "audio_output", "image_output", "video_output",
    "input_over", "cached_over", "output_over", "second", "item", "search", "grounded", "maps", "storage",
    "cached_audio",
)  # fmt: skip
_FALLBACKS = {
    "cached": "input", "audio": "input", "image_input": "input", "video_input": "input", "audio_output": "output",
    "image_output": "output", "video_output": "output", "input_over": "input", "output_over": "output",
    "maps": "search",
}  # fmt: skip
"""The kind whose price applies where a row states none."""
_LITELLM = {
    "input_cost_per_token": "input", "output_cost_per_token": "output", "cache_read_input_token_cost": "cached",
    "input_cost_per_audio_token": "audio", "output_cost_per_audio_token": "audio_output",
    "output_cost_per_image_token": "image_output", "input_cost_per_token_above_200k_tokens": "input_over",
    "output_cost_per_token_above_200k_tokens": "output_over",
    "cache_read_input_token_cost_above_200k_tokens": "cached_over",
    "cache_read_input_audio_token_cost": "cached_audio",
}  # fmt: skip
"""Fields of LiteLLM's list, in dollars for a token (https://docs.litellm.ai/docs/completion/token_usage)."""


class Difference(NamedTuple):
    """One price that differs."""

    model: str
    kind: str
    here: float | None
    """None for a model without a row here, which costs the dearest of each kind."""
    there: float

    def __str__(self) -> str:
        if self.here is None:
            return f"{self.model}: no price here, so that it costs the dearest of each kind"
        return f"{self.model}: {self.kind} {self.here:g} here, {self.there:g} there"


def read_prices(file: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of a list by model, each with the prices that it states. Raises ValueError for what is none."""
    try:
        data = file.read_bytes()
        if len(data) > _MOST_BYTES:
            raise ValueError(f"larger than {_MOST_BYTES} bytes")
        content = _decoded(data)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"neither JSON nor YAML: {str(error).splitlines()[0]}") from None
    if isinstance(content, dict):
        content = next(
            (content[key] for key in ("prices", "models") if isinstance(content.get(key), dict)), content
        )
    if not isinstance(content, dict) or not content:
        raise ValueError("expected a mapping of models to prices")
    if any(isinstance(row, dict) and _LITELLM.keys() & row.keys() for row in content.values()):
        return dict(_of_litellm(content))
    return {str(model): _rows(str(model), row) for model, row in content.items() if not _is_successor(row)}


def _decoded(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)  # of LiteLLM's megabytes, much faster than as YAML
    except msgspec.DecodeError:
        return yaml.safe_load(data)


def differences(table: Prices, others: Mapping[str, list[dict[str, Any]]], at: float) -> Iterator[Difference]:
    """Yield each price of another list that is not the gateway's, on a day."""
    for model, rows in others.items():
        begun = [row for row in rows if _start(row) <= at]
        there = begun[-1] if begun else {}
        here = table.of(model, at) if not _is_pattern(model) else table.of_pattern(model, at)
        if here is None or not (_is_pattern(model) or table.is_known(table.successors.of(model, at))):
            yield Difference(model, "all", None, there.get("output", 0.0))
            continue
        for kind in _KINDS:
            value = there.get(kind)
            if value is not None and abs(_price(here, kind) - value) > 1e-9:
                yield Difference(model, kind, _price(here, kind), value)


def _price(price: Price, kind: str) -> float:
    """Return the price of a kind, or of the kind that applies in its place."""
    if kind == "cached_audio":
        return price.cached_audio_rate
    value: float | None = getattr(price, kind)
    if value is None and kind in ("cached_over", "input_over", "output_over"):
        value = getattr(price, kind.removesuffix("_over"))
    if value is None:
        value = getattr(price, _FALLBACKS[kind]) if kind in _FALLBACKS else 0.0
    return float(value or 0.0)


def _is_pattern(model: str) -> bool:
    return any(character in model for character in "*?[")


def _is_successor(row: Any) -> bool:
    """Return whether a row of `gateway prices --json` says only which model answers."""
    return isinstance(row, dict) and "answered_by" in row and "input" not in row


def _start(row: dict[str, Any]) -> float:
    since = row.get("since")
    return timestamp(since) if since is not None else 0.0


def _rows(model: str, row: Any) -> list[dict[str, Any]]:
    """Return the rows of one model with the kinds that they state. Raises ValueError."""
    extra = ("answered_by", "unknown")
    rows: list[dict[str, Any]] = []
    for stated in row if isinstance(row, list) else [row]:
        if not isinstance(stated, dict):
            raise ValueError(f"{model}: expected prices such as {{input: 1, output: 4}}")  # noqa: TRY004 - of the file
        stated = {str(name): value for name, value in stated.items() if name not in extra}
        try:
            price = msgspec.convert(stated, Price)
        except msgspec.ValidationError as error:
            raise ValueError(f"{model}: {error}") from None
        rows.append({"since": price.since, **{k: getattr(price, k) for k in _KINDS if k in stated}})
    return rows


def _of_litellm(content: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield Gemini's models of LiteLLM's list."""
    for name, row in content.items():
        if isinstance(row, dict) and row.get("litellm_provider") == "gemini":
            prices = {
                kind: round(1e6 * row[field], 9)
                for field, kind in _LITELLM.items()
                if isinstance(row.get(field), int | float)
            }
            if prices:
                yield name.removeprefix("gemini/"), [prices]
