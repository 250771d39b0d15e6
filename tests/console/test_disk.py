"""Whether the configuration on disk is the one in use."""

from pathlib import Path
from time import time

import pytest

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.console import disk
from gateway.console.process import Checked, Process


async def test_a_changed_file_is_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_AGE", 0)
    monkeypatch.setattr(disk, "_WAIT", 5)
    file, checks, loaded = tmp_path / "g.yaml", [Checked((), ["a"]), Checked((), ["b"]), Checked()], [time()]
    file.write_text("drain: 5")
    source = Source("drain: 5", str(file))
    process = Process(
        configuration=lambda: (GatewayConfig(), source, loaded[0]), on_disk=lambda: checks.pop(0)
    )
    watched = disk.Disk(process)
    first = [await watched.check() for _ in range(3)]
    file.write_text("drain: 66")
    second = [await watched.check() for _ in range(3)]
    loaded[0] += 1
    third = await watched.check()

    assert [c.changes for c in first + second if c] == [["a"]] * 3 + [["b"]] * 3
    assert third == Checked()
    assert watched.file == str(file)


async def test_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    source = Source("", str(tmp_path / "none.yaml"))
    process = Process(
        configuration=lambda: (GatewayConfig(), source, 0.0), on_disk=lambda: Checked((), ["a"])
    )

    assert await disk.Disk(process).check() is None
    assert await disk.Disk(Process()).check() is None
