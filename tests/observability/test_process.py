"""Numbers of the process, also where the sandbox hides /proc/stat."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.observability import process
from tests.support.paths import ROOT

HIDDEN = """
set -e
mount -t proc -o subset=pid proc /proc
test ! -e /proc/stat
exec "$@"
"""
"""What `ProcSubset=pid` of the unit does: /proc has nothing but the folders of processes."""
PRINT = """
from types import SimpleNamespace
from gateway.observability.prometheus import PROCESS_FAMILIES
for family in PROCESS_FAMILIES:
    for labels, value in family.samples(SimpleNamespace()):
        print(family.series[0], value)
"""


def test_o07_the_numbers_are_those_of_the_process() -> None:
    opened = process.open_files()
    with Path("/dev/null").open() as _, Path("/dev/null").open() as _:
        assert process.open_files() == opened + 2
    begun = time.process_time()
    held = bytearray(64 * 2**20)
    for place in range(0, len(held), 4096):
        held[place] = 1

    assert process.resident_bytes() > len(held)
    assert process.virtual_bytes() >= process.resident_bytes()
    assert begun <= process.cpu_seconds() <= time.process_time()
    assert process.most_files() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    assert process.started() == pytest.approx(int(boot.split()[1]) + ticks / os.sysconf("SC_CLK_TCK"), abs=2)
    assert process.started() == process.started()


def test_o07_a_number_that_cannot_be_read_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(process, "_OWN", tmp_path)

    assert process.readable(process.resident_bytes) == process.readable(process.open_files) == []
    assert len(process.readable(process.cpu_seconds)) == 1


def test_o07_all_numbers_are_there_where_proc_has_nothing_but_processes() -> None:
    command = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", HIDDEN, "sh", sys.executable, "-c", PRINT]
    try:
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError:
        pytest.skip("unshare (util-linux) is not installed")
    if "unshare" in result.stderr or "mount" in result.stderr:
        pytest.skip(f"/proc cannot be mounted here: {result.stderr.strip()}")

    values = dict(line.split() for line in result.stdout.splitlines())
    assert values.keys() == {
        "process_cpu_seconds_total", "process_resident_memory_bytes", "process_virtual_memory_bytes",
        "process_open_fds", "process_max_fds", "process_start_time_seconds",
    }, result.stderr  # fmt: skip
    assert abs(float(values["process_start_time_seconds"]) - time.time()) < 60
