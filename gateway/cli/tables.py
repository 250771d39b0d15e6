"""Tables and JSON on standard output."""

import sys
from collections.abc import Sequence
from typing import Any

import msgspec

_encode = msgspec.json.Encoder(decimal_format="number").encode


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below a header line, in columns that are as wide as their widest cell."""
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def print_json(value: Any) -> None:
    """Print a value as JSON. Decimals are numbers without an exponent."""
    sys.stdout.write(msgspec.json.format(_encode(value)).decode() + "\n")
