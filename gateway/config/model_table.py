"""The shipped table of models, `models.yaml`: its date, prices and capabilities."""

import datetime as dt
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
import yaml
from msgspec import Struct

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # with libyaml ten times as fast


class ModelTable(Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `models.yaml`."""

    date: dt.date
    """The day on which it was compared with Google's pages."""
    prices: Mapping[str, Any]
    """Rows by name pattern; see `policy.pricing.price_rows`."""
    abilities: Mapping[str, Mapping[str, Any]]
    """Rows by name pattern; see `gemini.capabilities.CapabilityTable`."""


@cache
def model_table() -> ModelTable:
    """Return the shipped table."""
    text = (files("gateway.config") / "models.yaml").read_text()
    return msgspec.convert(yaml.load(text, Loader=_LOADER), ModelTable)  # noqa: S506 - both loaders are safe
