"""The name of a process."""

from pathlib import Path

import pytest

from gateway.console.instance import CONTROL, instance


def test_an_instance_is_named_after_the_machine_and_the_unit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(CONTROL, raising=False)
    instance.cache_clear()
    machine = instance()
    monkeypatch.setenv(CONTROL, str(tmp_path / "blue.sock"))
    instance.cache_clear()

    assert instance() == f"{machine}/blue"
    instance.cache_clear()
