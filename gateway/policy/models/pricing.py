"""Prices of models and the cost of a call, in millionths of a US dollar.

The kinds of prices are those of https://ai.google.dev/gemini-api/docs/pricing. Prices have dates: every cost is that of
a time, which is given in Unix seconds.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct, field

from gateway.gemini.usage import TokenCounts
from gateway.policy.counts import MAX_COUNT, as_count
from gateway.policy.models.successors import DAY, NO_SUCCESSORS, Successors, named, timestamp

_MAX_MODELS = 1000
"""Model names are chosen by clients."""
_STORAGE = 4.5
"""Price of storage of the dearest models (https://ai.google.dev/gemini-api/docs/pricing)."""
_CLIP = 8
"""Seconds of a video whose length is not known: the longest that Veo makes (https://ai.google.dev/gemini-api/docs/video)."""

Dollars = Annotated[float, Meta(ge=0, le=1e6)]
Factor = Annotated[float, Meta(ge=0, le=100)]
Tier = Literal["standard", "batch", "flex", "priority"]


class Factors(Struct, frozen=True, forbid_unknown_fields=True):
    """Multiples of the standard price. Searches cost the same in each."""

    batch: Factor = 0.5
    """Batches."""
    flex: Factor = 0.5
    """Service tier flex."""
    priority: Factor = 1.8
    """Service tier priority."""


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
    image_input: Dollars | None = None
    """Image input; the price of input unless set."""
    video_input: Dollars | None = None
    """Video input; the price of input unless set."""
    audio_output: Dollars | None = None
    """Audio output; the price of output unless set."""
    video_output: Dollars | None = None
    """Video output; the price of output unless set."""
    second: Dollars | None = None
    """US dollars for a second of generated video."""
    item: Dollars | None = None
    """US dollars for a generated picture or song."""
    storage: Dollars | None = None
    """US dollars for a million tokens of a cached content, for an hour; the highest public price unless set."""
    cached_audio: Dollars | None = None
    """Cached audio input; unless set, as much less than `audio` as `cached` is less than `input`."""
    maps: Dollars | None = None
    """US dollars for a thousand prompts grounded with Google Maps; each counts as a search unless set."""
    factors: Factors = Factors()
    """Multiples of these prices for other tiers of service."""
    since: date | None = field(default=None, name="from")
    """First day, in UTC, on which the row applies; at all times unless set."""

    @property
    def cached_audio_rate(self) -> float:
        """The price of cached audio input."""
        cached = _either(self.cached, self.input)
        if self.cached_audio is not None:
            return self.cached_audio
        return self.audio * cached / self.input if self.audio and self.input else cached


PriceRows = Mapping[str, Price | Sequence[Price]]
"""Prices by name pattern: one, or several that follow each other in time."""
_PARTS = (
    "image_input",
    "video_input",
    "audio_output",
    "video_output",
    "second",
    "item",
    "maps",
    "cached_audio",
)
"""Prices of kinds that few models have."""


class Prices:
    """Price list: prices by model pattern. The last row applies whose pattern matches and whose time has come.

    A name that another model answers for has that model's price, unless one of the patterns in `own`, which are the
    operator's, matches the name.
    """

    def __init__(
        self,
        version: str,
        rows: PriceRows,
        own: PriceRows | None = None,
        successors: Successors = NO_SUCCESSORS,
    ) -> None:
        self.version = version
        self.successors = successors
        self._own = tuple(own or ())
        self._rows = [*_flat(rows), *_flat(own or {})]
        self._dearest = _dearest([price for _, _, price in self._rows])
        self._billed = lru_cache(_MAX_MODELS)(self._find)
        self._bounds = lru_cache(_MAX_MODELS)(self._find_bounds)

    def of(self, model: str, at: float, answered: str = "") -> Price:
        """Return the price of a model, of the one that answers for it. `answered` is the answer's `modelVersion`.

        An unknown model has the highest price of each kind, of all rows: no budget is bypassed.
        """
        return self._billed(model, answered, self.successors.named_last(model), at // DAY)

    def micros(
        self, model: str, spent: TokenCounts, at: float, answered: str = "", tier: Tier = "standard"
    ) -> int:
        """Return the cost of a call in millionths of a US dollar, rounded up."""
        price = self._billed(model, answered, self.successors.named_last(model), at // DAY)
        is_long = price.over is not None and spent.prompt > price.over
        rate = price.input if not is_long or price.input_over is None else price.input_over
        output_rate = price.output if not is_long or price.output_over is None else price.output_over
        micros = spent.tool_use * rate + spent.thoughts * output_rate
        if spent.cached:
            cached_rate = _either(price.cached_over if is_long else None, _either(price.cached, rate))
            micros += spent.cached * cached_rate
            if spent.cached_audio:
                micros += spent.cached_audio * (max(price.cached_audio_rate, cached_rate) - cached_rate)
        # What of the cached tokens is a picture, and often what is sound, Google does not say: they count as text
        uncached = spent.prompt - spent.cached
        if spent.prompt_audio or spent.prompt_image or spent.prompt_video:
            micros += _by_kind(
                uncached,
                rate,
                (max(0, spent.prompt_audio - spent.cached_audio), price.audio),
                (spent.prompt_image, price.image_input),
                (spent.prompt_video, price.video_input),
            )
        elif uncached > 0:
            micros += (
                uncached * rate
            )  # dollars for a million tokens are millionths of a dollar for each token
        if spent.completion_image or spent.completion_audio or spent.completion_video:
            micros += _by_kind(
                spent.completion,
                output_rate,
                (spent.completion_image, price.image_output),
                (spent.completion_audio, price.audio_output),
                (spent.completion_video, price.video_output),
            )
        else:
            micros += spent.completion * output_rate
        if price.item is not None or price.second is not None:
            micros += _by_piece(price, spent, at_least=bool(spent.total))
        if tier != "standard":
            micros *= getattr(price.factors, tier)
        if spent.stored:
            micros += spent.stored * _either(price.storage, _STORAGE)
        return _rounded(micros + _grounding(price, spent) if spent.searches or spent.maps else micros)

    def ceiling(self, model: str, most: TokenCounts, at: float) -> int:
        """Return the most that a call with at most these tokens costs: each is priced as the dearest of its kind.

        Tokens of the answer may be those of pictures, for models that make some. Of the models that may answer for
        the name, the dearest counts. A name without a row, such as an alias, costs what they cost: without any, the
        highest price of each kind.
        """
        bounds = self._bounds(model, self.successors.named_last(model), at // DAY)
        highest = _ceiling(bounds[0], most)
        for bound in bounds[1:]:
            highest = max(highest, _ceiling(bound, most))
        return highest

    def is_known(self, model: str) -> bool:
        """Return whether a row is meant for a model."""
        return any(fnmatchcase(model, pattern) for pattern, _, _ in self._rows)

    def rows_from(self, at: float) -> Iterator[tuple[str, list[Price]]]:
        """Yield each pattern with its price at a time and the later ones, in the order in which they apply."""
        for pattern in dict.fromkeys(name for name, _, _ in self._rows):
            dated = [(start, price) for name, start, price in self._rows if name == pattern]
            current = max((i for i, (start, _) in enumerate(dated) if start <= at), default=0)
            yield (
                pattern,
                [price for start, price in dated[current:] if start > at or price is dated[current][1]],
            )

    def of_pattern(self, pattern: str, at: float) -> Price | None:
        """Return the price of a row by its pattern; None without such a row at that time."""
        rows = [price for name, start, price in self._rows if name == pattern and start <= at]
        return rows[-1] if rows else None

    def _find(self, model: str, answered: str, learned: str, day: float) -> Price:
        """Return the price of a call on a day. `learned` is the model that the last answer has named."""
        at, successors = day * DAY, self.successors
        if self._is_own(model) or successors.has_own_price(model, at):
            return self._row(model, at)
        answering = named(answered) if answered and answered != model else None
        if answering is not None or answered == model:
            return self._row(successors.listed(answering or model, at), at)
        return self._row(successors.listed(learned or model, at), at)

    def _find_bounds(self, model: str, learned: str, day: float) -> tuple["_Bound", ...]:
        """Return the highest prices of each model that may answer for a name on a day."""
        at, successors = day * DAY, self.successors
        models = {model}
        if not self._is_own(model):
            models |= {successors.listed(model, at), successors.listed(learned or model, at)}
        known = [price for name in models if (price := self._row(name, at)) is not self._dearest]
        return tuple(map(_bound, known or [self._dearest]))

    def _is_own(self, model: str) -> bool:
        return any(fnmatchcase(model, pattern) for pattern in self._own)

    def _row(self, model: str, at: float) -> Price:
        for pattern, start, price in reversed(self._rows):
            if start <= at and fnmatchcase(model, pattern):
                return price
        return self._dearest


def _flat(rows: PriceRows) -> Iterable[tuple[str, float, Price]]:
    """Yield pattern, first second and price of each row."""
    for pattern, dated in rows.items():
        for price in (dated,) if isinstance(dated, Price) else dated:
            yield pattern, timestamp(price.since), price


def _by_kind(tokens: int, rate: float, *kinds: tuple[int, float | None]) -> float:
    """Return the price of tokens of which some are of other kinds, each with its count and rate, the dearest first."""
    tokens, micros = max(0, tokens), 0.0
    stated = [(price, count) for count, price in kinds if count and price is not None]
    for price, count in sorted(stated, reverse=True):
        count = min(count, tokens)
        tokens -= count
        micros += count * price
    return micros + tokens * rate


def _by_piece(price: Price, counts: TokenCounts, *, at_least: bool) -> float:
    """Return the price of pictures, songs and seconds. Of a model that is paid by them alone, an answer has one."""
    is_only = at_least and not price.output
    items, seconds = counts.items or int(is_only), counts.seconds or _CLIP * is_only
    return 1e6 * (items * (price.item or 0.0) + seconds * (price.second or 0.0))


def _grounding(price: Price, counts: TokenCounts) -> float:
    """Return the price of searches and of prompts that were grounded with Maps."""
    searches = counts.searches + (counts.maps if price.maps is None else 0)
    dollars = counts.maps * (price.maps or 0.0)
    if searches:
        dollars += searches * (price.search or 0.0) + (price.grounded or 0.0)
    return 1000 * dollars


class _Bound(NamedTuple):
    """The highest rates of a price: of input, of input that may be heard, and of output."""

    price: Price
    rates: tuple[float, float, float]
    long_rates: tuple[float, float, float]
    """Those for a prompt longer than `over`."""


def _bound(price: Price) -> _Bound:
    def highest(input_over: float | None, output_over: float | None) -> tuple[float, float, float]:
        rate = max(price.input, price.image_input or 0.0, input_over or 0.0)
        kinds = (price.image_output, price.audio_output, price.video_output, output_over)
        return (
            rate,
            max(rate, price.audio or 0.0, price.video_input or 0.0),
            max(price.output, *(kind or 0.0 for kind in kinds)),
        )

    return _Bound(price, highest(None, None), highest(price.input_over, price.output_over))


def _ceiling(bound: _Bound, most: TokenCounts) -> int:
    price, prompt, heard = bound.price, most.prompt, most.prompt_audio
    is_long = price.over is not None and prompt > price.over
    rate, heard_rate, output_rate = bound.long_rates if is_long else bound.rates
    if heard > prompt:
        heard = prompt
    micros = (prompt + most.tool_use - heard) * rate + heard * heard_rate
    micros += (most.completion + most.thoughts) * output_rate
    if price.item is not None or price.second is not None:
        micros += _by_piece(price, most, at_least=bool(most.total))
    if most.searches:
        search = price.search or 0.0
        micros += 1000 * (
            most.searches * search + (price.grounded or 0.0) + max(0.0, (price.maps or 0.0) - search)
        )
    return _rounded(micros)


def _rounded(micros: float) -> int:
    whole = math.ceil(micros - 1e-9)  # a float's error must not round up
    return whole if 0 <= whole <= MAX_COUNT else as_count(whole)


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
    floors = {
        "image_input": input_over, "video_input": input_over, "second": 0.0, "item": 0.0, "maps": 0.0,
        "cached_audio": cached,
    }  # fmt: skip
    parts = {
        kind: max([floors.get(kind, output_over), *stated])
        for kind in _PARTS
        if (stated := [value for row in rows if (value := getattr(row, kind)) is not None])
    }
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
        factors=Factors(*(max(getattr(row.factors, tier) for row in rows) for tier in _TIERS)),
        **parts,
    )


_TIERS = Factors.__struct_fields__


def _either(first: float | None, second: float) -> float:
    return second if first is None else first


def price_rows(rows: Mapping[str, Any]) -> dict[str, tuple[Price, ...]]:
    """Return the prices of a file by model pattern. Raises ValueError, naming the pattern, for an invalid row."""
    prices: dict[str, tuple[Price, ...]] = {}
    for pattern, row in rows.items():
        try:
            prices[pattern] = msgspec.convert(row if isinstance(row, list) else [row], tuple[Price, ...])
        except msgspec.ValidationError as error:
            raise ValueError(f"{pattern}: {error}") from None
        if (fault := order_fault(prices[pattern])) is not None:
            raise ValueError(f"{pattern}: {fault}")
    return prices


def order_fault(rows: Sequence[Price]) -> str | None:
    """Return the fault of the dates of rows that should follow each other in time, or None."""
    if not rows:
        return "needs at least one price"
    for earlier, later in pairwise(rows):
        if later.since is None:
            return "each price but the first needs `from`, the day on which it begins"
        if earlier.since is not None and later.since <= earlier.since:
            return (
                f"{later.since} is not later than {earlier.since}: list the prices in the order of their days"
            )
    return None
