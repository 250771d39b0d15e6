"""Figures of a run: the best of the rounds, their ratios, the targets, and the table and JSON of all."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

OURS, NGINX, BARE, TEAM, OLD, NODE = "ours", "nginx", "bare", "team", "old", "node"
"""Names of servers. `node` is that of a race, as the ancestor's."""
Figures = Mapping[str, Mapping[str, float]]
"""Figure by measure and server."""


@dataclass(frozen=True)
class Measure:
    """What is measured, and how the figure of several rounds is chosen."""

    name: str
    unit: str
    choose: Callable[[Sequence[float]], float] = statistics.median
    digits: int = 1
    is_cost: bool = True
    """Less is better, and the ratio to nginx is nginx's by ours; otherwise ours by nginx's."""


def cpu(name: str, unit: str = "CPU µs") -> Measure:
    """Return a measure of processor time; other work on the machine only adds to it, so that the least is nearest."""
    return Measure(name, unit, min)


def per_second(name: str) -> Measure:
    """Return a measure of requests per second."""
    return Measure(name, "per second", digits=0, is_cost=False)


def milliseconds(name: str) -> Measure:
    """Return a measure of latency."""
    return Measure(name, "ms", digits=2)


UNARY, STREAM, LIVE = cpu("unary"), cpu("stream of 100 events"), cpu("live event")
UNARY_RATE, STREAM_RATE = per_second("unary, throughput"), per_second("stream of 100 events, throughput")
P50, P99 = milliseconds("unary at 200/s, p50"), milliseconds("unary at 200/s, p99")
FIRST_P50, FIRST_P99 = milliseconds("first event at 50/s, p50"), milliseconds("first event at 50/s, p99")
READY = Measure("READY after", "s", digits=3)
IDLE = Measure("memory, idle", "MB")
ONE, TWO = cpu("one instance"), cpu("two instances, each on a core", "CPU µs")
BUSIER = Measure("two instances, requests of the busier", "%")


def as_it_is(measure: Measure) -> Measure:
    """Return the measure on the machine as it is."""
    return measure


def awake(measure: Measure) -> Measure:
    """Return the measure while idle cores poll (`bench.idle`)."""
    return replace(measure, name=f"{measure.name}, peers awake")


def instructions(measure: Measure) -> Measure:
    """Return the measure of a request's instructions in a process, without the kernel's (`bench.instructions`)."""
    return Measure(f"{measure.name}, instructions", "thousand", min)


UNUSUAL = ("tools", "schema", "image", "history", "Responses", "Messages")


def unusual(name: str) -> Measure:
    """Return the measure of a request that is not plain."""
    return cpu(f"unusual: {name}")


def held(count: int) -> Measure:
    """Return the measure of the memory of live streams."""
    return Measure(f"memory of each of {count:,} live streams", "KB")


def fresh(count: int) -> Measure:
    """Return the measure of a fresh request's latency beside live streams."""
    return milliseconds(f"fresh request beside {count:,} streams, p99")


class Results:
    """Figures of all rounds."""

    def __init__(self) -> None:
        self._measures: dict[str, Measure] = {}
        self.rounds: dict[str, dict[str, list[float]]] = {}

    def add(self, measure: Measure, server: str, value: float) -> None:
        """Add the figure of one round."""
        self._measures[measure.name] = measure
        self.rounds.setdefault(measure.name, {}).setdefault(server, []).append(value)

    @property
    def measures(self) -> Sequence[Measure]:
        """The measures in the order of their first figures."""
        return tuple(self._measures.values())

    def figures(self) -> Figures:
        """Return the chosen figure of each measure and server."""
        return {
            name: {server: self._measures[name].choose(values) for server, values in servers.items()}
            for name, servers in self.rounds.items()
        }


@dataclass(frozen=True)
class Target:
    """A bound of a figure that is made of others; None where the run has not measured them."""

    text: str
    value: Callable[[Figures], float | None]
    bound: float
    at_least: bool = False

    def verdict(self, figures: Figures) -> str:
        """Return PASS, MISS or a dash for what was not measured."""
        if (value := self.value(figures)) is None:
            return "–"
        return "PASS" if (value >= self.bound if self.at_least else value <= self.bound) else "MISS"


def ratio(measure: Measure, above: str, below: str) -> Callable[[Figures], float | None]:
    """Return the ratio of two servers' figures."""

    def value(figures: Figures) -> float | None:
        servers = figures.get(measure.name, {})
        return servers[above] / servers[below] if above in servers and below in servers else None

    return value


def over(measure: Measure, base: str = NGINX) -> Callable[[Figures], float | None]:
    """Return how much our figure is above another server's."""

    def value(figures: Figures) -> float | None:
        servers = figures.get(measure.name, {})
        return servers[OURS] - servers[base] if OURS in servers and base in servers else None

    return value


def ours(measure: Measure) -> Callable[[Figures], float | None]:
    """Return our figure."""
    return lambda figures: figures.get(measure.name, {}).get(OURS)


def scaling(figures: Figures) -> float | None:
    """Return the capacity of two instances in that of one.

    An instance can answer 1 / (its time per request) on a core. `TWO` is the time in which one of two, each with a core
    to itself, answers a request.
    """
    one, two = ours(ONE)(figures), ours(TWO)(figures)
    return one / two if one is not None and two is not None else None


def fresh_over_idle(count: int) -> Callable[[Figures], float | None]:
    """Return how much later a fresh request is answered beside streams than without."""

    def value(figures: Figures) -> float | None:
        beside, idle = ours(fresh(count))(figures), ours(fresh(0))(figures)
        return beside - idle if beside is not None and idle is not None else None

    return value


