"""The measurement of the admin API with a large ledger, here with a small one."""

import subprocess
import sys

import pytest

from tests.support.paths import ROOT


@pytest.mark.slow
def test_each_page_is_measured_and_answers() -> None:
    command = [sys.executable, "-m", "bench.console", "500", "--after"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True).stdout
    table = shown.partition("loop held")[2].splitlines()[1:]

    assert len(table) >= 20
    assert all(
        line.split()[3].startswith(("/admin/", "/metrics")) and len(line.split()) == 4 for line in table
    )
