"""Arguments that several commands share, and parsers of argument values."""

import argparse
import os
import re
from pathlib import Path

LISTEN_VARIABLE = "GATEWAY_LISTEN"
"""Environment variable with an address, in place of `--listen`."""


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add `--config`: None if it is not given, which `gateway.config.load` resolves."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="configuration file (default: $GATEWAY_CONFIG_YAML, which holds a whole configuration, the file "
        "$GATEWAY_CONFIG, gateway.yaml, config/gateway.yaml, or none: every setting has a default)",
    )


def add_listen(parser: argparse.ArgumentParser, text: str, default: tuple[str, int] | None = None) -> None:
    """Add `--listen`, whose default is `GATEWAY_LISTEN` where that is set. End with status 2 if it is no address."""
    variable = os.environ.get(LISTEN_VARIABLE)
    try:
        default = address(variable) if variable else default
    except argparse.ArgumentTypeError as error:
        parser.error(f"{LISTEN_VARIABLE}: {error}")
    parser.add_argument(
        "--listen", metavar="HOST:PORT", type=address, default=default, help=f"{text} (or $GATEWAY_LISTEN)"
    )


def address(text: str) -> tuple[str, int]:
    """Parse `HOST:PORT`; an IPv6 host stands in brackets."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, got {text!r}")
    return host.strip("[]"), int(port)


def reachable(host: str) -> str:
    """Return a host under which this machine reaches a listener: loopback for one on all addresses."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - compared, not listened on


def base_url(text: str) -> str:
    """Return an HTTP URL without a query."""
    if not re.fullmatch(r"https?://[^/?#@]+(/[^?#]*)?", text):
        raise argparse.ArgumentTypeError(f"expected http(s)://HOST, got {text!r}")
    return text


def count(text: str) -> int:
    """Parse a whole number that is not negative."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected a whole number that is not negative, got {text!r}")
    return int(text)


def amount(text: str) -> float:
    """Parse a finite number that is not negative."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number that is not negative, got {text!r}")
    return value
