"""The process around the services, as far as the console shows and changes it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import Fault

RESTART_ONLY = ("listen.", "admin.")
"""Settings whose sockets are opened at the start."""

if TYPE_CHECKING:
    from gateway.store.redis import Redis


class Listener(Struct, frozen=True):
    """An address that the gateway listens on."""

    name: str
    """`clients` or `admin`."""
    address: str


class Checked(Struct, frozen=True):
    """Result of checking a configuration."""

    faults: tuple[Fault, ...] = ()
    changes: list[str] = []
    """Differences from the configuration in use."""
    restart: list[str] = []
    """Changed settings that need a restart."""


class Outcome(Protocol):
    """Result of a reload."""

    @property
    def changed(self) -> bool:
        """Whether the new configuration is in use."""

    @property
    def message(self) -> str:
        """Return the lines for people."""


class Finding(Protocol):
    """Result of one check of `gateway doctor`."""

    @property
    def check(self) -> str:
        """Name of the check."""

    @property
    def result(self) -> str:
        """`passed`, `failed` or `skipped`."""

    @property
    def message(self) -> str:
        """Return a sentence."""

    @property
    def remedy(self) -> str:
        """Return what to do; "" for nothing."""


class Process(Struct, frozen=True):
    """The process. What is None is not available, such as in tests of single endpoints."""

    started: float = 0.0
    """Seconds since 1970."""
    listeners: tuple[Listener, ...] = ()
    configuration: Callable[[], tuple[GatewayConfig, Source, float]] | None = None
    """Returns the configuration in use, its source, and the time at which it was loaded."""
    check: Callable[[str], Checked] | None = None
    """Checks a configuration in YAML. Blocks."""
    on_disk: Callable[[], Checked] | None = None
    """Checks the configuration as it is on disk now. Blocks."""
    reload: Callable[[], Awaitable[Outcome]] | None = None
    server: "Callable[[], Callable[[], asyncio.BaseProtocol] | None] | None" = None
    """Returns the factory of the clients' connections."""
    shared: "Callable[[], Redis | None] | None" = None
    """Returns a Redis of the console's own, if there are other processes; not yet connected."""
    examine: Callable[[bool], Sequence[Finding]] | None = None
    """Runs the checks of `gateway doctor`, with True also those that ask Google. Blocks."""
    opened: Callable[[], GatewayConfig] | None = None
    """Returns the configuration by which the sockets were opened."""
