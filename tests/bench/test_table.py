"""Figures, ratios and targets of `make bench`."""

import json

import pytest

from bench import table
from bench.table import BARE, NGINX, NODE, OLD, OURS, TEAM, Results, Target


def _results(**servers: list[float]) -> Results:
    results = Results()
    for server, rounds in servers.items():
        for value in rounds:
            results.add(table.UNARY, server, value)
    return results


def test_cpu_is_the_least_of_the_rounds_and_everything_else_the_median() -> None:
    results = _results(ours=[130, 110, 120])
    for value in (900, 1000, 100):
        results.add(table.UNARY_RATE, OURS, value)
    for value in (4, 1, 2):
        results.add(table.P99, OURS, value)

    figures = results.figures()

    assert figures["unary"][OURS] == 110
    assert figures["unary, throughput"][OURS] == 900
    assert figures["unary at 200/s, p99"][OURS] == 2


@pytest.mark.parametrize(
    ("value", "at_least", "verdict"),
    [
        (0.43, False, "PASS"),
        (0.4301, False, "MISS"),
        (0.43, True, "PASS"),
        (0.4299, True, "MISS"),
        (None, False, "–"),
        (None, True, "–"),
    ],
)
def test_a_target_is_met_at_its_bound_and_open_without_a_figure(
    value: float | None, at_least: bool, verdict: str
) -> None:
    assert Target("", lambda _: value, 0.43, at_least).verdict({}) == verdict


def test_ratios_and_differences_need_both_figures() -> None:
    figures = {"unary": {OURS: 100.0, NGINX: 20.0}, "unary at 200/s, p99": {OURS: 1.5, NGINX: 1.0}}

    assert table.ratio(table.UNARY, NGINX, OURS)(figures) == 0.2
    assert table.ratio(table.UNARY, OURS, OLD)(figures) is None
    assert table.ratio(table.STREAM, OURS, NGINX)(figures) is None
    assert table.over(table.P99)(figures) == 0.5
    assert table.over(table.P50)(figures) is None
    assert table.over(table.P99, OLD)(figures) is None


def test_the_capacity_of_two_instances_in_that_of_one() -> None:
    assert table.scaling({table.ONE.name: {OURS: 100.0}, table.TWO.name: {OURS: 60.0}}) == 100 / 60
    assert table.scaling({table.ONE.name: {OURS: 100.0}}) is None


def test_a_fresh_request_is_compared_with_an_idle_gateway() -> None:
    figures = {table.fresh(0).name: {OURS: 2.0}, table.fresh(1000).name: {OURS: 6.5}}

    assert table.fresh_over_idle(1000)(figures) == 4.5
    assert table.fresh_over_idle(5000)(figures) is None


def test_each_target_is_judged_by_the_figures_it_names() -> None:
    best, worst = Results(), Results()
    measures = (
        *(table.UNARY, table.STREAM, table.LIVE, table.P50, table.P99, table.FIRST_P50, table.FIRST_P99),
        *map(table.awake, (table.UNARY, table.STREAM, table.LIVE)),
        *map(table.instructions, (table.UNARY, table.STREAM)),
        *(table.unusual(name) for name in table.UNUSUAL),
        *(table.unusual(f"{name}, streamed") for name in ("Responses", "Messages")),
    )
    for measure in measures:
        for server, value in ((OURS, 10.0), (NGINX, 9.9), (OLD, 100.0), (TEAM, 11.0)):
            best.add(measure, server, value)
        for server, value in ((OURS, 90.0), (NGINX, 9.9), (OLD, 100.0), (TEAM, 200.0)):
            worst.add(measure, server, value)
    for results, good in ((best, True), (worst, False)):
        for rate in (table.UNARY_RATE, table.awake(table.UNARY_RATE)):
            results.add(rate, NODE, 1000)
            results.add(rate, OURS, 5000 if good else 3000)
        for measure, value in (
            (table.READY, 0.3),
            (table.IDLE, 45),
            (table.held(7), 20),
            (table.fresh(7), 4),
        ):
            results.add(measure, OURS, value if good else value * 3)
        results.add(table.fresh(0), OURS, 2)
        results.add(table.ONE, OURS, 100)
        results.add(table.TWO, OURS, 51 if good else 90)

    goals = table.targets([7])

    assert [goal.text for goal in goals if goal.verdict(best.figures()) != "PASS"] == []
    assert [goal.text for goal in goals if goal.verdict(worst.figures()) != "MISS"] == []


def test_the_table_has_a_column_for_each_server_and_a_line_for_each_target() -> None:
    results = _results(nginx=[20], ours=[100], bare=[70], old=[250])
    results.add(table.READY, OURS, 0.3)

    goals = table.targets([1000])
    text = table.table(results, goals)
    rows = [line.split() for line in text.splitlines()]

    assert rows[0] == ["measure", "unit", NGINX, OURS, BARE, OLD, "ours/old", "of", "nginx"]
    assert rows[1] == ["unary", "CPU", "µs", "20.0", "100.0", "70.0", "250.0", "0.400", "0.200"]
    assert rows[2] == ["READY", "after", "s", "–", "0.300", "–", "–", "–", "–"]
    assert ["unary:", "CPU", "of", "the", "old", "commit's", "PASS", "0.400", "≤", "0.43"] in rows
    assert ["unary:", "nginx's", "CPU", "of", "ours", "PASS", "0.200", "≥", "0.2"] in rows
    assert text.endswith(f"\n{len(goals) - 3} targets are not measured by this run")


def test_the_ratio_of_throughput_is_ours_by_nginx() -> None:
    results = Results()
    results.add(table.UNARY_RATE, NGINX, 20_000)
    results.add(table.UNARY_RATE, OURS, 4_000)

    assert table.table(results, ()).splitlines()[1].split()[-1] == "0.200"


def test_the_document_has_rounds_figures_and_verdicts() -> None:
    results = _results(ours=[3, 2], old=[10])

    document = json.loads(json.dumps(table.document(results, table.targets([1000]), {"commit": "abc"})))

    assert document["about"] == {"commit": "abc"}
    assert document["measures"] == [
        {
            "name": "unary",
            "unit": "CPU µs",
            "figures": {"ours": 2, "old": 10},
            "rounds": {"ours": [3, 2], "old": [10]},
        }
    ]
    assert {
        "text": "unary: CPU of the old commit's",
        "value": 0.2,
        "at_most": 0.43,
        "verdict": "PASS",
    } in document["targets"]
    assert {
        "text": "two instances: capacity of one's",
        "value": None,
        "at_least": 1.8,
        "verdict": "–",
    } in document["targets"]
