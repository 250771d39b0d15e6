"""Limits of stores and the configuration of state."""

import msgspec
import pytest

from gateway.store.key_value import StateConfig, StoreLimits


@pytest.mark.parametrize(
    "text",
    [
        '{"signatures": {"megabytes": 0}}',
        '{"signatures": {"megabytes": 4097}}',
        '{"signatures": {"hours": 0}}',
        '{"signatures": {"hours": 8761}}',
        '{"signatures": {"days": 3}}',
        '{"files": "x"}',
    ],
)
def test_a_config_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=StateConfig)


def test_the_shipped_config_keeps_64_mib_for_three_days_in_memory() -> None:
    config = msgspec.json.decode("{}", type=StateConfig)

    assert (config.file, config.signatures.bound, config.signatures.age) == (None, 67_108_864, 259_200.0)
    assert config.responses == config.signatures == StoreLimits()
