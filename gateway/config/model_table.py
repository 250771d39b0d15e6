"""The shipped table of models, `models.yaml`: its date, successors, prices and capabilities."""

import datetime as dt
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct

from gateway.policy.models.successors import Successor, timestamp

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # with libyaml ten times as fast


OLD_DAYS = 60
"""Days after which the table should be compared with Google's pages again: its prices change several times a year."""


class ModelTable(Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `models.yaml`."""

    date: dt.date
    """The day on which it was compared with Google's pages."""
    successors: Mapping[str, Successor]
    """By name of the model that is succeeded."""
    prices: Mapping[str, Any]
    """Rows by name pattern; see `policy.pricing.price_rows`."""
    abilities: Mapping[str, Mapping[str, Any]]
    """Rows by name pattern; see `gemini.capabilities.CapabilityTable`."""


def age(at: float) -> int:
    """Return the days from the table's date to a time in Unix seconds; 0 before it."""
    return max(0, int((at - timestamp(model_table().date)) // 86_400))


@cache
def model_table() -> ModelTable:
    """Return the shipped table."""
    text = Path(__file__).with_name("models.yaml").read_text("utf-8")
    return msgspec.convert(yaml.load(text, Loader=_LOADER), ModelTable)  # noqa: S506 - both loaders are safe
