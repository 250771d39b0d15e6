"""Turns of a Live session: each is one call in the ledger, reserved before it and settled by Google's counts."""

import asyncio
from collections.abc import Callable

from msgspec import Raw

from gateway.exchange.calls.accounting import Target
from gateway.exchange.calls.attempt import Attempt
from gateway.exchange.calls.cost import CostEstimate
from gateway.exchange.context import RequestContext
from gateway.exchange.exchange import Exchange
from gateway.gemini.grounding import tool_uses
from gateway.gemini.usage import TokenCounts, is_whole, token_counts
from gateway.gemini.wire import UsageMetadata
from gateway.plugins.native.live.messages import Seen

_HEARD = 20_000
"""Tokens of sound that are reserved for the input of a turn: the whole session is input again."""
_SPOKEN = 60 * 25
"""Tokens that are reserved for an answer: a minute of sound (https://ai.google.dev/gemini-api/docs/live)."""
TURN = CostEstimate(1, _SPOKEN, _HEARD, _HEARD)
_BYTES_PER_TOKEN = 4
_SOUND_PER_TOKEN = 1_707
"""Bytes of base64 for a token of sound: 25 tokens are a second, which has 32,000 bytes at 16 kHz."""
_REALTIME = b"ealtime"


class Turns:
    """The turns of one session. A turn begins with a message of either side, and ends when Google says so."""

    def __init__(
        self,
        exchange: Exchange,
        context: RequestContext,
        target: Target,
        renewed: Callable[[], RequestContext] | None = None,
    ) -> None:
        """`renewed` returns the context with the rules that the client has now: a session may last for an hour."""
        self._exchange = exchange
        self._renewed = renewed
        self._context = context
        self._target = target
        self._opening = asyncio.Lock()
        self._turn: Attempt | None = None
        self._forget()

    def _forget(self) -> None:
        self._usage: UsageMetadata | None = None
        self._grounding: list[bytes] = []
        self._searches = self._maps = 0
        self._is_answered = False
        self._is_over = False
        """Google has ended the turn; its counts may come later."""
        self._text = self._sound = 0
        """Bytes that the client has sent."""

    @property
    def is_open(self) -> bool:
        """Whether a turn is reserved."""
        return self._turn is not None

    def adopt(self, first: Attempt) -> None:
        """Take the attempt that has connected the session as its first turn."""
        self._turn = first

    async def begin(self) -> None:
        """Reserve a turn. Raises GatewayError: BudgetExceeded, RateLimited, Forbidden, LedgerUnavailable."""
        async with self._opening:
            if self._turn is None:
                if self._renewed is not None:
                    self._context = self._renewed()
                turn = self._exchange.turn(self._context, self._target)
                await turn.__aenter__()
                self._forget()
                self._turn = turn

    def sent(self, data: bytes) -> None:
        """Note a message of the client's."""
        if _REALTIME in data[:24]:
            self._sound += len(data)
        else:
            self._text += len(data)

    async def read(self, message: Seen) -> None:
        """Note a message of Google's, and settle the turn that it ends. Raises GatewayError as `begin` does."""
        usage = message.usage
        if not message.is_content and usage is None:
            return
        if self._is_over and usage is None:
            await self._settle()
        if self._turn is None:
            await self.begin()
        self._is_answered = True
        if usage is not None:
            self._usage, self._searches, self._maps = usage, message.searches, message.maps
        if message.grounding:
            self._grounding.append(message.grounding)
        self._is_over = self._is_over or message.is_over
        if self._is_over and self._usage is not None:
            await self._settle()

    async def end(self, error: BaseException | None) -> None:
        """Settle an open turn when the session ends. Without an answer, the client's input counts as it was sent."""
        turn = self._turn
        if turn is None:
            return
        if self._usage is None and not self._is_answered:
            turn.count(
                TokenCounts(prompt=self._text // _BYTES_PER_TOKEN + self._sound // _SOUND_PER_TOKEN),
                whole=True,
            )
        await self._settle(error)

    async def _settle(self, error: BaseException | None = None) -> None:
        async with self._opening:  # the next turn is reserved when this one is paid
            turn, self._turn = self._turn, None
            if turn is not None:
                await self._pay(turn, error)

    async def _pay(self, turn: Attempt, error: BaseException | None) -> None:
        if self._usage is not None:
            searches, maps = tool_uses(map(Raw, self._grounding))
            counts = token_counts(self._usage, self._searches + searches, self._maps + maps)
            turn.count(counts, whole=is_whole(self._usage) and (error is None or self._is_over))
        turn.is_answered = turn.is_answered or self._is_answered
        self._forget()
        await turn.__aexit__(type(error) if error is not None else None, error, None)
