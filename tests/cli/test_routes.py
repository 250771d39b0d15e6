"""`gateway routes`."""

from pathlib import Path

import pytest

from gateway.cli.main import main


def test_each_route_is_a_line_with_its_plugin_and_the_catch_all_is_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "g.yaml"
    file.write_text("plugins: {hello: {}, health: {}}\n")

    assert main(["routes", "--config", str(file)]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["GET", "/healthz", "health"],
        ["GET", "/readyz", "health"],
        ["*", "/{path:.*}", "hello"],
    ]


def test_a_faulty_configuration_is_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "g.yaml"
    file.write_text("plugin: {}\n")

    assert main(["routes", "--config", str(file)]) == 78
    assert f"{file}:1:1: unknown key 'plugin'" in capsys.readouterr().err
