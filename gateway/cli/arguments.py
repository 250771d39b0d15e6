"""Arguments that several commands share, and parsers of argument values."""

import argparse
import os
import re
from pathlib import Path

DEFAULT_CONFIG = Path(os.environ.get("GATEWAY_CONFIG", "config/gateway.yaml"))


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add `--config`."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        default=DEFAULT_CONFIG,
        help="configuration file (default: $GATEWAY_CONFIG, or config/gateway.yaml)",
    )


def address(text: str) -> tuple[str, int]:
    """Parse `HOST:PORT`; an IPv6 host stands in brackets."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, got {text!r}")
    return host.strip("[]"), int(port)


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
