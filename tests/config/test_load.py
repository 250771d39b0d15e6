"""The place of the configuration, and what the command line overrides."""

import os
from pathlib import Path

import pytest

from gateway.config.load import NO_FILE, find, load
from gateway.config.sections import GatewayConfig
from gateway.errors import ConfigError
from gateway.server.stores import ledger_url


def test_the_command_line_takes_precedence(tmp_path: Path) -> None:
    file = tmp_path / "g.yaml"
    file.write_text("listen: {unix: /run/x}\nupstream: {base_url: 'http://a', api_version: v1}\n")

    config, source = load(file, listen=("::1", 9), upstream="http://b")
    assert (config.listen.host, config.listen.port, config.listen.unix) == ("::1", 9, None)
    assert (config.upstream.base_url, config.upstream.api_version) == ("http://b", "v1")
    assert source.file == str(file)
    config, _ = load(file)
    assert (config.listen.unix, config.upstream.base_url) == ("/run/x", "http://a")


def test_a_missing_file_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "none.yaml")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, without a configuration in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("GATEWAY_CONFIG", "GATEWAY_CONFIG_YAML"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_o10_without_a_file_every_setting_has_its_default(folder: Path) -> None:
    config, source = load(None)

    assert (config, source.file, source.data) == (GatewayConfig(), NO_FILE, {})


def test_o10_files_of_the_working_directory_are_found_in_their_order(folder: Path) -> None:
    (folder / "config").mkdir()
    (folder / "config" / "gateway.yaml").write_text("drain: 1\n")
    assert load(None)[0].drain == 1
    (folder / "gateway.yaml").write_text("drain: 2\n")
    assert load(None)[0].drain == 2
    assert load(folder / "config" / "gateway.yaml")[0].drain == 1


def test_a_file_that_exists_and_cannot_be_read_is_not_passed_over(folder: Path) -> None:
    (folder / "gateway.yaml").mkdir()

    with pytest.raises(ConfigError, match=r"^gateway.yaml:1:1: cannot be read: Is a directory"):
        load(None)


def test_the_environment_names_the_file_or_holds_it(folder: Path) -> None:
    (folder / "gateway.yaml").write_text("drain: 2\n")
    (folder / "other.yaml").write_text("drain: 3\n")

    assert find({"GATEWAY_CONFIG": "other.yaml"}).data == {"drain": 3}
    assert find({"GATEWAY_CONFIG_YAML": "drain: 4"}).data == {"drain": 4}
    assert find({"GATEWAY_CONFIG": "", "GATEWAY_CONFIG_YAML": ""}).data == {"drain": 2}


def test_a_mistake_in_the_environment_is_named_with_its_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_CONFIG_YAML", "listen:\n  prot: 1\n")
    with pytest.raises(ConfigError, match=r"^GATEWAY_CONFIG_YAML:2:3: unknown key 'prot'"):
        load(None)
    monkeypatch.setenv("GATEWAY_CONFIG", "gateway.yaml")
    with pytest.raises(ConfigError, match=r"^GATEWAY_CONFIG_YAML:1:1: GATEWAY_CONFIG is set, too: unset one"):
        load(None)


def test_secrets_are_read_as_from_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_CONFIG_YAML", "admin: {token: {env: TOKEN_OF_THE_ADMIN}}")
    monkeypatch.setenv("TOKEN_OF_THE_ADMIN", "hush")

    token = load(None)[0].admin.token
    assert token is not None
    assert token.reveal() == "hush"


@pytest.mark.parametrize(
    ("text", "ledger", "state"),
    [
        ("pool: {projects: [{name: a, keys: [{env: KEY}]}]}\n", "ledger.db", None),
        ("ledger: {url: books/my.db}\nstate: {file: s.db}\n", "books/my.db", "s.db"),
        ("ledger: {url: /var/x.db}\nstate: {file: /var/s.db}\n", "/var/x.db", "/var/s.db"),
        ("ledger: {url: postgresql://u@h/d}\n", None, None),
        ("", None, None),
    ],
)
def test_o22_files_are_beside_the_configuration_wherever_a_command_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, ledger: str | None, state: str | None
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("KEY", "AQ.x")
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "g.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    config, _ = load(Path("etc/g.yaml"))
    monkeypatch.chdir("/")

    url = ledger_url(config, os.environ)
    assert url == (str(folder / ledger) if ledger else config.ledger.url)
    assert config.state.file == (str(folder / state) if state else None)
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/gateway")
    config, _ = load(folder / "g.yaml")
    assert ledger_url(config, os.environ) == (
        f"/var/lib/gateway/{ledger}".replace("/var/lib/gateway//", "/") if ledger else url
    )