def _of_plain(named: Callable[[Measure], Measure] = as_it_is, suffix: str = "") -> Sequence[Target]:
    """Return the targets of plain requests, streams and live events."""
    unary, stream = named(UNARY), named(STREAM)
    node = ratio(named(UNARY_RATE), OURS, NODE)
    return (
        Target(f"unary{suffix}: CPU of the old commit's", ratio(unary, OURS, OLD), 0.43),
        Target(f"unary{suffix}: nginx's CPU of ours", ratio(unary, NGINX, OURS), 0.20, at_least=True),
        Target(f"unary{suffix}: requests per second of the ancestor's on Node", node, 4, at_least=True),
        Target(f"stream{suffix}: CPU of the old commit's", ratio(stream, OURS, OLD), 0.43),
        Target(f"stream{suffix}: nginx's CPU of ours", ratio(stream, NGINX, OURS), 0.23, at_least=True),
        Target(f"live event{suffix}: CPU of the old commit's", ratio(named(LIVE), OURS, OLD), 0.55),
        Target(f"team{suffix}: CPU of pass-through's", ratio(unary, TEAM, OURS), 1.35),
    )


def targets(streams: Sequence[int]) -> Sequence[Target]:
    """Return all targets, for some numbers of live streams."""
    return (
        *_of_plain(),
        *(
            Target(f"{name}{kind}: CPU of the old commit's", ratio(unusual(name + kind), OURS, OLD), 0.65)
            for name in UNUSUAL
            for kind in (("", ", streamed") if name in ("Responses", "Messages") else ("",))
        ),
        Target("unary at 200/s: p50 over nginx's, ms", over(P50), 0.4),
        Target("unary at 200/s: p99 over nginx's, ms", over(P99), 1.0),
        Target("first event at 50/s: p50 over nginx's, ms", over(FIRST_P50), 1.0),
        Target("first event at 50/s: p99 over nginx's, ms", over(FIRST_P99), 1.0),
        *(Target(f"each of {count:,} live streams, KB", ours(held(count)), 25) for count in streams),
        *(
            Target(f"fresh request's p99 beside {count:,} over idle, ms", fresh_over_idle(count), 5)
            for count in streams
        ),
        Target("READY, s", ours(READY), 0.35),
        Target("memory idle, MB", ours(IDLE), 50),
        Target("two instances: capacity of one's", scaling, 1.8, at_least=True),
        *_of_plain(awake, ", peers awake"),
        Target("unary: instructions of the old commit's", ratio(instructions(UNARY), OURS, OLD), 0.43),
        Target("stream: instructions of the old commit's", ratio(instructions(STREAM), OURS, OLD), 0.43),
        Target("team: instructions of pass-through's", ratio(instructions(UNARY), TEAM, OURS), 1.35),
    )


def table(results: Results, goals: Sequence[Target]) -> str:
    """Return all figures with ratios, and the targets below."""
    figures = results.figures()
    servers = list(dict.fromkeys(server for measure in results.measures for server in figures[measure.name]))
    rows = [("measure", "unit", *servers, "ours/old", "of nginx")]
    for measure in results.measures:
        values = figures[measure.name]
        cells = (f"{values[server]:,.{measure.digits}f}" if server in values else "–" for server in servers)
        nginx = ratio(measure, NGINX, OURS) if measure.is_cost else ratio(measure, OURS, NGINX)
        rows.append(
            (
                measure.name,
                measure.unit,
                *cells,
                _share(ratio(measure, OURS, OLD)(figures)),
                _share(nginx(figures)),
            )
        )
    judged = [("target", "", "value", "bound")]
    for goal in goals:
        if (value := goal.value(figures)) is not None:
            bound = f"{'≥' if goal.at_least else '≤'} {goal.bound:g}"
            judged.append((goal.text, goal.verdict(figures), f"{value:.3f}", bound))
    rest = len(goals) - len(judged) + 1
    note = f"\n\n{rest} targets are not measured by this run" if rest else ""
    return f"{_columns(rows)}\n\n{_columns(judged)}{note}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def document(results: Results, goals: Sequence[Target], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return all as JSON values: the run, the figure and the rounds of each measure, and the targets."""
    figures = results.figures()
    return {
        "about": dict(about),
        "measures": [
            {
                "name": measure.name,
                "unit": measure.unit,
                "figures": figures[measure.name],
                "rounds": results.rounds[measure.name],
            }
            for measure in results.measures
        ],
        "targets": [
            {
                "text": goal.text,
                "value": goal.value(figures),
                "at_least" if goal.at_least else "at_most": goal.bound,
                "verdict": goal.verdict(figures),
            }
            for goal in goals
        ],
    }


def markdown(document: Mapping[str, Any]) -> str:
    """Return the tables of a page from the document of a run."""
    measures = document["measures"]
    servers = list(dict.fromkeys(server for measure in measures for server in measure["figures"]))
    rows = [["measure", "unit", *servers], ["---"] * (2 + len(servers))]
    for measure in measures:
        figures = measure["figures"]
        cells = (_short(figures[server]) if server in figures else "–" for server in servers)
        rows.append([measure["name"], measure["unit"], *cells])
    judged = [["target", "value", "bound", ""], ["---"] * 4]
    for goal in document["targets"]:
        value = "–" if goal["value"] is None else f"{goal['value']:.3f}"
        bound = f"≥ {goal['at_least']:g}" if "at_least" in goal else f"≤ {goal['at_most']:g}"
        judged.append(
            [
                goal["text"],
                value,
                bound,
                {"PASS": "met", "MISS": "missed"}.get(goal["verdict"], "not measured"),
            ]
        )
    return f"{piped(rows)}\n\n{piped(judged)}"


def _short(value: float) -> str:
    """Return a figure with three digits at least."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def piped(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of a table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
