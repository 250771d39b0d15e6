"""Observations of the process that the console shows, beside the metrics."""

from collections.abc import Callable

from msgspec import Struct

from gateway.observability.minutes import Minutes
from gateway.observability.recent import RecentRequests


class Observed(Struct, frozen=True):
    """Observations that go on after a reload, and the log."""

    recent: RecentRequests
    """The last requests."""
    minutes: Minutes
    """Requests by minute."""
    event: Callable[..., None]
    """Writes a line of the log: the name of the event, and its fields."""
