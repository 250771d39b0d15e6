"""Features that models refused."""

from gateway.policy.learned_refusals import LIFE, LearnedRefusals


def test_a_refusal_is_remembered_for_an_hour_by_model() -> None:
    refusals = LearnedRefusals()
    refusals.learn("m", "n", 0.0)
    refusals.learn("m", "top_k", 10.0)

    assert refusals.of("m", LIFE - 1) == {"n", "top_k"}
    assert refusals.of("m", LIFE) == {"top_k"}
    assert refusals.of("other", 0.0) == frozenset()


def test_a_thousand_models_are_remembered() -> None:
    refusals = LearnedRefusals()
    for number in range(1001):
        refusals.learn(f"m{number}", "n", 0.0)

    assert [bool(refusals.of(model, 0.0)) for model in ("m0", "m1", "m1000")] == [False, True, True]
