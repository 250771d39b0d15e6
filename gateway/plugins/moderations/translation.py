"""Moderations by Gemini's safety ratings of the prompt (translation.md H.7).

Gemini rates four harms where OpenAI has thirteen categories: the others are always 0, and the answer says so by
leaving their input types empty.
"""

from collections.abc import Iterable

from gateway.conversation.field_policy import Policy
from gateway.errors import BadRequest
from gateway.gemini.wire import GenerateContentResponse, SafetyRating
from gateway.plugins.chat import wire as chat
from gateway.plugins.moderations.wire import ModerationRequest, ModerationResult, Probability

MODERATIONS: dict[str, Policy] = {
    "input": Policy("mapped", "a text, texts (a call each), or the parts of one thing, pictures among them"),
    "model": Policy("ignored", "the plugin's own `model` is asked"),
}
"""`POST /v1/moderations`."""

MOST_INPUTS = 32
"""As OpenAI has it; each is a call."""
_CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip
_HARMS = {
    "HARM_CATEGORY_HARASSMENT": "harassment",
    "HARM_CATEGORY_HATE_SPEECH": "hate",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT": "sexual",
    "HARM_CATEGORY_DANGEROUS_CONTENT": "illicit",
}
_SCORES = {"NEGLIGIBLE": 0.0, "LOW": 0.25, "MEDIUM": 0.5, "HIGH": 0.9}
_BLOCKED = 0.99


def questions(body: ModerationRequest, model: str) -> list[chat.ChatRequest]:
    """One chat for each result: its answer is one token, for only the ratings are wanted. Raises BadRequest."""
    given = [body.input] if isinstance(body.input, str) else body.input
    if not given:
        raise BadRequest("at least one input is needed", param="input")
    if len(given) > MOST_INPUTS:
        raise BadRequest(f"at most {MOST_INPUTS} inputs, got {len(given)}", param="input")
    if any(isinstance(one, chat.ContentPart) for one in given):
        parts = [chat.ContentPart("text", one) if isinstance(one, str) else one for one in given]
        return [_question(parts, model)]
    return [_question(one, model) for one in given if isinstance(one, str)]


def _question(content: "str | list[chat.ContentPart]", model: str) -> chat.ChatRequest:
    # BLOCK_NONE and not OFF, which would leave the ratings out
    settings = [chat.SafetySetting(harm, "BLOCK_NONE") for harm in _HARMS]
    return chat.ChatRequest(
        [chat.Message("user", content or " ")],
        model,
        max_tokens=1,
        reasoning_effort="none",
        safety_settings=settings,
    )


def result(answer: GenerateContentResponse, flag: Probability) -> ModerationResult:
    """What Gemini rated; a harm of `flag` or more is flagged, and so is a prompt that it refused to read."""
    feedback = answer.prompt_feedback
    ratings = list(feedback.safety_ratings or ()) if feedback else []
    ratings += (rating for candidate in answer.candidates or () for rating in candidate.safety_ratings or ())
    scores = dict.fromkeys(_CATEGORIES, 0.0) | _rated(ratings)
    if feedback is not None and feedback.block_reason:
        worst = max(_HARMS.values(), key=scores.__getitem__)
        worst = worst if scores[worst] else "illicit"  # Gemini does not say what it was
        scores[worst] = _BLOCKED
    flags = {category: score >= _SCORES[flag] for category, score in scores.items()}
    types = {category: ["text"] if category in _HARMS.values() else [] for category in _CATEGORIES}
    return ModerationResult(any(flags.values()), flags, scores, types)


def _rated(ratings: Iterable[SafetyRating]) -> dict[str, float]:
    """The worst that was said of each harm."""
    found: dict[str, float] = {}
    for rating in ratings:
        category = _HARMS.get(str(rating.category))
        if category is not None:
            score = _SCORES.get(str(rating.probability), 0.0)
            found[category] = max(score, found.get(category, 0.0))
    return found
