"""What the ledger keeps of each call of Gemini, what a call costs, and what a client may spend.

One row is one upstream attempt: an intent before it, a settlement after it (design.md 1.1, 15). Money is counted in
millionths of a US dollar, in whole numbers; nothing that the wire brings can lower a total.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.gemini.usage import TokenCounts

MOST = 2**53
"""The largest number that every JSON reader keeps exact."""
_MOST_MODELS = 1000
Outcome = Literal["ok", "error", "cancelled", "unknown"]
Unit = Literal["money", "tokens"]
Period = Literal["day", "month", "total"]


class Budget(Struct, frozen=True):
    """What a client may spend in a period, in millionths of a dollar or in tokens."""

    unit: Unit
    period: Period
    limit: int

    def start(self, now: float) -> float:
        """When the period that holds `now` began: midnight or the first of the month, UTC; 0 for a total."""
        if self.period == "total":
            return 0.0
        day = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return (day if self.period == "day" else day.replace(day=1)).timestamp()


class Intent(Struct, frozen=True):
    """A call is about to be made; what it may cost at most is reserved."""

    id: str
    at: float
    request_id: str
    client: str
    """The id of a key that the gateway issued; "" for a client with a key of its own."""
    project: str
    model: str
    surface: str
    reserve_micros: int = 0
    reserve_tokens: int = 0
    budgets: Sequence[Budget] = ()


class Settlement(Struct, frozen=True):
    """How a call ended."""

    id: str
    at: float
    outcome: Outcome
    status: int
    counts: TokenCounts
    micros: int
    price: str
    """The version of the prices."""
    exact: bool
    """False when the client left before Google had counted."""
    first_byte_ms: int
    duration_ms: int
    reserved: bool = True
    """Something was set aside for it in a budget."""
    client: str = ""
    """As in its intent."""


def whole(value: object) -> int:
    """Any number as a count: 0 for what is none, and never below 0 nor above what JSON keeps exact."""
    if type(value) is int and 0 <= value <= MOST:  # as nearly all are
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return 0
    return int(min(max(value, 0), MOST))


class Price(Struct, frozen=True, forbid_unknown_fields=True):
    """Of one model, in US dollars for a million tokens."""

    input: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    output: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    """Thoughts included."""
    cached: Annotated[float, Meta(ge=0, le=1e6)] | None = None
    """As input, where it is not said."""
    audio: Annotated[float, Meta(ge=0, le=1e6)] | None = None
    """Input that was heard; as input, where it is not said."""
    image_output: Annotated[float, Meta(ge=0, le=1e6)] | None = None
    search: Annotated[float, Meta(ge=0, le=1e6)] | None = None
    """Dollars for a thousand Google searches."""
    grounded: Annotated[float, Meta(ge=0, le=1e6)] | None = None
    """The same for a thousand calls that searched, however often."""
    over: Annotated[int, Meta(ge=1)] | None = None
    """Above so many prompt tokens the next three hold for the whole call."""
    input_over: Annotated[float, Meta(ge=0, le=1e6)] | None = None
    output_over: Annotated[float, Meta(ge=0, le=1e6)] | None = None
    cached_over: Annotated[float, Meta(ge=0, le=1e6)] | None = None


class Prices:
    """What calls cost. Of the patterns that match a model's name the last one counts."""

    def __init__(self, version: str, rows: Mapping[str, Price]) -> None:
        self.version = version
        self._rows = dict(rows)
        self._known: dict[str, Price] = {}
        self._dearest = max(rows.values(), key=lambda row: (row.output, row.input), default=Price())

    def of(self, model: str) -> Price:
        """A model's price; that of the dearest for one that nobody has priced, so that no budget is outwitted."""
        found = self._known.get(model)
        if found is None:
            rows = [row for pattern, row in self._rows.items() if fnmatchcase(model, pattern)]
            found = rows[-1] if rows else self._dearest
            if len(self._known) < _MOST_MODELS:  # names are the clients' to choose
                self._known[model] = found
        return found

    def micros(self, model: str, spent: TokenCounts) -> int:
        """What a call cost, rounded up."""
        price = self.of(model)
        dear = price.over is not None and spent.prompt > price.over
        rate = _either(price.input_over if dear else None, price.input)
        cached = _either(price.cached_over if dear else None, _either(price.cached, rate))
        heard = min(spent.prompt_audio, max(0, spent.prompt - spent.cached))
        fresh = max(0, spent.prompt - spent.cached - heard) + spent.tool_use
        drawn = min(spent.completion_image, spent.completion)
        output = _either(price.output_over if dear else None, price.output)
        dollars = (
            fresh * rate
            + spent.cached * cached
            + heard * _either(price.audio, rate)
            + (spent.completion - drawn + spent.thoughts) * output
            + drawn * _either(price.image_output, output)
        )  # a dollar for a million tokens is a millionth of one for each
        if spent.searches:
            dollars += 1000 * (spent.searches * (price.search or 0.0) + (price.grounded or 0.0))
        return whole(math.ceil(dollars - 1e-9))


def _either(first: float | None, second: float) -> float:
    return second if first is None else first


def price_rows(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Price]:
    """Rows of a file. Raises ValueError, naming the pattern, for one that cannot be."""
    found: dict[str, Price] = {}
    for pattern, row in rows.items():
        try:
            found[pattern] = msgspec.convert(row, Price)
        except msgspec.ValidationError as error:
            raise ValueError(f"{pattern}: {error}") from None
    return found


class LedgerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where every call of Gemini is written down, with the clients' keys and budgets."""

    url: Annotated[
        str | None,
        Meta(
            description="postgresql://user@host/name, or a SQLite file (relative to systemd's STATE_DIRECTORY "
            "when set); none: ledger.db there as soon as there is a pool, else no ledger."
        ),
    ] = None
    days: Annotated[float, Meta(gt=0, le=36500, description="Rows are kept so long.")] = 90.0
    on_failure: Annotated[
        Literal["serve", "stop"],
        Meta(description="While the database fails: go on serving and write later, or answer 503."),
    ] = "serve"
    buffer: Annotated[
        int, Meta(ge=100, le=1_000_000, description="Rows that wait for a failed database.")
    ] = 10_000
    prices: Annotated[
        dict[str, Price],
        Meta(
            description="Dollars for a million tokens by model pattern, over the shipped table (prices.yaml)."
        ),
    ] = {}

    def __post_init__(self) -> None:
        if "://" in (self.url or "") and not str(self.url).startswith(("postgresql://", "postgres://")):
            raise ValueError(
                "`url` is no database that the ledger knows: postgresql://USER@HOST/NAME or a file"
            )
