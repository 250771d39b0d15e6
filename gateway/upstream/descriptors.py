"""Shortage of file descriptors: its signs, and a line of the log about it once a minute."""

import errno
import logging
import os
from time import monotonic

SHORT = frozenset({errno.EMFILE, errno.ENFILE})
"""Errors of accept(2), socket(2) and open(2) when the process, or the system, has no descriptor left."""
_PERIOD = 60.0
"""Seconds between two lines of the log."""

_reported = -_PERIOD


def are_short() -> bool:
    """Return whether no descriptor is free, and report it."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return is_shortage(error)
    return False


def is_shortage(error: BaseException | None) -> bool:
    """Return whether an error, or what has caused it, is a lack of descriptors, and report it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in SHORT:
            _report()
            return True
        error = error.__cause__
    return False


def _report() -> None:
    global _reported
    now = monotonic()
    if now - _reported >= _PERIOD:
        _reported = now
        logging.getLogger("gateway.descriptors").error(
            "no file descriptor is free: connections of clients wait or are closed, and calls of Gemini are refused"
            " with 503. Raise LimitNOFILE in the unit, or lower limits.streams or connections.per_address;"
            " process_open_fds and process_max_fds in /metrics are the numbers."
        )
