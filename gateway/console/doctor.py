"""`GET /admin/doctor`: the checks of `gateway doctor` in the process that serves, and of its own state."""

import asyncio
from collections.abc import Iterator
from time import monotonic, time

from aiohttp import web
from msgspec import Struct

from gateway.console.doctor_zh import in_language
from gateway.console.endpoint import Endpoint, Query
from gateway.console.sources import Sources, answer

_LATE = 0.1
"""Seconds of delay of the event loop that is worth a sentence."""
_WAITING = 1000
"""Rows of the ledger that wait, from which on its database is too slow."""


class Check(Struct, frozen=True):
    """Result of one check."""

    check: str
    result: str
    """`passed`, `failed` or `skipped`."""
    message: str
    remedy: str = ""


class Examination(Struct, frozen=True):
    """Results of all checks."""

    ok: bool
    at: float
    seconds: float
    findings: list[Check]


class Doctor:
    """Examines the process. One examination runs at a time."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._turn = asyncio.Lock()

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        query = (Query("online", "`1` tries each key of the pool with one free call of Google"),)
        summary = "Look for what would keep the gateway from serving, as `gateway doctor` does."
        return [Endpoint("GET", "/admin/doctor", self.examine, summary, query, answer=Examination)]

    async def examine(self, request: web.Request) -> web.Response:
        """Answer with what each check finds."""
        began, examine = monotonic(), self._sources.process.examine
        findings = list(self._live())
        if examine is not None:
            async with self._turn:
                results = await asyncio.to_thread(examine, request.query.get("online") == "1")
            findings += [Check(f.check, f.result, f.message, f.remedy) for f in results]
        else:
            elsewhere = skipped(
                "gateway doctor",
                "`gateway serve` runs these checks and tries the keys; this process does not",
            )
            findings.append(elsewhere)
        language = request.headers.get("Accept-Language")
        findings = [
            Check(
                in_language(f.check, language),
                f.result,
                in_language(f.message, language),
                in_language(f.remedy, language),
            )
            for f in findings
        ]
        ok = all(finding.result != "failed" for finding in findings)
        return answer(Examination(ok, time(), round(monotonic() - began, 2), findings))

    def _live(self) -> Iterator[Check]:
        """Yield what only the process that serves knows."""
        services = self._sources.services
        late = services.metrics.loop_lag.largest
        yield _check(
            "event loop", late < _LATE, f"the event loop was {late * 1000:.0f} ms late at most in the last minute",
            "Something blocks it: look for heavy requests, swap, or a machine with too little CPU.",
        )  # fmt: skip
        ledger = services.exchange.accounting.ledger
        if ledger is not None:
            waiting, dropped = getattr(ledger, "waiting", 0), getattr(ledger, "dropped", 0)
            yield _check(
                "ledger writer", waiting < _WAITING and not dropped,
                f"{waiting} rows of the ledger wait, {dropped} were dropped",
                "Look at the database: it is down or slow.",
            )  # fmt: skip
        degraded = getattr(services.counters, "degraded", False)
        if services.config.state.redis is not None:
            yield _check(
                "redis", not degraded, "Redis answers" if not degraded else "Redis does not answer",
                "Limits of keys are counted by each machine alone until it does: check the server and `state.redis`.",
            )  # fmt: skip
        dropped_lines = services.metrics.lines_dropped()
        yield _check(
            "log", not dropped_lines, f"{dropped_lines} lines of the log were dropped",
            "The reader of standard error is too slow or has stopped.",
        )  # fmt: skip


def _check(name: str, is_well: bool, message: str, remedy: str) -> Check:
    return Check(name, "passed" if is_well else "failed", message, "" if is_well else remedy)


def skipped(check: str, message: str) -> Check:
    """Return the result of a check that this process cannot make."""
    return Check(check, "skipped", message)
