"""Memory is given back to the system: after large requests, and also when small blocks lie between theirs."""

import subprocess
import sys

import pytest

from gateway.policy.load.memory import MemoryAccount
from gateway.server.process import allocator
from tests.support.waiting import eventually

SCRIPT = """
import re, sys
from pathlib import Path
from gateway.server.process import allocator

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

if "tune" in sys.argv:
    allocator.tune()
del [bytes(20_000_000)][0]  # glibc's threshold follows the largest block that was freed
before, kept = resident(), []
for _ in range(200):
    large = [bytes(250_000) for _ in range(4)]
    kept.append(bytes(2000))
    kept_large = kept.append(bytearray(250_000)) if not len(kept) % 50 else None
    del large
blocks = [(bytes(200_000), bytes(1000)) for _ in range(500)]
small = [pair[1] for pair in blocks]
del blocks
print(resident() - before)
if "trim" in sys.argv:
    allocator.trim()
print(resident() - before)
"""


def grown(*how: str) -> list[int]:
    """Return the MB that a process has grown by after it freed 100 MB of 200 KB blocks between small ones."""
    result = subprocess.run([sys.executable, "-c", SCRIPT, *how], capture_output=True, text=True, check=True)
    return [int(line) for line in result.stdout.split()]


@pytest.mark.row("A5")
def test_a05_freed_blocks_go_back_to_the_system() -> None:
    if not hasattr(allocator._C, "malloc_trim"):
        pytest.skip("not glibc")
    assert grown()[0] > 60
    assert grown("tune")[0] < 30
    assert grown("trim")[1] < 30


async def test_trimming_follows_large_requests_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "_EVERY", 0.005)
    account, trims = MemoryAccount(10**9), []
    async with allocator.trimming(account, lambda: trims.append(account.given_back)):
        for size in (20 * 2**20, 5 * 2**20, 15 * 2**20):
            hold = account.open()
            hold.take(size)
            hold.release()
        await eventually(lambda: trims)
        hold = account.open()
        hold.take(2**20)
        hold.release()
    assert trims == [40 * 2**20]
