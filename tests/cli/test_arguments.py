"""Values of arguments: what is taken, and what is refused."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.arguments import DEFAULT_CONFIG, add_config, address, amount, base_url, count


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (address, "127.0.0.1:8080", ("127.0.0.1", 8080)),
        (address, "[::1]:0", ("::1", 0)),
        (address, "host:65535", ("host", 65535)),
        (base_url, "https://a.example", "https://a.example"),
        (base_url, "http://127.0.0.1:9/path/", "http://127.0.0.1:9/path/"),
        (count, "0", 0),
        (count, "12", 12),
        (amount, "0", 0.0),
        (amount, "2.5", 2.5),
        (amount, "1e3", 1000.0),
    ],
)
def test_a_good_value(parse: Callable[[str], Any], text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (address, "8080"),
        (address, ":8080"),
        (address, "host:"),
        (address, "host:65536"),
        (address, "host:-1"),
        (address, "host:http"),
        (base_url, "a.example"),
        (base_url, "ftp://a.example"),
        (base_url, "https://"),
        (base_url, "https://user@a.example"),
        (base_url, "https://a.example?key=x"),
        (base_url, "https://a.example/#x"),
        (count, "-1"),
        (count, "1.5"),
        (count, "²"),
        (count, ""),
        (amount, "-0.1"),
        (amount, "inf"),
        (amount, "nan"),
        (amount, "much"),
    ],
)
def test_a_bad_value_is_repeated(parse: Callable[[str], Any], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected") as caught:
        parse(text)

    assert str(caught.value).endswith(f"got {text!r}")


def test_the_configuration_file_has_a_default() -> None:
    parser = argparse.ArgumentParser()
    add_config(parser)

    assert parser.parse_args([]).config == DEFAULT_CONFIG
    assert parser.parse_args(["--config", "a.yaml"]).config == Path("a.yaml")
