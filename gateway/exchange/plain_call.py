"""The short way of the commonest call: whole, of a client with its own key, and answered plainly at the first attempt.

`Exchange` carries all other calls. tests/exchange/test_plain_call.py and test_plain_ways.py hold both ways equal.
"""

from gateway.exchange.accounting import CallAccounting
from gateway.exchange.context import RequestContext
from gateway.exchange.fallback import Choice
from gateway.exchange.offload import HEAVY_ANSWER
from gateway.gemini.events import Event
from gateway.gemini.plain_answer import events_of, read_answer


def is_plain(choice: Choice, context: RequestContext, accounting: CallAccounting) -> bool:
    """Return whether nothing is to be done for a call but to send it, if its first attempt succeeds."""
    return choice.is_plain and not (
        choice.call.stream
        or context.cache
        or context.client.id
        or context.trace is not None
        or accounting.ledger is not None
    )


def plain_events(
    data: bytes, choice: Choice, context: RequestContext, accounting: CallAccounting
) -> list[Event] | None:
    """Return the events of a plain answer, and count its call; None for any other answer."""
    answer = read_answer(data) if len(data) <= HEAVY_ANSWER else None
    if answer is None:
        return None
    events, counts, _ = events_of(answer)
    report, model = context.report, choice.call.model
    report.attempts += 1
    report.answer_bytes += len(data)
    report.add_tokens(counts)
    accounting.statistics.called(model)
    accounting.note_version(model, answer.model_version, report)
    return events
