"""Moderations, the answer: Gemini's safety ratings as OpenAI's categories.

Gemini rates four harms where OpenAI has thirteen categories. The others are always 0, and their applied input types
are empty.
"""

from collections.abc import Iterable

from gateway.gemini.wire import GenerateContentResponse, SafetyRating
from gateway.plugins.moderations.wire import HARMS, ModerationResult, Probability

_CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip
_SCORES = {"NEGLIGIBLE": 0.0, "LOW": 0.25, "MEDIUM": 0.5, "HIGH": 0.9}
_BLOCKED = 0.99


def result(answer: GenerateContentResponse, flag: Probability) -> ModerationResult:
    """Return Gemini's ratings. A harm of `flag` or more is flagged, and so is a prompt that Gemini blocked."""
    feedback = answer.prompt_feedback
    ratings = list(feedback.safety_ratings or ()) if feedback else []
    ratings += (rating for candidate in answer.candidates or () for rating in candidate.safety_ratings or ())
    scores = dict.fromkeys(_CATEGORIES, 0.0) | _rated(ratings)
    if feedback is not None and feedback.block_reason:
        worst = max(HARMS.values(), key=scores.__getitem__)
        worst = worst if scores[worst] else "illicit"  # Gemini blocked it without a rating
        scores[worst] = _BLOCKED
    flags = {category: score >= _SCORES[flag] for category, score in scores.items()}
    types = {category: ["text"] if category in HARMS.values() else [] for category in _CATEGORIES}
    return ModerationResult(any(flags.values()), flags, scores, types)


def _rated(ratings: Iterable[SafetyRating]) -> dict[str, float]:
    """Return the highest score of each harm."""
    scores: dict[str, float] = {}
    for rating in ratings:
        category = HARMS.get(str(rating.category))
        if category is not None:
            score = _SCORES.get(str(rating.probability), 0.0)
            scores[category] = max(score, scores.get(category, 0.0))
    return scores
