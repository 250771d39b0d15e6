"""What a store of thought signatures can do, and how much of them it keeps.

Gemini's signatures must come back on the part they came with, but many clients drop fields they do not know. The
store remembers them for such clients, under digests that the caller makes: whose they are is the caller's business.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Protocol

from msgspec import Meta, Struct


class KeyValueStore(Protocol):
    """Signatures by 16-byte key. `now` is the wall clock in seconds since 1970: it must survive restarts."""

    async def get(self, keys: Sequence[bytes], now: float) -> dict[bytes, str]:
        """Those of the keys that are known. Never raises: what cannot be read is not known."""
        ...

    async def put(self, found: Mapping[bytes, str], now: float) -> None:
        """Remember; `get` finds them from now on. Never raises, and never waits for a disk."""
        ...

    async def close(self) -> None:
        """Make what was put last as safe as it can be made, and let go."""
        ...


class StoreLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """How many thought signatures are remembered for clients that do not send them back."""

    megabytes: Annotated[
        int,
        Meta(ge=1, le=4096, description="Kept at most, in MiB: in memory, and as much again in the file."),
    ] = 64
    hours: Annotated[
        float, Meta(gt=0, le=8760, description="Kept at most this long after Gemini sent them.")
    ] = 72.0

    @property
    def bound(self) -> int:
        """Bytes."""
        return self.megabytes * 2**20

    @property
    def age(self) -> float:
        """Seconds."""
        return self.hours * 3600


class StateConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What the gateway remembers between requests."""

    file: Annotated[
        str | None,
        Meta(
            description="SQLite file that outlives restarts; none keeps state in memory. A relative path is taken "
            "from systemd's STATE_DIRECTORY when set, else from the working directory."
        ),
    ] = None
    signatures: StoreLimits = StoreLimits()
    responses: StoreLimits = StoreLimits()
