"""The comparison of `make bench-instructions`."""

from pathlib import Path

import pytest

from bench.instructions import count, judge

_BASELINE = {"python": "3.11.7 x86_64", "unary": 1000, "stream": 4000}


def test_counts_may_be_three_percent_above_the_baseline() -> None:
    passed, lines = judge({"unary": 1030, "stream": 4000}, _BASELINE, "3.11.7 x86_64")

    assert passed
    assert lines == ["PASS  unary: 1,030 instructions, +3.0%", "PASS  stream: 4,000 instructions, +0.0%"]


def test_more_is_a_miss_that_says_what_to_do() -> None:
    passed, lines = judge({"unary": 1031, "stream": 4000}, _BASELINE, "3.11.7 x86_64")

    assert not passed
    assert lines[0] == "MISS  unary: 1,031 instructions, +3.1%; more than 3% above bench/instructions.json"
    assert lines[-1].endswith("make bench-instructions WRITE=1")


def test_a_gain_is_kept_by_writing_it() -> None:
    passed, lines = judge({"unary": 900}, _BASELINE, "3.11.7 x86_64")

    assert passed
    assert "WRITE=1` keeps the gain" in lines[0]


def test_another_python_compares_nothing() -> None:
    passed, lines = judge({"unary": 9000}, _BASELINE, "3.13.1 x86_64")

    assert passed
    assert lines == [
        "unary: 9,000 instructions, not compared: the baseline is of Python 3.11.7 x86_64, this is 3.13.1 x86_64"
    ]


def test_without_valgrind_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("subprocess.Popen", None)

    with pytest.raises(OSError, match="apt-get install valgrind"):
        count("unary", tmp_path)
