"""Marks of the lines that are being asked for."""

from pathlib import Path

from gateway.exchange.batches.started_lines import StartedLines


def test_a_mark_lasts_until_it_is_taken_back(tmp_path: Path) -> None:
    lines = StartedLines(tmp_path / "part.started")
    assert lines.read() == set()
    for number in (0, 7, 12):
        lines.begin(number)
    lines.withdraw(7)
    assert StartedLines(tmp_path / "part.started").read() == {0, 12}
    lines.begin(7)
    assert lines.read() == {0, 7, 12}


def test_half_a_mark_is_none_and_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "part.started"
    path.write_bytes(b"1\n4\n-1\n1")
    lines = StartedLines(path)
    assert lines.read() == {3}
    lines.begin(5)
    assert lines.read() == {3, 5}
