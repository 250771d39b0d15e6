"""All that is remembered between requests: each kind in a store of its own, all of one make."""

import asyncio
from collections.abc import Callable
from typing import Literal

from gateway.store.answers import Answers, CacheConfig
from gateway.store.memory import MemorySignatures
from gateway.store.pins import BOUNDS, Pins
from gateway.store.signatures import Signatures, SignaturesConfig, StateConfig

Kind = Literal["signature", "response", "answer", "pin"]


def in_memory(_: Kind, bounds: SignaturesConfig) -> Signatures:
    """As long as the process lives."""
    return MemorySignatures(bounds)


class Stores:
    """`make` makes the store of one kind; it may block."""

    def __init__(
        self,
        state: StateConfig,
        cache: CacheConfig,
        make: Callable[[Kind, SignaturesConfig], Signatures] = in_memory,
    ) -> None:
        self.signatures = make("signature", state.signatures)
        """Thought signatures, for clients that drop them."""
        self.responses = make("response", state.responses)
        """Of /v1/responses, for `previous_response_id`."""
        self._answers = make("answer", cache.bounds)
        self.answers = Answers(self._answers)
        """For who asks for the same again."""
        self._pins = make("pin", BOUNDS)
        self.pins = Pins(self._pins)
        """Where the files and caches of issued keys are."""

    @property
    def only_in_memory(self) -> bool:
        """Nothing of it outlives the process."""
        return isinstance(self.signatures, MemorySignatures)

    async def close(self) -> None:
        """Make what was put last as safe as it can be made, and let go."""
        every = (self.signatures, self.responses, self._answers, self._pins)
        await asyncio.gather(*(store.close() for store in every))
