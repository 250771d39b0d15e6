"""The shipped prices, and those of the configuration."""

from fnmatch import fnmatchcase
from importlib.resources import files

import pytest
import yaml

from gateway.config.prices import prices
from gateway.policy.ledger import LedgerConfig
from gateway.policy.pricing import Price

SHIPPED = yaml.safe_load((files("gateway.config") / "prices.yaml").read_text())


def test_without_overrides_the_version_is_the_shipped_one() -> None:
    assert prices(LedgerConfig()).version == SHIPPED["version"]


def test_an_override_takes_precedence_and_marks_the_version() -> None:
    own = prices(LedgerConfig(prices={"gemini-2.5-flash": Price(input=7.0)}))

    assert own.of("gemini-2.5-flash").input == 7.0
    assert own.of("gemini-2.5-pro") == prices(LedgerConfig()).of("gemini-2.5-pro")
    assert own.version == SHIPPED["version"] + "+own"


def test_an_override_of_a_shipped_pattern_goes_last() -> None:
    pattern = next(iter(SHIPPED["models"]))
    later = [p for p in SHIPPED["models"] if p != pattern]
    model = "gemini-3-pro-preview"
    if not (fnmatchcase(model, pattern) and any(fnmatchcase(model, p) for p in later)):
        pytest.skip("the shipped table has changed")

    assert prices(LedgerConfig(prices={pattern: Price(output=1.5)})).of(model).output == 1.5
