"""Records and configuration of the ledger.

Each upstream attempt has one row: an intent before the call, a settlement after it. Money is counted in millionths of
a US dollar, in whole numbers.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.gemini.usage import TokenCounts
from gateway.policy.budgets import Budget
from gateway.policy.pricing import Price

Outcome = Literal["ok", "error", "cancelled", "unknown"]


class Intent(Struct, frozen=True):
    """A call that is about to be made, with the most it may cost, which is reserved in the client's budgets."""

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


class Settlement(Struct, frozen=True):
    """The end of a call, and its cost."""

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


class LedgerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Database with a row for each call of Gemini, the issued keys and their budgets."""

    url: Annotated[
        str | None,
        Meta(
            description="postgresql://USER@HOST/NAME, or a SQLite file (relative to systemd's STATE_DIRECTORY "
            "when that is set). Default: ledger.db there if `pool.projects` is set, else no ledger."
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
        dict[str, Price],
        Meta(
            description="US dollars for a million tokens by model pattern; overrides the shipped prices.yaml."
        ),
    ] = {}

    def __post_init__(self) -> None:
        url = self.url
        if url is not None and "://" in url and not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("`url` must be postgresql://USER@HOST/NAME or the name of a SQLite file")
