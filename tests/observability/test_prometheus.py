"""What Prometheus reads, and the dashboard that asks for it."""

import json
import re
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from gateway import __version__
from gateway.observability import process
from gateway.observability.loop_lag import LoopLag
from gateway.observability.prometheus import FAMILIES, PROCESS
from gateway.observability.statistics import _GAPS, Statistics
from gateway.plugin import SERVICES
from gateway.policy.clients.budgets import Budget, BudgetUse
from tests.support.paths import ROOT
from tests.support.servers import RawUpstream, Serve, chunked, whole

DASHBOARD = json.loads((ROOT / "docs" / "grafana.json").read_text())
ASKED = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "go"}]}


def answer(text: str, reason: str | None = None) -> bytes:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": reason}
    return json.dumps({"candidates": [candidate], "modelVersion": "m"}).encode()


def event(text: str, reason: str | None = None) -> bytes:
    return b"data: " + answer(text, reason) + b"\r\n\r\n"


class Paced:
    """An upstream whose reads arrive at times that are told, call by call; also the clock that shows them."""

    def __init__(self, *calls: list[tuple[float, bytes]]) -> None:
        self.now = 1.0
        self._calls = list(calls)

    async def open(self, *_: object) -> Self:
        self._reads = self._calls.pop(0)
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    is_over = False

    async def push_to(self, take: Any) -> None:
        """Push nothing, as a transport without a way to do so."""

    async def read(self) -> bytes:
        if not self._reads:
            return b""
        self.now, data = self._reads.pop(0)
        return data


async def ask(http: aiohttp.ClientSession, base: str, **fields: Any) -> int:
    async with http.post(f"{base}/v1/chat/completions", json={**ASKED, **fields}) as response:
        await response.read()
        return response.status


async def scrape(http: aiohttp.ClientSession, base: str) -> dict[str, Metric]:
    async with http.get(f"{base}/metrics") as response:
        text = await response.text()
    return {family.name: family for family in text_string_to_metric_families(text)}


def samples(family: Metric) -> dict[tuple[str, ...], float]:
    """By the end of its name and its labels' values, sorted by label."""
    return {
        (
            entry.name.removeprefix(family.name),
            *(value for _, value in sorted(entry.labels.items())),
        ): entry.value
        for entry in family.samples
    }


@pytest.fixture
async def base(serve: Serve, raw_upstream: RawUpstream) -> str:
    return await serve("plugins: {chat: {}, metrics: {}}", raw_upstream.url)


@pytest.fixture
def totals(base: str, serve: Serve) -> Statistics:
    return serve.app[SERVICES].statistics


