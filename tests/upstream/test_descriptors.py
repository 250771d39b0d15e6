"""A lack of file descriptors is told from other errors, and logged once a minute."""

import errno
import logging
import os
import resource

import pytest

from gateway.upstream import descriptors


@pytest.fixture(autouse=True)
def _unreported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "_reported", -descriptors._PERIOD)


@pytest.mark.row("P20")
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_a_shortage_is_logged_once(number: int, caplog: pytest.LogCaptureFixture) -> None:
    error = RuntimeError()
    error.__cause__ = OSError(number, "x")
    for _ in range(3):
        assert descriptors.is_shortage(error)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "LimitNOFILE" in caplog.text


def test_other_errors_are_none(caplog: pytest.LogCaptureFixture) -> None:
    assert not descriptors.is_shortage(ConnectionRefusedError(errno.ECONNREFUSED, "x"))
    assert not descriptors.are_short()
    assert not caplog.records


@pytest.mark.row("P20")
def test_p20_the_process_without_descriptors_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (used[0], before[1]))
    try:
        assert descriptors.are_short()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        os.close(used[0])
    assert "no file descriptor is free" in caplog.text
