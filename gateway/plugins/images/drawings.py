"""The pictures of one request: asked for side by side, each on its own, looked at, and converted."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from msgspec import Struct

from gateway.errors import GatewayError, forget_frames
from gateway.exchange.calls.fallback import Choice
from gateway.exchange.context import RequestContext
from gateway.exchange.exchange import Exchange
from gateway.exchange.ids import unique
from gateway.exchange.offload import HEAVY_ANSWER, offload
from gateway.exchange.side_by_side import end_all
from gateway.gemini.base64_text import encoded
from gateway.gemini.events import Event
from gateway.gemini.turn_reader import TurnReader
from gateway.plugins.images import pillow
from gateway.plugins.images.pictures import picture
from gateway.plugins.images.response import Drawing, drawing, look_at
from gateway.policy.load.memory import MemoryHold

_AT_ONCE = 4
"""Calls of one request that run at the same time."""


class Finish(Struct, frozen=True):
    """The form in which a client wants pictures."""

    format: str | None = None
    """`png`, `jpeg` or `webp`; None for the one in which they come."""
    compression: int | None = None
    """Quality of JPEG and WebP in percent."""


class Drawings:
    """The pictures of one request."""

    def __init__(
        self, exchange: Exchange, choices: Sequence[Choice], finish: Finish, context: RequestContext
    ) -> None:
        self._exchange = exchange
        self._choices = choices
        self._finish = finish
        self._context = context
        self._places = asyncio.Semaphore(_AT_ONCE)
        self.notes: list[str] = []
        """The client's fields that were not honoured in the pictures so far."""
        self.model = choices[0].call.model
        """The model that answers."""

    async def each(self) -> AsyncGenerator[Drawing, None]:
        """Yield the pictures as they are finished. Raises the first call's error if all calls fail."""
        await self._exchange.admit(self._choices, self._context)
        tasks = [asyncio.create_task(self._one(choice)) for choice in self._choices]
        errors: dict[int, GatewayError] = {}
        try:
            for finished in asyncio.as_completed(tasks):
                number, result = await finished
                if isinstance(result, Drawing):
                    yield result
                else:
                    errors[number] = result
            if len(errors) == len(tasks):
                raise errors[0]
            if errors:
                self._note("n")
        finally:
            await end_all(tasks)

    async def _one(self, choice: Choice) -> tuple[int, Drawing | GatewayError]:
        """Return the number of a call, and its picture or its error."""
        async with self._places:
            try:
                events = await self._exchange.complete_choice(choice, self._context, reader)
                result, notes = await finished_drawing(events, self._finish, self._context.memory)
            except GatewayError as error:
                forget_frames(error)
                return choice.number, error
            result.number = choice.number
            self.model = result.model or self.model
            for field in notes:
                self._note(field)
            return choice.number, result

    def _note(self, field: str) -> None:
        if field not in self.notes:
            self.notes.append(field)


async def finished_drawing(
    events: Sequence[Event], finish: Finish, memory: MemoryHold
) -> tuple[Drawing, list[str]]:
    """Return the picture of an answer in the client's form, and the fields that were not honoured in it.

    Raises GatewayError for an answer without a picture.
    """
    result = drawing(events)
    data = await offload(len(result.data) > HEAVY_ANSWER, look_at, result)
    notes = await _convert(result, data, finish, memory)
    return result, [*notes, "n"] if result.others else notes


async def _convert(result: Drawing, data: bytes, finish: Finish, memory: MemoryHold) -> list[str]:
    """Put a picture into the client's format, where Pillow is installed. Return the fields not honoured."""
    form, quality, notes = finish.format or result.facts.format, finish.compression, list[str]()
    if quality is not None and form not in ("jpeg", "webp"):
        notes.append("output_compression")
        quality = None
    if form == result.facts.format and quality in (None, 100):
        return notes
    size = pillow.BYTES_PER_PIXEL * result.facts.pixels
    if pillow.is_installed():
        memory.take(size)
        try:
            changed = await asyncio.to_thread(pillow.convert, data, form, quality)
        except pillow.UnreadableError:
            pass
        else:
            result.data = await asyncio.to_thread(encoded, changed)
            result.facts = picture(changed) or result.facts
            return notes
        finally:
            memory.give(size)
    if form != result.facts.format:
        notes.append("output_format")
    if quality is not None:
        notes.append("output_compression")
    return notes


def reader(choice: int) -> TurnReader:
    """Return a reader of the answer to a call."""
    return TurnReader(_call_id, base=choice)


def _call_id() -> str:
    return unique("call_")
