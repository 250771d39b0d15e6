"""Failed requests of the last day, grouped by code, status, model and what refused them."""

from collections import Counter, deque
from typing import NamedTuple

from msgspec import Struct, field

from gateway.errors import scrub
from gateway.observability.request_log import RequestLog
from gateway.policy.bounded import BoundedMapping

SLOT = 1800
"""Seconds of one count of a group."""
SLOTS = 48
_MAX_GROUPS = 300
_MAX_KEYS = 50
"""Issued keys that a group counts apart."""
_MAX_MODEL = 80
_SAMPLES = 5


class Kind(NamedTuple):
    """Failures that are counted together."""

    code: str
    status: int
    upstream_status: int | None
    model: str
    """Empty for a name that is no model's, which may be any text of a client's."""
    refused_by: str = ""
    """Name of the limit that refused the request, or the state of its key, without its use."""


class ErrorGroup(Struct):
    """Failures of one kind. Times are in seconds since 1970."""

    kind: Kind
    first: float
    last: float = 0.0
    slots: Counter[int] = field(default_factory=Counter)
    """Failures by half-hour, counted from 1970."""
    keys: Counter[str] = field(default_factory=Counter)
    """Failures by id of the issued key; "" for requests without one."""
    samples: deque[str] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    """Ids of the last requests."""

    def add(self, record: RequestLog, at: float) -> None:
        """Count one failure."""
        slot = int(at // SLOT)
        if slot not in self.slots:
            for old in [number for number in self.slots if number <= slot - SLOTS]:
                del self.slots[old]
        self.slots[slot] += 1
        self.last = at
        key = record.key or ""
        if key in self.keys or len(self.keys) < _MAX_KEYS:
            self.keys[key] += 1
        self.samples.append(record.request_id)

    def strip(self, now: float) -> list[int]:
        """Return the failures of the last 48 half-hours, the oldest first."""
        newest = int(now // SLOT)
        return [self.slots.get(number, 0) for number in range(newest - SLOTS + 1, newest + 1)]


class ErrorGroups:
    """All groups; the one that was hit longest ago gives way to a new one."""

    def __init__(self) -> None:
        self._groups: BoundedMapping[Kind, ErrorGroup] = BoundedMapping(_MAX_GROUPS)

    def add(self, record: RequestLog, at: float) -> None:
        """Count a request that has failed."""
        model = record.model or ""
        is_name = len(model) <= _MAX_MODEL and model.isprintable() and scrub(model) == model
        limit = (record.refused_by or "").partition(" ")[0]
        # what the gateway refuses is one kind, whether or not Google was asked before
        upstream = record.upstream_status if limit in ("", "google") else None
        kind = Kind(record.error or "", record.status, upstream, model if is_name else "", limit)
        group = self._groups.get(kind)
        if group is None:
            group = self._groups[kind] = ErrorGroup(kind, at)
        group.add(record, at)

    def since(self, start: float) -> list[ErrorGroup]:
        """Return the groups with a failure since a time, the most recent first."""
        groups = [group for group in self._groups.values() if group.last >= start]
        return sorted(groups, key=lambda group: group.last, reverse=True)
