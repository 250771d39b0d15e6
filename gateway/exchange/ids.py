"""Process-unique ids that need no system call each: a random prefix for the process, then a counter."""

import secrets
from itertools import count

_PROCESS = secrets.token_hex(6)
_numbers = count(1)


def unique(prefix: str) -> str:
    """Return `prefix` and 24 hexadecimal digits."""
    return f"{prefix}{_PROCESS}{next(_numbers):012x}"
