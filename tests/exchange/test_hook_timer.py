"""The time of hooks: counted for each call, and bounded."""

import asyncio

import aiohttp
import pytest

from gateway.exchange.hook_timer import HookTimer
from gateway.observability.statistics import Statistics
from gateway.plugin import SERVICES
from tests.support.hooks import SERVED, ask
from tests.support.servers import Fake, Serve
from tests.support.surfaces import CHAT, CHAT_STREAM, NATIVE


def counts(statistics: Statistics) -> dict[tuple[str, str], int]:
    return {labels: times.cumulative()[-1] for labels, times in statistics.hook_durations.items()}


async def test_each_call_is_counted_however_it_ends() -> None:
    statistics = Statistics()
    async with HookTimer("p", "on_call", 60, statistics):
        pass
    with pytest.raises(KeyError):
        async with HookTimer("p", "on_call", 60, statistics):
            raise KeyError
    late = HookTimer("q", "on_event", 0.01, statistics)
    with pytest.raises(TimeoutError):
        async with late:
            await asyncio.Event().wait()

    assert late.expired()
    assert counts(statistics) == {("p", "on_call"): 2, ("q", "on_event"): 1}
    assert statistics.hook_durations["q", "on_event"].sum >= 0.01


async def test_who_leaves_is_counted_and_has_left() -> None:
    statistics, began = Statistics(), asyncio.Event()

    async def hook() -> None:
        async with HookTimer("p", "on_call", 60, statistics):
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hook())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counts(statistics) == {("p", "on_call"): 1}


async def test_the_metric_has_the_hooks_of_each_plugin(
    http: aiohttp.ClientSession, serve: Serve, fake: Fake
) -> None:
    rules = "rules: [{name: r, pattern: tulip}]"
    prompts = "prompts: [{text: Be brief.}]"
    base = await serve(
        f"plugins: {{guard: {{{rules}}}, system_prompt: {{{prompts}}}, {SERVED}, metrics: {{}}}}", fake.url
    )
    for surface in (CHAT, CHAT_STREAM, NATIVE):
        assert (await ask(http, base, surface)).status == 200

    times = counts(serve.app[SERVICES].statistics)
    assert times.keys() == {(p, h) for p in ("guard", "system_prompt") for h in ("on_call", "on_request")} | {
        ("guard", "on_event")
    }
    assert times["guard", "on_call"] == times["system_prompt", "on_call"] == 3
    assert times["guard", "on_event"] > 9
    async with http.get(base + "/metrics") as response:
        text = await response.text()
    assert 'gateway_hook_duration_seconds_count{hook="on_call",plugin="guard"} 3.0' in text


async def test_without_hooks_nothing_is_counted(
    http: aiohttp.ClientSession, serve: Serve, fake: Fake
) -> None:
    base = await serve(f"plugins: {{{SERVED}}}", fake.url)
    assert (await ask(http, base, CHAT)).status == 200

    assert counts(serve.app[SERVICES].statistics) == {}
