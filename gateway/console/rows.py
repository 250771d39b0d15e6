"""Rows of the console's lists: records of requests, and calls of the ledger."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import to_builtins

from gateway.console.instance import instance
from gateway.observability.recent import Recent
from gateway.observability.redaction import printable, redacted_line

encode = msgspec.json.Encoder(decimal_format="number").encode


def row(entry: Recent, name: Callable[[str], str], micros: int | None = None) -> dict[str, Any]:
    """Return a record for `encoded`: the fields of its log line, and those that only the console shows."""
    record = entry.record
    return {
        "n": entry.number,
        "at": round(entry.at, 3),
        "instance": instance(),
        "key_name": name(record.key) if record.key else "",
        "dollars": dollars(micros),
        **to_builtins(record),
    }


def dollars(micros: int | None) -> Decimal | None:
    """Return millionths of a US dollar in dollars."""
    return Decimal(micros) / 1_000_000 if micros is not None else None


def encoded(value: object) -> bytes:
    """Return JSON without secrets: records hold texts of clients, which the log redacts, too, when it is written."""
    return printable(redacted_line(encode(value)))
