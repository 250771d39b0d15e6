"""The response cache, for one call's answer."""

from time import time

from gateway.exchange.calls.call_state import CallState
from gateway.gemini.turn_reader import TurnReader
from gateway.store.response_cache import ResponseCache


async def kept_answer(answers: ResponseCache, state: CallState) -> list[bytes] | None:
    """Return the messages of a kept answer. Without one, the answer that comes is to be kept."""
    messages = await answers.get(state.wanted_key, time())
    if messages is None:
        state.cache_key = state.wanted_key
    else:
        state.report.cached = "hit"
    return messages


async def keep_answer(
    answers: ResponseCache, state: CallState, messages: list[bytes], reader: TurnReader
) -> None:
    """Keep a complete answer of the requested model. An empty answer is not kept."""
    if reader.is_complete and not (state.is_fallback or state.accept_empty):
        await answers.put(state.cache_key, messages, state.context.cache, time())
