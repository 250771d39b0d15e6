"""`gateway serve`: what the command line hands to the server; tests/server/process/test_serving.py runs it as a process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp.http_parser import HttpRequestParserPy

from gateway.cli.main import main
from gateway.config.sections import GatewayConfig

Read = Callable[[], tuple[GatewayConfig, Any]]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Read, bool]]:
    """Calls of the server, which returns 7 in place of serving."""
    calls: list[tuple[Read, bool]] = []

    def serve(read: Read, *, ignore_inherited: bool, examine: Callable[[bool], Any]) -> int:
        calls.append((read, ignore_inherited))
        return 7

    monkeypatch.setattr("gateway.cli.serve.serve", serve)
    return calls


def test_the_file_is_read_anew_each_time(tmp_path: Path, served: list[tuple[Read, bool]]) -> None:
    file = tmp_path / "g.yaml"
    file.write_text("drain: 5\n")

    assert main(["serve", "--config", str(file)]) == 7
    ((read, ignore_inherited),) = served
    assert ignore_inherited is False
    assert read()[0].drain == 5
    file.write_text("drain: 6\n")
    assert read()[0].drain == 6


def test_an_address_on_the_command_line_wins_over_the_file_and_over_systemd(
    tmp_path: Path, served: list[tuple[Read, bool]]
) -> None:
    file = tmp_path / "g.yaml"
    file.write_text("listen: {port: 1}\n")

    main(["serve", "--config", str(file), "--listen", "[::1]:2", "--upstream", "http://up.example"])

    ((read, ignore_inherited),) = served
    config, source = read()
    assert (config.listen.host, config.listen.port) == ("::1", 2)
    assert config.upstream.base_url == "http://up.example"
    assert ignore_inherited is True
    assert source.file == str(file)


def test_o10_without_a_file_the_defaults_are_served_and_it_says_so(
    tmp_path: Path,
    served: list[tuple[Read, bool]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("GATEWAY_CONFIG", "GATEWAY_CONFIG_YAML", "GATEWAY_LISTEN"):
        monkeypatch.delenv(name, raising=False)

    assert main(["serve"]) == 7

    ((read, _),) = served
    assert read()[0] == GatewayConfig()
    assert (GatewayConfig().listen.host, GatewayConfig().listen.port) == ("127.0.0.1", 8080)
    assert "no configuration file: serving the defaults; `gateway init`" in capfd.readouterr().err
    (tmp_path / "gateway.yaml").write_text("drain: 8\n")
    assert read()[0].drain == 8
    assert "gateway: configuration: gateway.yaml\n" in capfd.readouterr().err


def test_a_file_on_the_command_line_needs_no_message(
    tmp_path: Path, served: list[tuple[Read, bool]], capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "g.yaml").write_text("")

    main(["serve", "--config", str(tmp_path / "g.yaml")])
    served[0][0]()

    assert "configuration" not in capfd.readouterr().err


def test_without_the_c_parser_nothing_is_served(
    served: list[tuple[Read, bool]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gateway.cli.serve.HttpRequestParser", HttpRequestParserPy)

    assert main(["serve"]) == 78
    assert served == []
    assert "Unset AIOHTTP_NO_EXTENSIONS" in capsys.readouterr().err
