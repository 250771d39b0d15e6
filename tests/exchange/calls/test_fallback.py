"""Fallback plans: which model is next, and that no model is translated before it is needed."""

from gateway.exchange.calls.fallback import FallbackPlan, Translated
from gateway.gemini.call import GeminiCall
from gateway.gemini.wire import GenerateContentRequest


def plan(*usable: str) -> tuple[FallbackPlan, list[str]]:
    asked: list[str] = []

    async def translate(model: str) -> Translated | None:
        asked.append(model)
        if model not in usable:
            return None
        return Translated(GeminiCall(model, GenerateContentRequest([])), [f"note of {model}"])

    return FallbackPlan(["a", "b", "c"], translate, []), asked


async def test_models_that_cannot_be_asked_are_skipped() -> None:
    models, asked = plan("b")
    substitute = await models.next(0)

    assert substitute is not None
    assert (substitute.call.model, substitute.notes, substitute.position) == ("b", ["note of b"], 2)
    assert asked == ["a", "b"]
    assert await models.next(substitute.position) is None
    assert asked == ["a", "b", "c"]


async def test_a_plan_is_shared_without_being_used_up() -> None:
    models, _ = plan("a", "b", "c")
    first, again = await models.next(0), await models.next(0)

    assert first is not None
    assert again is not None
    assert first.call.model == again.call.model == "a"
    assert await models.next(3) is None
