"""The pool that a configuration describes, and its mistakes."""

import pytest

from gateway.config.key_pool import key_pool
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError

ENVIRON = {"KEY_A": "AQ.a", "KEY_B": "AQ.b"}


def pool_of(text: str) -> list[tuple[str, str]]:
    """Return project and state of each entry of the pool."""
    source = Source(text, "g.yaml", ENVIRON)
    return [(s.project, s.state) for s in key_pool(source.decode(GatewayConfig), source).describe(0.0)]


def test_without_projects_the_pool_is_empty() -> None:
    assert pool_of("") == []


def test_each_key_of_each_project_is_in_the_pool() -> None:
    text = "pool: {projects: [{name: a, keys: [{env: KEY_A}]}, {name: b, keys: [{env: KEY_B}]}]}"

    assert pool_of(text) == [("a", "ready"), ("b", "ready")]


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        (
            "pool:\n  projects:\n  - {name: a, keys: [{env: KEY_A}]}\n  - {name: a, keys: [{env: KEY_B}]}\n",
            ["g.yaml:4:12: two projects are called 'a'"],
        ),
        (
            "pool:\n  projects:\n  - {name: a, keys: [{env: KEY_A}]}\n  - {name: b, keys: [{env: KEY_A}]}\n",
            ["g.yaml:4:22: the same key is in project 'a': a key belongs to one project"],
        ),
        (
            "auth: {passthrough: false}",
            ["g.yaml:1:21: without auth.passthrough, pool.projects must list at least one project"],
        ),
    ],
)
def test_a_mistake_has_its_place(text: str, faults: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        pool_of(text)

    assert [str(fault) for fault in caught.value.faults] == faults
