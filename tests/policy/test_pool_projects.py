"""State of projects and keys."""

import pytest

from gateway.policy.cooldown import Cooldown
from gateway.policy.pool_projects import KeyState, PoolProject, Project, ProjectModelState, key_state

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("models", "model", "expected"),
    [((), "m", True), (("gemini-*",), "gemini-3", True), (("gemini-*",), "gemma-3", False), (("gemini-*",), "", True)],
)  # fmt: skip
def test_models_that_a_project_serves(models: tuple[str, ...], model: str, expected: bool) -> None:
    assert PoolProject(Project("a", ("k",), models)).serves(model) is expected


def test_a_key_is_known_by_a_digest() -> None:
    (key,) = PoolProject(Project("a", ("AIza-secret",))).keys

    assert (len(key.id), "secret" in key.id) == (8, False)


def test_no_key_of_a_project_that_cools_down_is_usable() -> None:
    project = PoolProject(Project("a", ("k", "l")))
    project.keys[0].cooldown.start("bad", NOW, NOW + 60)
    assert [key.text for key in project.usable_keys(NOW)] == ["l"]
    project.cooldown.start("suspended", NOW, NOW + 60)
    assert project.usable_keys(NOW) == []


@pytest.mark.parametrize(
    ("reason", "state"),
    [("bad", "refused"), ("leaked", "refused"), ("suspended", "refused"), ("day", "cooling_down"), ("failing", "cooling_down")],
)  # fmt: skip
def test_the_description_for_operators(reason: str, state: str) -> None:
    cooldown = Cooldown()
    cooldown.start(reason, NOW, NOW + 9)

    assert key_state("a", "k", "", cooldown, NOW) == KeyState("a", "k", "", state, reason, NOW + 9, 0)  # type: ignore[arg-type]
    assert key_state("a", "", "m", cooldown, NOW + 9, 2) == KeyState("a", "", "m", "ready", "", None, 2)


def test_the_longer_of_two_cooldowns_counts() -> None:
    state = ProjectModelState()
    for _ in range(5):
        state.breaker.failed(NOW)
    assert (state.wait(NOW, 0), state.cooldown(NOW).reason) == (1, "failing")
    state.quota_cooldown.start("minute", NOW, NOW + 30)
    assert (state.wait(NOW, 0), state.cooldown(NOW).reason) == (30, "minute")


def test_a_half_open_project_takes_one_call() -> None:
    state = ProjectModelState()
    for _ in range(5):
        state.breaker.failed(NOW)
    assert state.wait(NOW + 1, 0) == 0
    state.in_flight = 1
    assert state.wait(NOW + 1, 0) == 1
