"""systemd's journal: whether a file is connected to it, and the priorities of lines (sd-daemon(3)).

A line that begins with `<N>` has the priority N, as in syslog (RFC 5424, 6.2.1); the journal removes the prefix.
"""

import os
from collections.abc import Mapping

CRITICAL, ERROR, WARNING, NOTICE, INFO, DEBUG = 2, 3, 4, 5, 6, 7
NAMES = {2: "critical", 3: "error", 4: "warning", 5: "notice", 6: "info", 7: "debug"}
"""Names of the priorities, which `journalctl -p` takes, too (`crit` and `err` there)."""
_PREFIXES = {number: b"<%d>" % number for number in NAMES}


def is_journal(fd: int, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether a file descriptor is a connection to the journal: `$JOURNAL_STREAM` (systemd.exec(5)).

    A process may have the variable and write elsewhere, so that the file's device and inode are compared.
    """
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def prefixed(line: bytes, priority: int) -> bytes:
    """Return a line with its priority."""
    return _PREFIXES[priority] + line
