"""`GET /admin/summary`: the whole overview in one answer, from counters."""

from fnmatch import fnmatchcase
from functools import partial
from itertools import takewhile
from time import time
from typing import Any

from aiohttp import web
from msgspec import convert, to_builtins

from gateway import __version__
from gateway.config.model_table import age
from gateway.console import merged, needs
from gateway.console.disk import Disk
from gateway.console.endpoint import Endpoint, Query
from gateway.console.needs_zh import sentence
from gateway.console.rows import dollars, encoded, row
from gateway.console.sources import Sources, number
from gateway.console.spending import DAY, WAIT, Spending
from gateway.exchange.replies.delivery import json_response
from gateway.observability.minutes import MINUTE, Counts, total
from gateway.observability.recent import Recent
from gateway.policy.pool.projects import PAUSED, KeyState

_HOUR = 3600
_SERIES = 60
"""Minutes of the chart."""
_FAILURES = 10
_MOST_NEEDS = 5
_LATELY = 300.0
"""Seconds of the requests that `refused_now` looks at."""


class Summary:
    """Sums up the last hour, the day, and what needs an operator."""

    def __init__(self, sources: Sources, build: str) -> None:
        self._sources = sources
        self._build = build
        sources.fleet.on("summary", self._asked)
        self._spending = Spending(lambda: sources.engine_or_none)
        self._disk = Disk(sources.process)

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        query = (Query("window", "seconds, 60 to 86400; an hour without it"),)
        return [Endpoint("GET", "/admin/summary", self.show, "Sum up the state of the gateway.", query)]

    async def show(self, request: web.Request) -> web.Response:
        """Answer with the overview. Raises BadRequest."""
        window, now = number(request, "window", _HOUR, MINUTE, DAY), time()
        services = self._sources.services
        days = await self._spending.days()
        await services.metrics.budgets.refresh(WAIT)
        disk = await self._disk.check()
        fleet = self._sources.fleet
        parts = await fleet.ask("summary", window=window)
        of_all = merged.summaries((fleet.name, self._part(window, now, days)), parts, _FAILURES)
        before = of_all["before"]
        parts_lately = convert(of_all.pop("lately"), list[needs.Lately])
        own = [*needs.of_disk(disk, self._disk.file), *needs.of_requests(parts_lately, now)]
        seen = [*of_all["needs"], *map(to_builtins, own)]
        language = request.headers.get("Accept-Language")
        for need in seen:
            need["message"] = sentence(need["code"], need["values"], need["message"], language)
        body = {
            **of_all,
            "at": round(now, 3), "window": window, "instance": fleet.name, "build": self._build,
            "now": _figures(of_all["now"]),
            "before": _figures(before) if before is not None else None,
            "ledger": self._sources.engine_or_none is not None,
            "dollars": self._dollars(days, now),
            "days": _days(days) if days is not None else None,
            "pool": self._pool(now),
            "needs": needs.worst(convert(seen, list[needs.Need]), _MOST_NEEDS),
        }  # fmt: skip
        return json_response(encoded(body), {})

    async def _asked(self, values: dict[str, Any]) -> Any:
        return self._part(values["window"], time(), None)

    def _part(self, window: int, now: float, days: dict[int, tuple[int, int]] | None) -> dict[str, Any]:
        """Return what only this process knows."""
        services = self._sources.services
        minutes, admission = services.observed.minutes, services.admission
        before = minutes.between(now - DAY - window, now - DAY)
        body = {
            "version": __version__,
            "first_request": self._first(days),
            "now": total(counts for _, counts in minutes.between(now - window, now + 1)),
            "before": total(counts for _, counts in before) if before else None,
            "running": admission.in_progress,
            "waiting": admission.queued,
            "limit": services.config.limits.streams,
            "series": _series(minutes.between(now - _SERIES * MINUTE, now + 1), now),
            "failures": [
                row(entry, services.access.name)
                for entry in self._failures(services.observed.recent.newest_first())
            ],
            "lately": self._lately(now),
            "needs": self._needs(now),
        }
        return dict(merged.plain(body))

    def _first(self, days: dict[int, tuple[int, int]] | None) -> float | None:
        """Return the time of the first request that is known, None while there was none.

        Before the ledger is read there may have been some: it is that of the start.
        """
        recent = self._sources.services.observed.recent
        known = [start for start, (_, calls) in (days or {}).items() if calls]
        held = [entry.at for entry in recent.since(recent.oldest - 1, len(recent))[:1]]
        unread = (
            [self._sources.process.started]
            if days is None and self._sources.engine_or_none is not None
            else []
        )
        return min((*map(float, known), *held, *unread), default=None)

    def _dollars(self, days: dict[int, tuple[int, int]] | None, now: float) -> dict[str, Any] | None:
        if days is None:
            return None
        today = int(now // DAY) * DAY
        return {
            "today": dollars(days.get(today, (0, 0))[0]),
            "yesterday": dollars(days.get(today - DAY, (0, 0))[0]),
            "month": dollars(sum(micros for micros, _ in days.values())),
        }

    def _pool(self, now: float) -> list[dict[str, Any]]:
        """Return the state of each project: that of the whole project, or of its keys if none can be used."""
        services = self._sources.services
        states = services.exchange.accounting.pool.describe(now)
        return [
            _project(project.name, [state for state in states if state.project == project.name])
            for project in services.config.pool.projects
        ]

    def _failures(self, entries: Any) -> list[Recent]:
        failures: list[Recent] = []
        for entry in entries:
            if entry.record.error is not None:
                failures.append(entry)
                if len(failures) == _FAILURES:
                    break
        return failures

    def _lately(self, now: float) -> needs.Lately:
        services = self._sources.services
        newest = services.observed.recent.newest_first()
        return needs.lately(takewhile(lambda entry: entry.at > now - _LATELY, newest), services.access.name)

    def _needs(self, now: float) -> list[needs.Need]:
        services = self._sources.services
        states = services.exchange.accounting.pool.describe(now)
        result = [
            *needs.of_models(
                states, {p.name: partial(_serves, p.models) for p in services.config.pool.projects}
            ),
            *needs.of_pool(states, now),
            *needs.of_budgets(services.metrics.budgets.last),
            *needs.of_prices(age(now)),
        ]
        if self._spending.failed:
            result.append(needs.missing("ledger_down"))
        if self._sources.engine_or_none is None:
            result.append(needs.missing("no_ledger"))
        if not services.config.pool.projects:
            result.append(needs.missing("no_pool"))
        return result


def _serves(patterns: tuple[str, ...], model: str) -> bool:
    return not patterns or any(fnmatchcase(model, pattern) for pattern in patterns)


def _days(days: dict[int, tuple[int, int]]) -> list[dict[str, Any]]:
    return [
        {"start": start, "dollars": dollars(micros), "requests": calls}
        for start, (micros, calls) in days.items()
    ]


def _figures(counts: Counts) -> dict[str, Any]:
    return {
        "requests": counts.requests,
        "refused": counts.refused,
        "failed": counts.failed,
        "saved": counts.saved,
        "refused_share": round(counts.refused / counts.requests, 4) if counts.requests else 0.0,
        "first_byte_p50_ms": counts.percentile_ms(0.5),
        "first_byte_p95_ms": counts.percentile_ms(0.95),
        "first_byte_p95_within_ms": counts.bucket_ms(0.95),
    }


def _series(minutes: list[tuple[int, Counts]], now: float) -> dict[str, Any]:
    """Return the counts of the last 60 minutes, with 0 for those without an entry."""
    start = int(now // MINUTE) * MINUTE - (_SERIES - 1) * MINUTE
    by_start = dict(minutes)
    counts = [by_start.get(start + index * MINUTE, Counts()) for index in range(_SERIES)]
    names = ("ok", "saved", "refused", "failed")
    return {"start": start, "step": MINUTE, **{name: [getattr(c, name) for c in counts] for name in names}}


def _project(name: str, states: list[KeyState]) -> dict[str, Any]:
    whole = [state for state in states if not state.key_id and not state.model]
    keys = [state for state in states if state.key_id]
    models = [state for state in states if state.model]
    resting = [state for state in models if state.state != "ready"]
    subject = next(iter(whole), None) or min(keys, key=lambda state: state.state != "ready", default=None)
    state = "ready" if subject is None else "paused" if subject.reason == PAUSED else subject.state
    return {
        "project": name,
        "state": "cooling_down" if state == "ready" and resting else state,
        "reason": subject.reason if subject is not None else "",
        "until": subject.until if subject is not None else None,
        "in_flight": sum(state.in_flight for state in models),
        "resting_models": len(resting),
    }
