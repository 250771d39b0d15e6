"""Key-value stores of text: the protocol, their limits, and the kinds of state that are kept in one."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Protocol

from msgspec import Meta, Struct


class KeyValueStore(Protocol):
    """Texts by 16-byte key. `now` is the wall clock in seconds since 1970, because entries outlive the process."""

    @property
    def errors(self) -> int:
        """Reads and writes that have failed."""
        ...

    async def get(self, keys: Sequence[bytes], now: float) -> dict[bytes, str]:
        """Return the entries that exist. Never raises: an entry that cannot be read is missing."""
        ...

    async def put(self, entries: Mapping[bytes, str], now: float) -> None:
        """Store entries; `get` of this process finds them at once. Never raises and never waits for a disk."""
        ...

    async def close(self) -> None:
        """Finish pending writes and release what the store holds."""
        ...


class StoreKind(Struct, frozen=True):
    """One kind of state, kept in a store of its own."""

    name: str
    """Label of metrics."""
    noun: str
    """Plural, in messages for operators."""
    file_suffix: str
    """Follows the name of `state.file`."""
    key_prefix: str
    """Of keys in Redis."""
    changes: bool = False
    """Whether an entry is written again, so that a copy in one machine's memory may be out of date."""


class StoreLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of one kind of state: its size and its age."""

    megabytes: Annotated[
        int,
        Meta(ge=1, le=4096, description="Largest size in MiB, in memory and again in the file."),
    ] = 64
    hours: Annotated[float, Meta(gt=0, le=8760, description="Hours after which an entry is deleted.")] = 72.0

    @property
    def bound(self) -> int:
        """The largest size in bytes."""
        return self.megabytes * 2**20

    @property
    def age(self) -> float:
        """The largest age in seconds."""
        return self.hours * 3600


class StateConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """State that is kept between requests."""

    file: Annotated[
        str | None,
        Meta(
            description="SQLite file that outlives restarts. Default: state.db if systemd's STATE_DIRECTORY is "
            "set, else memory. A relative path is below STATE_DIRECTORY, or without one beside this file."
        ),
    ] = None
    signatures: Annotated[
        StoreLimits, Meta(description="Gemini's thought signatures, for clients that do not send them back.")
    ] = StoreLimits()
    responses: Annotated[
        StoreLimits, Meta(description="Stored responses of /v1/responses, for `previous_response_id`.")
    ] = StoreLimits()
