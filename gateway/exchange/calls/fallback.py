"""The models to ask when the requested one fails (`models.fallbacks`)."""

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from gateway.exchange.calls.cost import CostEstimate
from gateway.gemini.call import GeminiCall


class Translated(Struct, frozen=True):
    """The same request for another model."""

    call: GeminiCall
    notes: Sequence[str]
    """Fields that this model does not honour."""


class Substitute(Struct, frozen=True):
    """The model to ask next."""

    call: GeminiCall
    notes: Sequence[str]
    position: int
    """Position in the plan at which the search for another model continues."""


class FallbackPlan(Struct, frozen=True):
    """A request's other models, in order. They are translated only when they are needed."""

    models: Sequence[str]
    translate: Callable[[str], Awaitable[Translated | None]]
    """Returns None for a model that cannot be asked this, or whose answer would have to be read in another way."""
    notes: Sequence[str]
    """Fields that the client is told of already."""

    async def next(self, position: int) -> Substitute | None:
        """Return the first model from a position on that can be asked; None when there is none."""
        for i in range(position, len(self.models)):
            translated = await self.translate(self.models[i])
            if translated is not None:
                return Substitute(translated.call, translated.notes, i + 1)
        return None


class Choice(Struct, frozen=True):
    """One of a request's calls (OpenAI's `n`; one for each prompt of a legacy completion)."""

    call: GeminiCall
    number: int = 0
    """Added to the seed of a substitute's call."""
    fallbacks: FallbackPlan | None = None
    cacheable: bool = True
    """False where another choice asks the same: the choices of one answer must differ."""
    once: bool = False
    """The call is billed whatever becomes of its answer, as media are: it is never hedged, and tried again once at
    most, where Google has refused it unbilled.

    An answer without content is not tried again: its surface decides what that means.
    """
    is_plain: bool = False
    """Of a plain conversation, whose texts no rule of the request cuts."""
    cost: CostEstimate | None = None
    """The most that the call costs, where its surface knows better than the length of the request tells."""
