"""Cores that are idle without sleeping.

A server wakes its peer with nearly every write: the load and the upstream have answered before the next one. On a
virtual machine an idle core sleeps in the hypervisor. To wake it takes the process that writes 5 µs, which count as
its own. Where the guest's kernel polls instead (https://docs.kernel.org/virt/guest-halt-polling.html), they are not.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL = Path("/sys/module/haltpoll/parameters/guest_halt_poll_ns")
_NANOSECONDS = 1_000_000
"""Time for which an idle core polls before it sleeps."""


@contextmanager
def polling(setting: Path = POLL) -> Iterator[None]:
    """Let idle cores poll. Raises RuntimeError where the kernel has no such setting, or it may not be changed."""
    try:
        before = setting.read_text()
        setting.write_text(f"{_NANOSECONDS}\n")
    except OSError as exc:
        raise RuntimeError(f"idle cores cannot be kept awake here: {exc.strerror}: {exc.filename}") from exc
    try:
        yield
    finally:
        setting.write_text(before)
