"""Prices of models and the cost of a call, in millionths of a US dollar.

The kinds of prices are those of https://ai.google.dev/gemini-api/docs/pricing.
"""

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from gateway.gemini.usage import TokenCounts
from gateway.policy.bounded import BoundedMapping
from gateway.policy.counts import as_count

_MAX_MODELS = 1000
"""Model names are chosen by clients."""

Dollars = Annotated[float, Meta(ge=0, le=1e6)]


class Price(Struct, frozen=True, forbid_unknown_fields=True):
    """Prices of one model, in US dollars for a million tokens."""

    input: Dollars = 0.0
    """Text, image and video input."""
    output: Dollars = 0.0
    """Thoughts included."""
    cached: Dollars | None = None
    """Cached input; the price of input unless set."""
    audio: Dollars | None = None
    """Audio input; the price of input unless set."""
    image_output: Dollars | None = None
    """Image output; the price of output unless set."""
    search: Dollars | None = None
    """US dollars for a thousand Google searches."""
    grounded: Dollars | None = None
    """US dollars for a thousand calls that searched at least once."""
    over: Annotated[int, Meta(ge=1)] | None = None
    """Prompt tokens above which the next three prices apply to the whole call."""
    input_over: Dollars | None = None
    """Input above `over`."""
    output_over: Dollars | None = None
    """Output above `over`."""
    cached_over: Dollars | None = None
    """Cached input above `over`."""


class Prices:
    """Price list: prices by model pattern. The last pattern that matches a model's name applies."""

    def __init__(self, version: str, rows: Mapping[str, Price]) -> None:
        self.version = version
        self._rows = dict(rows)
        self._by_model: BoundedMapping[str, Price] = BoundedMapping(_MAX_MODELS)
        self._dearest = _dearest(list(rows.values()))

    def of(self, model: str) -> Price:
        """Return the price of a model. An unknown model has the highest price of each kind: no budget is bypassed."""
        price = self._by_model.get(model)
        if price is None:
            rows = [row for pattern, row in self._rows.items() if fnmatchcase(model, pattern)]
            price = self._by_model[model] = rows[-1] if rows else self._dearest
        return price

    def micros(self, model: str, spent: TokenCounts) -> int:
        """Return the cost of a call in millionths of a US dollar, rounded up."""
        price = self.of(model)
        is_long = price.over is not None and spent.prompt > price.over
        rate = _either(price.input_over if is_long else None, price.input)
        cached_rate = _either(price.cached_over if is_long else None, _either(price.cached, rate))
        output_rate = _either(price.output_over if is_long else None, price.output)
        audio = min(spent.prompt_audio, max(0, spent.prompt - spent.cached))
        text = max(0, spent.prompt - spent.cached - audio) + spent.tool_use
        images = min(spent.completion_image, spent.completion)
        micros = (
            text * rate
            + spent.cached * cached_rate
            + audio * _either(price.audio, rate)
            + (spent.completion - images + spent.thoughts) * output_rate
            + images * _either(price.image_output, output_rate)
        )  # dollars for a million tokens are millionths of a dollar for each token
        if spent.searches:
            micros += 1000 * (spent.searches * (price.search or 0.0) + (price.grounded or 0.0))
        return as_count(math.ceil(micros - 1e-9))  # 1e-9: a float's error must not round up

    def ceiling(self, model: str, most: TokenCounts) -> int:
        """Return the most that a call with at most these tokens costs: each is priced as the dearest of its kind.

        Tokens of the answer may be those of pictures, for models that make some.
        """
        price = self.of(model)
        is_long = price.over is not None and most.prompt > price.over
        rate = max(price.input, (price.input_over or 0.0) if is_long else 0.0)
        heard = min(most.prompt_audio, most.prompt)
        output_rate = max(
            price.output, price.image_output or 0.0, (price.output_over or 0.0) if is_long else 0.0
        )
        micros = (
            (most.input - heard) * rate + heard * max(rate, price.audio or 0.0) + most.output * output_rate
        )
        if most.searches:
            micros += 1000 * (most.searches * (price.search or 0.0) + (price.grounded or 0.0))
        return as_count(math.ceil(micros - 1e-9))


def _dearest(rows: Sequence[Price]) -> Price:
    """Return the highest price of each kind among the rows with a price of input.

    Rows without one are of models that are free, or that are paid by the picture.
    """
    paid = [row for row in rows if row.input] or rows
    if not paid:
        return Price()
    long = [row for row in paid if row.over is not None]
    input_over = max([row.input for row in paid] + [row.input_over or 0.0 for row in long])
    output_over = max([row.output for row in paid] + [row.output_over or 0.0 for row in long])
    cached = max(_either(row.cached, row.input) for row in paid)
    return Price(
        max(row.input for row in paid),
        max(row.output for row in paid),
        cached=cached,
        audio=max([input_over] + [row.audio or 0.0 for row in paid]),
        image_output=max([output_over] + [row.image_output or 0.0 for row in paid]),
        search=max(row.search or 0.0 for row in paid),
        grounded=max(row.grounded or 0.0 for row in paid),
        over=min((row.over for row in long if row.over is not None), default=None),
        input_over=input_over,
        output_over=output_over,
        cached_over=max([cached] + [_either(row.cached_over, row.input_over or 0.0) for row in long]),
    )


def _either(first: float | None, second: float) -> float:
    return second if first is None else first


def price_rows(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Price]:
    """Return the prices of a file by model pattern. Raises ValueError, naming the pattern, for an invalid row."""
    prices: dict[str, Price] = {}
    for pattern, row in rows.items():
        try:
            prices[pattern] = msgspec.convert(row, Price)
        except msgspec.ValidationError as error:
            raise ValueError(f"{pattern}: {error}") from None
    return prices
