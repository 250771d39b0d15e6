"""Moderations, the answer: Gemini's ratings as OpenAI's categories."""

import json
from typing import Any

import pytest

from gateway.gemini.wire import decode_response
from gateway.plugins.moderations.response import result
from gateway.plugins.moderations.wire import ModerationResult, Probability


def rated(*ratings: tuple[str, Any], flag: Probability = "MEDIUM", blocked: bool = False) -> ModerationResult:
    feedback: dict[str, Any] = {
        "safetyRatings": [
            {"category": category, "probability": probability} for category, probability in ratings
        ]
    }
    if blocked:
        feedback["blockReason"] = "SAFETY"
    return result(decode_response(json.dumps({"promptFeedback": feedback})), flag)


def flagged(answer: ModerationResult) -> list[str]:
    return [category for category, flag in answer.categories.items() if flag]


@pytest.mark.parametrize(
    ("harm", "category"),
    [("HARASSMENT", "harassment"), ("HATE_SPEECH", "hate"), ("SEXUALLY_EXPLICIT", "sexual"),
     ("DANGEROUS_CONTENT", "illicit")],
)  # fmt: skip
def test_each_harm_has_its_category(harm: str, category: str) -> None:
    answer = rated((f"HARM_CATEGORY_{harm}", "HIGH"))

    assert (answer.flagged, flagged(answer), answer.category_scores[category]) == (True, [category], 0.9)
    assert answer.category_applied_input_types[category] == ["text"]


def test_a_category_without_a_rating_is_0_and_applies_to_nothing() -> None:
    answer = rated(("HARM_CATEGORY_UNKNOWN", "HIGH"), ("HARM_CATEGORY_HARASSMENT", "NEGLIGIBLE"))

    assert (answer.flagged, flagged(answer), set(answer.category_scores.values())) == (False, [], {0.0})
    assert len(answer.categories) == 13
    assert answer.category_applied_input_types["violence"] == []


@pytest.mark.parametrize(
    ("probability", "flag", "expected"),
    [("LOW", "LOW", True), ("LOW", "MEDIUM", False), ("MEDIUM", "MEDIUM", True), ("MEDIUM", "HIGH", False),
     ("HIGH", "HIGH", True)],
)  # fmt: skip
def test_a_harm_is_flagged_from_the_configured_probability(
    probability: str, flag: Probability, expected: bool
) -> None:
    assert rated(("HARM_CATEGORY_HARASSMENT", probability), flag=flag).flagged is expected


def test_the_worst_rating_of_prompt_and_candidates_counts() -> None:
    def rating(probability: str) -> dict[str, str]:
        return {"category": "HARM_CATEGORY_HATE_SPEECH", "probability": probability}

    answer = {
        "promptFeedback": {"safetyRatings": [rating("LOW")]},
        "candidates": [{"safetyRatings": [rating("HIGH"), rating("MEDIUM")]}],
    }
    assert result(decode_response(json.dumps(answer)), "MEDIUM").category_scores["hate"] == 0.9


def test_a_blocked_prompt_is_flagged_for_its_worst_harm_or_as_illicit() -> None:
    assert flagged(rated(blocked=True)) == ["illicit"]
    answer = rated(("HARM_CATEGORY_HATE_SPEECH", "LOW"), blocked=True)
    assert (flagged(answer), answer.category_scores["hate"]) == (["hate"], 0.99)
