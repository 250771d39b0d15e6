"""Features that models refused."""

import pytest

from gateway.policy.models.learned_refusals import LIFE, LearnedRefusals


def learn(refusals: LearnedRefusals, feature: str, client: str, now: float = 0.0, model: str = "m") -> None:
    refusals.learn(model, feature, client, now, shared=True)


def test_a_refusal_is_remembered_for_an_hour_by_model() -> None:
    refusals = LearnedRefusals()
    learn(refusals, "n", "ada")
    learn(refusals, "top_k", "ada", 10.0)

    assert refusals.of("m", "ada", LIFE - 1) == {"n", "top_k"}
    assert refusals.of("m", "ada", LIFE) == {"top_k"}
    assert refusals.of("other", "ada", 0.0) == frozenset()


@pytest.mark.row("A2")
def test_a02_one_client_alone_teaches_nobody_else() -> None:
    refusals = LearnedRefusals()
    for now in range(5):
        learn(refusals, "n", "ada", float(now))
    assert refusals.of("m", "bob", 5.0) == frozenset()

    learn(refusals, "n", "eve", 6.0)

    assert refusals.of("m", "bob", 7.0) == refusals.of("m", "ada", 7.0) == {"n"}
    assert refusals.of("m", "bob", 6.0 + LIFE) == frozenset()


def test_two_clients_an_hour_apart_are_no_two() -> None:
    refusals = LearnedRefusals()
    learn(refusals, "n", "ada")
    learn(refusals, "n", "eve", LIFE)

    assert refusals.of("m", "bob", LIFE + 1) == frozenset()
    learn(refusals, "n", "ada", LIFE + 1)
    assert refusals.of("m", "bob", LIFE + 2) == {"n"}


def test_what_depends_on_the_project_is_never_shared() -> None:
    refusals = LearnedRefusals()
    for client in ("ada", "eve", "joe"):
        refusals.learn("m", "service_tier", client, 0.0, shared=False)

    assert refusals.of("m", "ada", 1.0) == {"service_tier"}
    assert refusals.of("m", "bob", 1.0) == frozenset()


def test_a_thousand_models_are_remembered() -> None:
    refusals = LearnedRefusals()
    for number in range(1001):
        for client in ("ada", "eve"):
            learn(refusals, "n", client, model=f"m{number}")

    assert [bool(refusals.of(model, "bob", 0.0)) for model in ("m0", "m1", "m1000")] == [False, True, True]


def test_as_many_clients_as_are_bounded_are_remembered() -> None:
    refusals = LearnedRefusals()
    for number in range(4097):
        learn(refusals, "n", f"c{number}", model=f"m{number % 5000}")

    assert [bool(refusals.of(f"m{n}", f"c{n}", 0.0)) for n in (0, 1, 4096)] == [False, True, True]


def test_operators_see_what_a_model_refused_to_anyone() -> None:
    learned = LearnedRefusals()
    learned.learn("m", "thinking", "a", 0, shared=True)
    learned.learn("m", "seed", "a", LIFE / 2, shared=True)

    assert learned.of_all("m", LIFE - 1) == ["seed", "thinking"]
    assert learned.of_all("m", LIFE + 1) == ["seed"]
    assert learned.of_all("n", 0) == []
