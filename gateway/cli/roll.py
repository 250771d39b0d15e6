"""`gateway roll`: replace the running instance by the other one, without a client that waits."""

import argparse
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from gateway.cli import check
from gateway.cli.systemctl import (
    INSTANCES,
    SOCKETS,
    Failed,
    Instance,
    instances,
    log_of,
    point_sockets,
    start_at_boot,
    systemctl,
)
from gateway.server.process.lifecycle import ENDING

_LOCK = Path("/run/gateway-roll.lock")
_LONGEST_GRACE = 10.0
"""Seconds that `roll` waits for the former instance to take no more requests. One of an older version never says so."""
_SYSTEMD = Path("/run/systemd/system")
"""Exists where systemd is process 1 (sd_booted(3))."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    check.add_arguments(parser)
    parser.add_argument(
        "--wait", action="store_true", help="return when the former instance has ended its last request"
    )


def run(options: argparse.Namespace) -> int:
    """Check the configuration, then roll. Return 1 if that fails.

    Raises ConfigError for a faulty configuration; nothing has changed then.
    """
    if os.geteuid() or not _SYSTEMD.is_dir():
        print("gateway roll needs root, and systemd as process 1", file=sys.stderr)
        return 1
    os.nice(10)  # whatever this process computes, requests come first
    if check.run(options):
        return 1
    try:
        with _alone():
            return roll(wait=options.wait)
    except (Failed, BlockingIOError) as error:
        reason = "another roll is running" if isinstance(error, BlockingIOError) else error
        print(f"gateway roll: {reason}", file=sys.stderr)
        return 1


def roll(*, wait: bool) -> int:
    """Start the instance that does not run, then let the other one end. Return 1, with it unchanged, if that fails."""
    old = _running()
    new = next(name for name in INSTANCES if old is None or name != old.name)
    _vacate(new)
    point_sockets(new)
    if not _started(new):
        if old is not None:
            point_sockets(old.name)
        return 1
    start_at_boot(new)
    print(f"gateway@{new} serves")
    if old is not None:
        systemctl("stop", *(() if wait else ("--no-block",)), old.unit)
        _wait_for_its_end(old.name)
        print(f"gateway@{old.name} accepts no more requests, and ends with its last one")
    return 0


def _wait_for_its_end(name: str) -> None:
    """Wait until an instance takes no more requests, on connections that are kept open neither: about two seconds."""
    end = monotonic() + _LONGEST_GRACE
    while monotonic() < end:
        instance = instances()[name]
        if instance.state != "deactivating" or instance.status == ENDING:
            return
        sleep(0.1)


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other rolls away. Raises BlockingIOError if one is running."""
    with _LOCK.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _running() -> Instance | None:
    """Return the instance to be replaced.

    If both run, as after a roll that was interrupted, end the older one first.
    """
    states = instances().values()
    running = sorted((item for item in states if item.serves), key=lambda item: item.since)
    while len(running) > 1:
        older = running.pop(0)
        print(
            f"gateway@{older.name} and gateway@{running[0].name} both serve: waiting until the older has ended ..."
        )
        systemctl("stop", older.unit)
    return running[0] if running else next((item for item in states if item.state == "activating"), None)


def _vacate(name: str) -> None:
    """Wait until the instance is free, if it still ends the requests of before the last roll."""
    instance = instances()[name]
    if instance.state == "deactivating":
        print(
            f"gateway@{name} still ends its last requests: waiting. "
            f"`systemctl kill gateway@{name}` in another shell cuts them ..."
        )
    if instance.state not in ("inactive", "failed"):
        systemctl("stop", instance.unit)
    elif instance.state == "failed":
        systemctl("reset-failed", instance.unit)


def _started(name: str) -> bool:
    """Start the sockets and an instance.

    Return False if it does not serve: then it is stopped again, and its log printed.
    """
    instance = instances()[name]
    try:
        systemctl("start", *SOCKETS, instance.unit)
        status = instances()[name].status
        if status.startswith("serving"):
            return True
        reason = status or "it does not serve"
    except Failed as error:
        reason = str(error)
    systemctl("stop", instance.unit)
    print(f"gateway@{name} could not take over, and was stopped: {reason}\n{log_of(name)}", file=sys.stderr)
    return False
