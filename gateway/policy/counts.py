"""Counts that are safe to add up, whatever an upstream or a store sent."""

MAX_COUNT = 2**53
"""The largest count. JSON readers that use doubles keep integers up to it exact (RFC 8259, section 6)."""


def as_count(value: object) -> int:
    """Return a number as a count from 0 to MAX_COUNT, and 0 for what is not a number."""
    if type(value) is int and 0 <= value <= MAX_COUNT:  # the common case
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return 0
    return int(min(max(value, 0), MAX_COUNT))
