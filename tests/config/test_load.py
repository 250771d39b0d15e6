"""A configuration file with what the command line overrides."""

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.errors import ConfigError


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
