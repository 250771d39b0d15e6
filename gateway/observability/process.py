"""Numbers of the process: processor time, memory, descriptors and start, from what a sandbox leaves readable.

prometheus-client's own collector needs `/proc/stat`, which `ProcSubset=pid` hides (systemd.exec(5)): then it shows
nothing. Here each number is read by itself, from the process's own folder or the system's calls.
"""

import os
import re
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

_OWN = Path("/proc/self")
_UNIT = re.compile(r"/gateway@([\w.-]{1,64})\.service")
_START = 19
"""Index of the start in `/proc/PID/stat` behind the name (proc_pid_stat(5), field 22), in clock ticks since boot."""


def cpu_seconds() -> float:
    """Return the processor time of the process, in user and system mode."""
    return time.process_time()


def resident_bytes() -> float:
    """Return the resident memory. Raises OSError without /proc."""
    return _pages(1) * resource.getpagesize()


def virtual_bytes() -> float:
    """Return the size of the address space. Raises OSError without /proc."""
    return _pages(0) * resource.getpagesize()


def open_files() -> float:
    """Return the number of open file descriptors. Raises OSError without /proc."""
    return float(len(os.listdir(_OWN / "fd")) - 1)  # one is of the listing itself


def most_files() -> float:
    """Return the number of file descriptors that may be open; infinite if there is no limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return float("inf") if soft == resource.RLIM_INFINITY else float(soft)


@cache
def started() -> float:
    """Return the start of the process in Unix seconds. Raises OSError without /proc.

    It is counted back from now, once, so that it stays the same when the clock is set.
    """
    behind_name = (_OWN / "stat").read_bytes().rpartition(b")")[2].split()
    since_boot = float(behind_name[_START]) / os.sysconf("SC_CLK_TCK")
    return round(time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot), 2)


@cache
def instance() -> str:
    """Return the name of this instance: GATEWAY_INSTANCE, or that of the systemd unit, as `blue` of `gateway@blue`.

    It is empty outside systemd. The unit is in the path of the control group (systemd.resource-control(5)).
    """
    with suppress(OSError):
        unit = _UNIT.search((_OWN / "cgroup").read_text())
        return os.environ.get("GATEWAY_INSTANCE") or (unit[1] if unit is not None else "")
    return os.environ.get("GATEWAY_INSTANCE", "")


def readable(number: Callable[[], float]) -> list[tuple[tuple[()], float]]:
    """Return a number as the one sample of a metric; none where it cannot be read."""
    with suppress(OSError):
        return [((), number())]
    return []


def _pages(column: int) -> float:
    """Return a column of `/proc/self/statm` (proc_pid_statm(5)): the size, or what is resident."""
    return float((_OWN / "statm").read_bytes().split()[column])
