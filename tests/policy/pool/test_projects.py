"""State of projects and keys."""

import pytest

from gateway.errors import Quota
from gateway.policy.pool.cooldown import Cooldown
from gateway.policy.pool.projects import KeyState, PoolProject, Project, ProjectModelState, key_state

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
        state.breakers.failed("", NOW, 0.0, may_open=True)
    assert (state.wait(NOW, 0), state.cooldown(NOW).reason) == (1, "failing")
    state.quota_cooldown.start("minute", NOW, NOW + 30)
    assert (state.wait(NOW, 0), state.cooldown(NOW).reason) == (30, "minute")


def test_a_half_open_project_takes_one_call() -> None:
    state = ProjectModelState()
    for _ in range(5):
        state.breakers.failed("", NOW, 0.0, may_open=True)
    assert state.wait(NOW + 1, 0) == 0
    state.in_flight = 1
    assert state.wait(NOW + 1, 0) == 1


def test_keys_are_lent_in_turn_from_the_second_on() -> None:
    project = PoolProject(Project("a", ("k", "l", "m", "n")))
    project.keys[2].cooldown.start("bad", NOW, NOW + 60)

    assert [project.next_key(NOW).text for _ in range(4)] == ["l", "n", "k", "l"]
    assert [project.next_key(NOW + 60).text for _ in range(2)] == ["l", "m"]


def test_a_project_is_described_when_it_cools_down_and_each_key_always() -> None:
    project = PoolProject(Project("a", ("k", "l")))
    first, second = project.keys
    second.cooldown.start("bad", NOW, NOW + 60)
    keys = [
        KeyState("a", first.id, "", "ready", "", None, 0),
        KeyState("a", second.id, "", "refused", "bad", NOW + 60, 0),
    ]
    assert list(project.describe(NOW)) == keys
    project.cooldown.start("suspended", NOW, NOW + 9)
    assert list(project.describe(NOW)) == [KeyState("a", "", "", "refused", "suspended", NOW + 9, 0), *keys]
    assert list(project.describe(NOW + 9)) == keys


@pytest.mark.parametrize(
    ("used", "waits"), [(998, [0, 0]), (999, [0, 30]), (1000, [0, 30]), (1001, [30, 30])]
)
def test_a_learned_limit_of_tokens_is_waited_for(used: int, waits: list[float]) -> None:
    state = ProjectModelState()
    state.quotas.learn(Quota("InputTokensPerModelPerMinute", value=1000), NOW)
    state.quotas.spend(NOW, used)

    assert [state.wait(NOW + 30, tokens) for tokens in (0, 2)] == waits
    assert [state.quota_wait(NOW + 30, tokens) for tokens in (0, 2)] == waits
    assert state.describe("a", "m", NOW + 30) == (
        KeyState("a", "", "m", "cooling_down", "learned_limit", NOW + 60, 0)
        if waits[0]
        else KeyState("a", "", "m", "ready", "", None, 0)
    )


@pytest.mark.parametrize(("ends", "reason"), [(59, "learned_limit"), (60, "minute"), (61, "minute")])
def test_a_learned_limit_is_shown_if_it_lasts_longer_than_the_cooldowns(ends: int, reason: str) -> None:
    state = ProjectModelState()
    state.quotas.learn(Quota("InputTokensPerModelPerMinute", value=1), NOW)
    state.quotas.spend(NOW, 2)
    state.quota_cooldown.start("minute", NOW, NOW + ends)
    state.in_flight += 2

    assert state.describe("a", "m", NOW) == KeyState(
        "a", "", "m", "cooling_down", reason, NOW + max(60, ends), 2
    )


def test_a_new_state_counts_from_nothing() -> None:
    state, project = ProjectModelState(), PoolProject(Project("a", ("k",)))

    assert (state.in_flight, state.vague_limits) == (0, 0)
    (key,) = project.keys
    assert (key.refused_at, key.put_back_at, project.refused_at, project.put_back_at) == (0, 0, 0, 0)
