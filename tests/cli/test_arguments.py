"""Values of arguments: what is taken, and what is refused."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.arguments import add_config, add_listen, address, amount, base_url, count, reachable


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


def test_the_configuration_file_may_be_left_out() -> None:
    parser = argparse.ArgumentParser()
    add_config(parser)

    assert parser.parse_args([]).config is None
    assert parser.parse_args(["--config", "a.yaml"]).config == Path("a.yaml")


def test_the_address_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(*arguments: str) -> object:
        parser = argparse.ArgumentParser()
        add_listen(parser, "address", ("127.0.0.1", 1))
        return parser.parse_args(arguments).listen

    monkeypatch.delenv("GATEWAY_LISTEN", raising=False)
    assert parse() == ("127.0.0.1", 1)
    monkeypatch.setenv("GATEWAY_LISTEN", "0.0.0.0:8080")
    assert parse() == ("0.0.0.0", 8080)
    assert parse("--listen", "[::1]:2") == ("::1", 2)


def test_a_bad_address_in_the_environment_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_LISTEN", "8080")

    with pytest.raises(SystemExit) as caught:
        add_listen(argparse.ArgumentParser(), "address")
    assert caught.value.code == 2
    assert "GATEWAY_LISTEN: expected HOST:PORT, got '8080'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "expected"),
    [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.1", "10.0.0.1"), ("gateway.test", "gateway.test")],
)
def test_a_listener_on_all_addresses_is_reached_on_loopback(host: str, expected: str) -> None:
    assert reachable(host) == expected
