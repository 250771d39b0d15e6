"""One text of an answer on its way through the guard: first the rules, then the webhook."""

from collections.abc import Awaitable, Callable

from gateway.plugins.guard.webhook import Verdict
from gateway.plugins.guard.window import Passed, Window

Ask = Callable[[str, bool], Awaitable[Verdict]]
"""Asks the webhook about a piece of text; the second argument says whether it is the last."""


class AnswerText:
    """A text or thought summary of one candidate."""

    def __init__(self, window: Window, ask: Ask | None, size: int) -> None:
        self._window = window
        self._ask = ask
        self._size = size
        """Characters for one question."""
        self._collected = ""
        self._is_rewritten = False
        self.ended: str | None = None
        """The sentence for the client of an answer that ends here; empty for a general one."""

    @property
    def is_rewritten(self) -> bool:
        """Whether the client's text differs from the model's."""
        return self._is_rewritten or self._window.is_rewritten

    async def feed(self, piece: str) -> str:
        """Return the text that may be sent once a piece has arrived."""
        return await self._through(self._window.feed(piece), last=False)

    async def close(self) -> str:
        """Return the rest."""
        return await self._through(self._window.close(), last=True)

    async def _through(self, passed: Passed, *, last: bool) -> str:
        if passed.ended_by is not None:
            self.ended, last = passed.ended_by.message or "", True
        if self._ask is None:
            return passed.text
        text = self._collected + passed.text
        if not text or (len(text) < self._size and not last):
            self._collected = text
            return ""
        self._collected = ""
        if not last:  # the end is asked about once more, with what follows it
            self._collected = text[len(text) - self._size // 4 :] if self._size >= 4 else ""
        verdict = await self._ask(text, last)
        if verdict.action == "refuse":
            self.ended = verdict.message or ""
            return ""
        if verdict.action == "rewrite":
            self._is_rewritten = True
            text = (verdict.texts or [""])[0]
            self._collected = text[len(text) - len(self._collected) :] if self._collected else ""
        return text[: len(text) - len(self._collected)]
