"""Names that never repeat: a random beginning for the process, then a counter; no system call for each."""

import secrets
from itertools import count

_PROCESS = secrets.token_hex(6)
_numbers = count(1)


def unique(prefix: str) -> str:
    """`prefix` and 24 hexadecimal digits."""
    return f"{prefix}{_PROCESS}{next(_numbers):012x}"
