"""Ids are unique within the process and, by their prefix, between processes."""

import re
import subprocess
import sys

from gateway.exchange.ids import unique


def test_ids_have_a_prefix_and_24_digits_and_never_repeat() -> None:
    ids = [unique("req_") for _ in range(1000)]

    assert len(set(ids)) == 1000
    assert all(re.fullmatch(r"req_[0-9a-f]{24}", name) for name in ids)


def test_later_ids_sort_after_earlier_ones() -> None:
    ids = [unique("x") for _ in range(300)]

    assert ids == sorted(ids)


def test_another_process_has_other_ids() -> None:
    code = "from gateway.exchange.ids import unique; print(unique('x'))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert other.strip()[:13] != unique("x")[:13]
