"""`gateway check`."""

from pathlib import Path

import pytest

from gateway.cli.main import main


def test_check_says_what_is_wrong_and_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "g.yaml"
    file.write_text("plugins:\n  chat: {}\n  helo: {}\n")

    assert main(["check", "--config", str(file)]) == 78
    assert f"{file}:3:9: plugin 'helo': not installed; did you mean 'hello'?" in capsys.readouterr().err
    file.write_text("")
    assert main(["check", "--config", str(file)]) == 0
