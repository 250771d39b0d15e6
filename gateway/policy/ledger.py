"""Records and configuration of the ledger.

Each upstream attempt has one row: an intent before the call, a settlement after it. Money is counted in millionths of
a US dollar, in whole numbers.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from gateway.gemini.usage import TokenCounts
from gateway.policy.clients.budgets import Budget
from gateway.policy.counts import as_count
from gateway.policy.models.pricing import Price

Outcome = Literal["ok", "error", "cancelled", "unknown"]

MOST_COUNT = 2**31 - 1
"""The largest count of one row: Google counts tokens in int32 (https://ai.google.dev/api/generate-content#UsageMetadata).

Sums of 2**31 rows fit into the 64 bits of SQLite's INTEGER and PostgreSQL's bigint.
"""
MOST_AMOUNT = 2**40
"""The largest amount of one call, in tokens or in millionths of a US dollar (1.1 million dollars).

Sums of 2**22 calls fit into 64 bits.
"""
_MOST_STATUS = 999
LONGEST_BATCH = 4 * 86400
"""Seconds after which a batch was read, if it ever is: Google gives one up after two days."""


class Intent(Struct, frozen=True, gc=False):
    """A call that is about to be made, with the most it may cost, which is reserved in the client's budgets.

    Reservations above MOST_AMOUNT are cut, negative ones are 0.
    """

    id: str
    at: float
    request_id: str
    client: str
    """Id of the issued key; "" for a client with a Gemini key of its own."""
    project: str
    model: str
    surface: str
    reserve_micros: int = 0
    reserve_tokens: int = 0
    budgets: Sequence[Budget] = ()

    def __post_init__(self) -> None:
        if not (0 <= self.reserve_micros <= MOST_AMOUNT and 0 <= self.reserve_tokens <= MOST_AMOUNT):
            _bound(self, reserve_micros=MOST_AMOUNT, reserve_tokens=MOST_AMOUNT)


class Settlement(Struct, frozen=True, gc=False):
    """The end of a call, and its cost. Larger numbers than a row may hold are cut, negative ones are 0."""

    id: str
    """As in the intent."""
    at: float
    outcome: Outcome
    status: int
    counts: TokenCounts
    micros: int
    price: str
    """Version of the price list."""
    exact: bool
    """False when the client disconnected before Google's counts arrived."""
    first_byte_ms: int
    duration_ms: int
    reserved: bool = True
    """Whether the intent reserved something in a budget."""
    client: str = ""
    """As in the intent."""

    def __post_init__(self) -> None:
        if not (
            0 <= self.status <= _MOST_STATUS
            and 0 <= self.micros <= MOST_AMOUNT
            and 0 <= self.first_byte_ms <= MOST_COUNT
            and 0 <= self.duration_ms <= MOST_COUNT
        ):
            _bound(
                self,
                status=_MOST_STATUS,
                micros=MOST_AMOUNT,
                first_byte_ms=MOST_COUNT,
                duration_ms=MOST_COUNT,
            )
        if not _are_bounded(self.counts):
            counts = structs.astuple(self.counts)
            bounded = TokenCounts(*(min(as_count(count), MOST_COUNT) for count in counts))
            structs.force_setattr(self, "counts", bounded)


def _are_bounded(c: TokenCounts) -> bool:
    """Return whether every count is between 0 and MOST_COUNT, all of whose bits are set."""
    bits = c.prompt | c.cached | c.tool_use | c.completion | c.thoughts | c.prompt_text | c.prompt_image
    bits |= c.prompt_video | c.prompt_audio | c.completion_image | c.completion_audio | c.completion_video
    bits |= c.searches | c.items | c.seconds | c.stored | c.cached_audio | c.maps
    return 0 <= bits <= MOST_COUNT


def _bound(row: Struct, **most: int) -> None:
    """Bring fields of a row that is being made between 0 and the most that they may be."""
    for name, limit in most.items():
        value = getattr(row, name)
        if not 0 <= value <= limit:
            structs.force_setattr(row, name, min(as_count(value), limit))


class LedgerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Database with a row for each call of Gemini, the issued keys and their budgets."""

    url: Annotated[
        str | None,
        Meta(
            description="postgresql://USER@HOST/NAME, or a SQLite file (relative to systemd's STATE_DIRECTORY, or "
            "without one to the folder of this file). Default: ledger.db there if `pool.projects` is set, else no "
            "ledger."
        ),
    ] = None
    days: Annotated[float, Meta(gt=0, le=36500, description="Days after which rows are deleted.")] = 90.0
    on_failure: Annotated[
        Literal["serve", "stop"],
        Meta(
            description="While the database fails: serve requests and write their rows later, or answer 503."
        ),
    ] = "serve"
    on_corrupt: Annotated[
        Literal["refuse", "fresh"],
        Meta(
            description="A corrupt SQLite file at the start: refuse to start, so that it can be restored, or move it "
            "aside and begin without issued keys, budgets and usage."
        ),
    ] = "refuse"
    buffer: Annotated[
        int, Meta(ge=100, le=1_000_000, description="Most rows kept in memory while the database fails.")
    ] = 10_000
    prices: Annotated[
        dict[str, Price | tuple[Price, ...]],
        Meta(
            description="US dollars for a million tokens by model pattern, over the shipped models.yaml: one price, or "
            "a list of prices that follow each other, each but the first with the day `from` which it applies."
        ),
    ] = {}

    def __post_init__(self) -> None:
        url = self.url
        if url is not None and "://" in url and not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("`url` must be postgresql://USER@HOST/NAME or the name of a SQLite file")
