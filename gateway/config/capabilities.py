"""Capability table of the models: the shipped rows, followed by those of `abilities`."""

from gateway.config.model_table import model_table
from gateway.config.source import Source
from gateway.errors import ConfigError
from gateway.gemini.capabilities import CapabilityTable, Rows, fault_of


def shipped() -> Rows:
    """Return the rows of `models.yaml`."""
    return model_table().abilities


def capability_table(overrides: Rows, source: Source) -> CapabilityTable:
    """Return the whole table. Raises ConfigError with the place of each invalid override."""
    problems = {pattern: fault_of(changes) for pattern, changes in overrides.items()}
    faults = tuple(
        source.fault(("abilities", pattern), f"abilities.{pattern}: {problem}")
        for pattern, problem in problems.items()
        if problem
    )
    if faults:
        raise ConfigError(faults)
    rows = dict(shipped())
    for pattern, changes in overrides.items():
        rows[pattern] = {**rows.pop(pattern, {}), **changes}
    return CapabilityTable(rows)
