"""The parts of a process that are not there."""

from gateway.console.process import Checked, Process


def test_a_process_without_parts() -> None:
    assert Process().reload is None
    assert Checked().faults == ()
