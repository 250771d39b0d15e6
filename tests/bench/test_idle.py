"""Idle cores that poll while the bench measures."""

from pathlib import Path

import pytest

from bench.idle import polling


def test_the_setting_is_as_before_afterwards(tmp_path: Path) -> None:
    setting = tmp_path / "guest_halt_poll_ns"
    setting.write_text("200000\n")

    with polling(setting):
        assert setting.read_text() == "1000000\n"

    assert setting.read_text() == "200000\n"


def test_a_kernel_without_the_setting_is_named(tmp_path: Path) -> None:
    message = r"cannot be kept awake here: No such file or directory: .*poll_ns"

    with pytest.raises(RuntimeError, match=message), polling(tmp_path / "poll_ns"):
        pass