async def test_the_exposition_holds_the_families_of_the_table(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [[*chunked(event("hi", "STOP")), b"0\r\n\r\n"]]
    await ask(http, base, stream=True)
    result = await scrape(http, base)

    assert {name: entry.type for name, entry in result.items() if name.startswith("gateway_")} == {
        entry.name: entry.kind for entry in FAMILIES
    }
    for entry in FAMILIES:
        assert {sample.name for sample in result[entry.name].samples} <= set(entry.series)
        assert all(set(sample.labels) - {"le"} == set(entry.labels) for sample in result[entry.name].samples)
    assert {sample.name for entry in result.values() for sample in entry.samples} >= set(PROCESS)


async def test_budgets_are_read_at_a_scrape_and_the_number_of_names_is_bounded(
    http: aiohttp.ClientSession, base: str, serve: Serve
) -> None:
    day, month = Budget("tokens", "day", 10), Budget("money", "month", 4_000_000)

    async def read() -> list[BudgetUse]:
        others = [BudgetUse(f"key {i}", day, i % 10) for i in range(105)]
        return [
            BudgetUse("ada", month, 1_000_000),
            BudgetUse("ada", month, 3_000_000),
            *others,
            BudgetUse("none", Budget("tokens", "total", 0), 0),
        ]

    serve.app[SERVICES].metrics.budgets.read = read
    serve.app[SERVICES].statistics.refused("id1", ("money", "month", 4_000_000), 0.0)
    result = await scrape(http, base)
    shares = {labels[1:]: n for labels, n in samples(result["gateway_budget_used_ratio"]).items()}

    assert shares["ada", "month", "dollars"] == 0.75
    assert shares["key 7", "day", "tokens"] == 0.7
    assert shares["other", "day", "tokens"] == 0.9
    assert shares["other", "total", "tokens"] == 1.0
    assert len({name for name, *_ in shares}) == 101
    assert samples(result["gateway_budget_refused"]) == {("_total", "id1", "month", "dollars"): 1.0}


async def test_a_histogram_has_prometheus_format(
    http: aiohttp.ClientSession, base: str, totals: Statistics, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [whole(answer("hi", "STOP"))]
    await ask(http, base)
    gaps = totals.models["m"].chunk_gap
    for value in (0.25, 3.0, 1000.0):
        gaps.observe(value)
    result = samples((await scrape(http, base))["gateway_chunk_gap_seconds"])

    buckets = {bound: result["_bucket", str(bound), "m"] for bound in _GAPS}
    assert buckets == {bound: (bound >= 0.25) + (bound >= 3) for bound in _GAPS}
    assert (result["_bucket", "+Inf", "m"], result["_count", "m"], result["_sum", "m"]) == (3, 3, 1003.25)


async def test_numbers_of_the_process(
    http: aiohttp.ClientSession, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.observability.json_log._MAX_QUEUED", 0)
    monkeypatch.setattr(LoopLag, "largest", 0.25)
    base = await serve("plugins: {hello: {}, metrics: {}}\nlimits: {streams: 77}")
    async with http.get(base):
        result = await scrape(http, base)

    assert samples(result["gateway_log_dropped"]) == {("_total",): 1}
    assert samples(result["gateway_loop_lag_seconds"]) == {("",): 0.25}
    assert samples(result["gateway_build_info"]) == {("", __version__): 1}
    assert samples(result["gateway_in_progress_limit"]) == {("",): 77}
    assert samples(result["process_resident_memory_bytes"])["",] > 2**20


async def test_failures_of_state_are_counted_by_store(
    http: aiohttp.ClientSession, serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    base = await serve(f"plugins: {{metrics: {{}}}}\nstate: {{file: {tmp_path}/file/state.db}}")
    await serve.app[SERVICES].exchange.stores.responses.get([b"k" * 16], 0.0)
    result = await scrape(http, base)

    opened = {("_total", name): 1 for name in ("signatures", "answers", "file_owners")}
    read = {("_total", name): 2 for name in ("responses", "pool")}  # the pool is read at the start
    assert samples(result["gateway_state_errors"]) == opened | read


EMPTY = event("", "STOP")
"""An answer that is asked for again."""


@pytest.mark.parametrize(
    ("calls", "count", "longest"),
    [
        ([[(10.0, event("a")), (10.5, event("b")), (13.0, event("c")), (13.25, event("d", "STOP"))]], 1, 2.5),
        ([[(10.0, event("a")), (10.25, event("b", "STOP"))]], 1, 0.25),
        ([[(10.0, event("a", "STOP"))]], 0, 0.0),
        ([[(10.0, EMPTY)], [(50.0, event("a")), (50.5, event("b", "STOP"))]], 1, 0.5),
    ],
    ids=["of several", "of one", "of none", "not between calls"],
)
async def test_the_longest_gap_of_a_stream_is_observed_once(
    http: aiohttp.ClientSession,
    base: str,
    serve: Serve,
    totals: Statistics,
    monkeypatch: pytest.MonkeyPatch,
    calls: list[list[tuple[float, bytes]]],
    count: int,
    longest: float,
) -> None:
    upstream = Paced(*calls)
    monkeypatch.setattr(serve.app[SERVICES].exchange, "_upstream", upstream)
    monkeypatch.setattr("gateway.exchange.replies.stream_relay.monotonic", lambda: upstream.now)

    assert await ask(http, base, stream=True) == 200
    gaps = totals.models["m"].chunk_gap
    assert (gaps.cumulative()[-1], gaps.sum) == (count, longest)


async def test_failed_calls_are_counted_also_when_another_attempt_makes_them_good(
    http: aiohttp.ClientSession, base: str, totals: Statistics, raw_upstream: RawUpstream
) -> None:
    overloaded = json.dumps({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}).encode()
    raw_upstream.scripts = [
        whole(overloaded, b"503 Unavailable"),
        chunked(event("cut")),
        whole(answer("hi", "STOP")),
    ]

    assert await ask(http, base) == 200
    assert totals.failures == {
        ("gemini-2.5-flash", "overloaded"): 1,
        ("gemini-2.5-flash", "upstream_incomplete"): 1,
    }
    assert totals.calls == {"gemini-2.5-flash": 3}
    assert totals.errors == {}


async def test_an_upstream_out_of_reach_is_a_cause_of_its_own(
    http: aiohttp.ClientSession, serve: Serve
) -> None:
    base = await serve("", "http://127.0.0.1:9")
    assert await ask(http, base) == 502

    totals = serve.app[SERVICES].statistics
    assert list(totals.failures) == [("gemini-2.5-flash", "upstream_unreachable")]
    assert totals.failures.total() == sum(totals.calls.values())
    assert totals.errors == {(0, "upstream_unreachable"): 1}


async def test_a_dummy_for_a_lost_signature_is_counted(
    http: aiohttp.ClientSession, base: str, raw_upstream: RawUpstream
) -> None:
    raw_upstream.scripts = [whole(answer("hi", "STOP"))]
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]
    await ask(http, base, model="gemini-3-flash-preview", messages=[*ASKED["messages"], *said])

    assert samples((await scrape(http, base))["gateway_signature_dummies"]) == {("_total",): 1}


@pytest.mark.parametrize(
    ("cgroup", "variable", "name"),
    [
        ("0::/system.slice/system-gateway.slice/gateway@green.service\n", "", "green"),
        ("0::/system.slice/system-gateway.slice/gateway@green.service\n", "mine", "mine"),
        ("0::/user.slice/user-0.slice\n", "", ""),
        (None, "mine", "mine"),
        (None, "", ""),
    ],
)
def test_o22_an_instance_has_the_name_of_its_unit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cgroup: str | None, variable: str, name: str
) -> None:
    if cgroup is not None:
        (tmp_path / "cgroup").write_text(cgroup)
    monkeypatch.setattr(process, "_OWN", tmp_path)
    monkeypatch.setenv("GATEWAY_INSTANCE", variable)
    process.instance.cache_clear()
    try:
        assert process.instance() == name
    finally:
        process.instance.cache_clear()


PANELS = DASHBOARD["panels"]
SERIES = {
    name for entry in FAMILIES for name in (entry.series if entry.kind != "histogram" else entry.series[1:])
}


@pytest.mark.parametrize("panel", PANELS, ids=[entry["title"] for entry in PANELS])
def test_a_panel_queries_existing_metrics_and_has_a_unit(panel: dict[str, Any]) -> None:
    asked = [
        name for entry in panel["targets"] for name in re.findall(r"\b(?:gateway|process)_\w+", entry["expr"])
    ]

    assert panel["title"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert asked
    assert set(asked) <= SERIES | set(PROCESS)


def test_the_dashboard_may_be_imported_anywhere() -> None:
    (source, *_) = DASHBOARD["templating"]["list"]

    assert (source["type"], source["name"]) == ("datasource", "datasource")
    assert {entry["datasource"]["uid"] for entry in PANELS} == {"${datasource}"}
    assert len({entry["id"] for entry in PANELS}) == len(PANELS)
