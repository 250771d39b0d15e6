"""The hooks as a plugin has them before it overrides any."""

from gateway.exchange.context import dry_context
from gateway.exchange.finished_answer import FinishedAnswer
from gateway.exchange.hook_methods import HookMethods
from gateway.exchange.hooks import HOOKS, Answering
from gateway.exchange.report import ExchangeReport
from gateway.gemini.events import TextDelta
from gateway.policy.clients.access import Client


async def test_they_change_nothing() -> None:
    hooks, context, event = HookMethods(), dry_context(Client("", "")), TextDelta(0, "a")

    assert await hooks.on_request({}, context) is None
    assert await hooks.on_call("m", {}, context) is None
    assert await hooks.on_event(event, Answering(context, "m")) is event
    await hooks.on_answer(FinishedAnswer.of(ExchangeReport(), {}, 200, 0), context)
    assert {name for name in vars(HookMethods) if name.startswith("on_")} == set(HOOKS)
