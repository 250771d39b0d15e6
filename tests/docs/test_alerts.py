"""docs/alerts.yml and docs/grafana.json, asked of Prometheus itself; skipped where its package is not installed."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from gateway.observability.prometheus import FAMILIES, PROCESS
from tests.support.gateway_process import Gateway
from tests.support.paths import ROOT
from tests.support.prometheus import prometheus, promtool
from tests.support.servers import Fake

RULES = ROOT / "docs" / "alerts.yml"
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
}
PANELS = json.loads((ROOT / "docs" / "grafana.json").read_text())["panels"]
QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
HOME = {"job": "gateway", "instance": "a:1"}


def series(name: str, **labels: str) -> str:
    pairs = ", ".join(f'{key}="{value}"' for key, value in {**HOME, **labels}.items())
    return f"{name}{{{pairs}}}"


BUILD = {series("gateway_build_info"): "1x120"}
PROJECTS = {
    series("gateway_pool_cooling_down", project="a", key="k1", model="", reason=""): "0x120",
    series("gateway_pool_cooling_down", project="b", key="k2", model="", reason=""): "0x120",
}
REFUSED_KEY = {"project": "a", "key": "k1", "reason": "leaked"}
BUDGET = {"client": "ada", "unit": "dollars", "period": "month"}
CASES: list[tuple[str, dict[str, str], dict[str, str]]] = [
    ("GatewayDown", {"up": "0x120"}, {}),
    (
        "GatewayErrors",
        {
            **BUILD,
            series("gateway_errors_total", code="upstream_incomplete", status="0"): "0+1x120",
            series("gateway_exchanges_total", model="m", status="200"): "0+10x120",
        },
        {"job": "gateway"},
    ),
    (
        "GatewayUpstreamUnreachable",
        {
            **BUILD,
            series("gateway_upstream_errors_total", model="m", cause="upstream_unreachable"): "0+1x120",
        },
        HOME,
    ),
    (
        "GatewayKeyRefused",
        {**BUILD, series("gateway_pool_refused_total", **REFUSED_KEY): "_x110 1x10"},
        {**HOME, **REFUSED_KEY},
    ),
    (
        "GatewayKeyUnusable",
        {
            **BUILD,
            series("gateway_pool_cooling_down", project="a", key="", model="", reason="spent"): "1x120",
        },
        {**HOME, "project": "a", "key": "", "model": "", "reason": "spent"},
    ),
    (
        "GatewayModelExhausted",
        {
            **BUILD,
            **PROJECTS,
            series("gateway_pool_cooling_down", project="a", key="", model="m", reason="day"): "1x120",
            series("gateway_pool_cooling_down", project="b", key="", model="m", reason="minute"): "1x120",
            series("gateway_pool_cooling_down", project="b", key="", model="n", reason="minute"): "1x120",
        },
        {**HOME, "model": "m"},
    ),
    (
        "GatewayNearLimit",
        {**BUILD, series("gateway_in_progress"): "90x120", series("gateway_in_progress_limit"): "100x120"},
        HOME,
    ),
    (
        "GatewayRefuses",
        {**BUILD, series("gateway_refused_total", reason="memory"): "_x118 7x2"},
        {**HOME, "reason": "memory"},
    ),
    ("GatewayMemory", {**BUILD, series("gateway_memory_share"): "0.9x120"}, HOME),
    ("GatewayLedgerBehind", {**BUILD, series("gateway_ledger_waiting"): "200x120"}, HOME),
    ("GatewayLedgerLost", {**BUILD, series("gateway_ledger_dropped_total"): "0x118 3x2"}, HOME),
    (
        "GatewayStateFails",
        {**BUILD, series("gateway_state_errors_total", store="pool"): "0x118 3x2"},
        {**HOME, "store": "pool"},
    ),
    ("GatewayRedisBypassed", {**BUILD, series("gateway_shared_degraded"): "1x120"}, HOME),
    ("GatewayLoopLate", {**BUILD, series("gateway_loop_lag_seconds"): "0.3x120"}, HOME),
    ("GatewayLogLost", {**BUILD, series("gateway_log_dropped_total"): "0x118 3x2"}, HOME),
    (
        "GatewayBudgetNearEnd",
        {**BUILD, series("gateway_budget_used_ratio", **BUDGET): "0x60 0.85x60"},
        {"job": "gateway", **BUDGET},
    ),
    (
        "GatewayBudgetRefuses",
        {**BUILD, series("gateway_budget_refused_total", **BUDGET): "_x110 1x10"},
        {**HOME, **BUDGET},
    ),
    (
        "GatewayCertificateEnds",
        {**BUILD, series("gateway_certificate_expiry_timestamp_seconds", host="h"): f"{13 * 86400}x120"},
        {"job": "gateway", "host": "h"},
    ),
    ("GatewayModelTableOld", {**BUILD, series("gateway_model_table_age_seconds"): "5270400x240"}, HOME),
]
HEALTHY = {
    **BUILD,
    series("gateway_budget_used_ratio", **BUDGET): "0+0.005x120",
    series("gateway_budget_refused_total", **BUDGET): "3x120",
    series("gateway_certificate_expiry_timestamp_seconds", host="h"): f"{30 * 86400}x120",
    **PROJECTS,
    series("gateway_errors_total", code="bad_gateway", status="502"): "0+1x120",
    series("gateway_errors_total", code="invalid_api_key", status="0"): "0+50x120",
    series("gateway_exchanges_total", model="m", status="200"): "0+100x120",
    series("gateway_upstream_errors_total", model="m", cause="quota_per_minute"): "0+9x120",
    series("gateway_pool_refused_total", **REFUSED_KEY): "1x120",
    series("gateway_pool_cooling_down", project="a", key="", model="m", reason="day"): "1x120",
    series("gateway_pool_cooling_down", project="b", key="", model="m", reason=""): "0x120",
    series("gateway_in_progress"): "70x120",
    series("gateway_in_progress_limit"): "100x120",
    series("gateway_refused_total", reason="memory"): "7x120",
    series("gateway_memory_share"): "0.8x120",
    series("gateway_ledger_waiting"): "0 500 0 0x117",
    series("gateway_ledger_dropped_total"): "3x120",
    series("gateway_state_errors_total", store="pool"): "3x120",
    series("gateway_shared_degraded"): "0x120",
    series("gateway_loop_lag_seconds"): "0.05x120",
    series("gateway_log_dropped_total"): "3x120",
    series("gateway_model_table_age_seconds"): "5097600x120",
}
"""A gateway at work: old failures, some errors, one of two projects without quota."""


def expected(name: str, labels: dict[str, str]) -> dict[str, Any]:
    rule = ALERTS[name]
    annotations = {
        key: re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda match: labels.get(match[1], ""), text)
        for key, text in rule["annotations"].items()
    }
    shown = {key: value for key, value in {**labels, **rule["labels"]}.items() if value}
    return {"exp_labels": shown, "exp_annotations": annotations}


def scenario(inputs: dict[str, str], at: str, alerts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in inputs.items()],
        "alert_rule_test": [{"eval_time": at, **alert} for alert in alerts],
    }


def check(folder: Path, scenarios: list[dict[str, Any]]) -> None:
    tests = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": scenarios}
    (folder / "tests.yml").write_text(yaml.safe_dump(tests))
    promtool("test", "rules", str(folder / "tests.yml"))


def test_o16_the_rules_are_valid() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", str(RULES))


@pytest.mark.parametrize(("name", "inputs", "labels"), CASES, ids=[case[0] for case in CASES])
def test_o16_an_alert_is_raised(
    tmp_path: Path, name: str, inputs: dict[str, str], labels: dict[str, str]
) -> None:
    check(tmp_path, [scenario(inputs, "119m", [{"alertname": name, "exp_alerts": [expected(name, labels)]}])])


def test_o16_a_gateway_at_work_raises_none(tmp_path: Path) -> None:
    silent = [{"alertname": name, "exp_alerts": []} for name in ALERTS]

    check(tmp_path, [scenario(HEALTHY, at, silent) for at in ("30m", "119m")])


def test_o16_each_alert_is_tried() -> None:
    assert [case[0] for case in CASES] == list(ALERTS)


def test_o16_what_is_worth_an_alert_has_one() -> None:
    text = (ROOT / "docs" / "do" / "alerts.md").read_text()
    table = text.partition("## Metrics")[2].partition("\n## ")[0]
    named = set(re.findall(r"^\| `(gateway_\w+)` \|", table, re.M))
    asked = {
        name for rule in ALERTS.values() for name in re.findall(r"\bgateway_\w+", rule["expr"])
    } - {"gateway_overloaded"}  # fmt: skip

    assert len(named) > 10
    assert named <= asked
    assert asked <= {entry.series[0] for entry in FAMILIES} | set(PROCESS)


BUDGETS = {"dollars": {"month": 0.5}}
"""Enough for each request of `traffic` but the one with the longest answer."""
TEAM = """
upstream: {{base_url: '{upstream}', retry: {{backoff: 0}}}}
listen: {{port: 0}}
admin: {{host: 127.0.0.1, port: {admin}, token: {{env: TOKEN}}}}
pool: {{projects: [{{name: blue, keys: [{{env: KEY}}]}}, {{name: green, keys: [{{env: KEY2}}]}}]}}
ledger: {{url: {folder}/ledger.db}}
state: {{file: {folder}/state.db}}
abilities: {{"gemini-2.5-flash-lite": {{penalties: true}}}}
"""
"""The last line is wrong, so that the emulator refuses a field and the gateway asks again without it."""


async def traffic(base: str, key: str, own: str = "AQ.own") -> None:
    """Send requests that end in every way: whole, streamed, failed, repaired."""
    chat = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "hello"}]}
    bodies: list[dict[str, Any]] = [
        chat,
        {**chat, "stream": True},
        {**chat, "messages": [{"role": "user", "content": "[[503]]"}]},
        {**chat, "messages": [{"role": "user", "content": "[[429]]"}], "model": "gemini-3-flash-preview"},
        {**chat, "frequency_penalty": 1.0, "model": "gemini-2.5-flash-lite"},
        {**chat, "max_tokens": 65536, "model": "gemini-2.5-pro"},
        {**chat, "messages": "no"},
    ]
    async with aiohttp.ClientSession(base) as http:
        for body in bodies:
            for value in (key, own):
                headers = {"Authorization": f"Bearer {value}"}
                async with http.post("/v1/chat/completions", json=body, headers=headers) as response:
                    await response.read()


async def test_o16_every_query_of_the_board_has_data_from_a_gateway_under_traffic(
    tmp_path: Path, fake: Fake, unused_tcp_port: int
) -> None:
    gateway = Gateway(tmp_path, TEAM.format(upstream=fake.url, folder=tmp_path, admin=unused_tcp_port))
    gateway.environ |= {"KEY": "AQ.one", "KEY2": "AQ.two", "TOKEN": "hush"}
    admin = f"127.0.0.1:{unused_tcp_port}"
    try:
        gateway.start()
        base = (await gateway.notified("READY=1")).rpartition("serving on ")[2].partition(",")[0].strip()
        headers = {"Authorization": "Bearer hush"}
        async with (
            aiohttp.ClientSession(f"http://{admin}", headers=headers) as http,
            http.post("/admin/keys", json={"name": "ada", "rules": BUDGETS}) as response,
        ):
            key = (await response.json())["key"]
        await traffic(base, key)
        async with aiohttp.ClientSession() as http, http.get(f"http://{admin}/metrics") as response:
            metrics = await response.read()
        lint = promtool("check", "metrics", stdin=metrics)
        assert lint == ""
        with prometheus(tmp_path, admin, RULES) as server:
            await asyncio.to_thread(server.wait, "gateway_build_info")
            for _ in range(3):
                await traffic(base, key)
                await asyncio.sleep(1)
            await asyncio.to_thread(server.wait, "rate(gateway_cost_dollars_total[30s]) > 0")
            empty = [
                (title, expression)
                for title, expression in QUERIES
                if not server.query(expression.replace("$instance", ".+").replace("$__rate_interval", "30s"))
            ]
            rules = server.get("/api/v1/rules")["groups"][0]["rules"]
    finally:
        gateway.close()

    assert empty == []
    assert [rule["name"] for rule in rules] == list(ALERTS)
    assert {rule["name"]: rule.get("lastError", "") for rule in rules if rule["health"] == "err"} == {}
