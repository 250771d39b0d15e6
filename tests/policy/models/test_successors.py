"""The model that answers for a name: by the table, by day, and as answers have said."""

from datetime import UTC, date, datetime

import pytest

from gateway.policy.models.successors import Successor, Successors, base_name, cycle_fault, named

pytestmark = pytest.mark.row("M2")
ROWS = {
    "gemini-flash-latest": Successor("gemini-3.8-flash"),
    "gemini-2.5-pro": Successor("gemini-3.7-flash", date(2026, 12, 1)),
    "gemini-3.7-flash": Successor("gemini-3.8-flash", date(2026, 12, 5)),
    "gemini-3.5-flash": Successor("gemini-3.6-flash", date(2026, 10, 8), own_price=True),
    "gemini-3-stays": Successor("gemini-3-stays"),
}


def at(month: int, day: int, hour: int = 0) -> float:
    return datetime(2026, month, day, hour, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("model", "time", "answering"),
    [
        ("gemini-2.5-pro", at(11, 30, 23), "gemini-2.5-pro"), ("gemini-2.5-pro", at(12, 1), "gemini-3.7-flash"),
        ("gemini-2.5-pro", at(12, 5), "gemini-3.8-flash"), ("gemini-2.5-pro-001", at(12, 1), "gemini-3.7-flash"),
        ("gemini-2.5-pro-preview-tts", at(12, 6), "gemini-2.5-pro-preview-tts"),
        ("gemini-flash-latest", 0, "gemini-3.8-flash"), ("gemini-3-stays", 0, "gemini-3-stays"), ("", 0, ""),
    ],
)  # fmt: skip
def test_m02_the_table_says_who_answers_from_which_day(model: str, time: float, answering: str) -> None:
    assert Successors(ROWS).of(model, time) == answering


def test_m02_what_an_answer_says_is_learnt_until_another_says_otherwise() -> None:
    successors = Successors(ROWS)

    assert successors.answered("gemini-2.5-pro", "models/gemini-3.9-flash") == "gemini-3.9-flash"
    assert successors.of("gemini-2.5-pro-001", at(11, 26)) == "gemini-3.9-flash"
    assert successors.candidates("gemini-2.5-pro", at(12, 1)) == {
        "gemini-2.5-pro",
        "gemini-3.7-flash",
        "gemini-3.9-flash",
    }
    assert successors.listed("gemini-2.5-pro", at(11, 26)) == "gemini-2.5-pro"
    assert Successors({}, successors).of("gemini-2.5-pro", 0) == "gemini-3.9-flash"  # after a reload
    assert successors.answered("gemini-2.5-pro", "gemini-2.5-pro") is None
    assert successors.of("gemini-2.5-pro", at(11, 26)) == "gemini-2.5-pro"


@pytest.mark.parametrize(
    ("model", "version"),
    [
        ("gemini-2.5-flash", "gemini-2.5-flash-001"), ("gemini-2.0-flash-001", "gemini-2.0-flash"),
        ("gemini-2.5-flash-preview-05-20", "models/gemini-2.5-flash-preview-05-20"), ("gemini-x", "m"),
        ("gemini-3.1-pro-preview-customtools", "gemini-3.1-pro-preview"), ("gemini-x", "tunedModels/gemini-y"),
        ("gemini-x", "gemini-x y"), ("gemini-x", "gemini-" + "y" * 200), ("gemini-x", ""),
    ],
)  # fmt: skip
def test_m02_a_release_of_the_model_and_words_that_name_none_are_no_successor(
    model: str, version: str
) -> None:
    successors = Successors({})

    assert successors.answered(model, version) is None
    assert successors.of(model, 0) == model


def test_m02_names() -> None:
    assert [named("models/gemini-3"), named("gpt-4")] == ["gemini-3", None]
    assert base_name("gemini-2.5-pro-preview-06-05") == "gemini-2.5-pro-preview"
    assert base_name("gemini-embedding-2") == "gemini-embedding-2"


def test_m02_the_own_price_of_a_name_lasts_beyond_its_model() -> None:
    assert Successors(ROWS).has_own_price("gemini-3.5-flash", at(11, 1))
    assert not Successors(ROWS).has_own_price("gemini-3.5-flash", at(10, 1))
    assert not Successors(ROWS).has_own_price("gemini-2.5-pro", at(12, 1))


def test_m02_a_circle_and_a_long_chain_are_faults() -> None:
    circle = {"gemini-a": Successor("gemini-b"), "gemini-b": Successor("gemini-a")}
    chain = {f"gemini-{i}": Successor(f"gemini-{i + 1}") for i in range(20)}

    assert cycle_fault(circle, "gemini-a") == "gemini-a -> gemini-b -> gemini-a is a circle"
    assert cycle_fault(chain, "gemini-0") == "more than 8 models succeed each other"
    assert cycle_fault(ROWS, "gemini-2.5-pro") is None
    assert cycle_fault(ROWS, "gemini-3-stays") is None
    assert Successors(circle).of("gemini-a", 0) in circle
