"""Sentences about what needs an operator now, worst first."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec import Struct

from gateway.config.model_table import OLD_DAYS
from gateway.console.process import Checked
from gateway.observability.recent import Recent
from gateway.policy.clients.budgets import BudgetUse
from gateway.policy.pool.projects import ADVICE, PAUSED, KeyState

Level = Literal["bad", "warn", "info"]
_ORDER: tuple[Level, ...] = ("bad", "warn", "info")
_LOW = 0.9
"""Share of a budget from which on it is nearly spent."""
_REFUSED_SHARE = 0.05
_MANY = 5
"""Refused requests from which on they are worth a sentence."""
_MOST_CAUSES = 50
_GOES_ON = 60.0
"""Seconds after the last refusal from which on refusals are over."""
_SHARED = ("limits.", "pool", "google")
"""Beginnings of limits that are not those of one key."""
_NEVER = 4e9
_YEAR = 365 * 86400.0
"""Seconds from which on an end is none: a project is paused until it is resumed."""
_LONG_REST = 120.0
"""Seconds from which on a rest is worth a sentence."""


class Action(Struct, frozen=True):
    """A request of the admin API that ends the need."""

    method: str
    path: str
    body: Mapping[str, Any] = {}


class Need(Struct, frozen=True):
    """One sentence: its code with values, for another language, and in English."""

    code: str
    level: Level
    values: dict[str, Any]
    message: str
    page: str
    """Page of the console that shows more."""
    action: Action | None = None


def worst(needs: Iterable[Need], most: int) -> list[Need]:
    """Return the worst needs first."""
    return sorted(needs, key=lambda need: _ORDER.index(need.level))[:most]


def of_pool(states: Iterable[KeyState], now: float) -> Iterator[Need]:
    """Yield what the pool's projects and keys need."""
    for state in states:
        if state.state == "ready" or state.until is None:
            continue
        name, path = state.project, f"/admin/pool/{state.project}"
        level: Level = "warn"
        message, code, action = "", "", Action("POST", f"{path}/clear", {"model": state.model})
        if state.reason == PAUSED:
            code, level, message = "project_paused", "info", f"{name} is paused."
            action = Action("POST", f"{path}/resume")
        elif state.state == "refused":
            code = "key_refused" if state.key_id else "project_refused"
            subject = f"the key {state.key_id} of {name}" if state.key_id else f"the project {name}"
            level, action = "bad", Action("POST", f"{path}/clear", {"key_id": state.key_id})
            message = f"Google refuses {subject} ({state.reason}). {ADVICE.get(state.reason, '')}".strip()
        elif state.model and state.until - now > _LONG_REST:
            code = "project_rests"
            message = f"{name} rests for {state.model} until {_clock(state.until)} ({state.reason})."
        if code:
            values: dict[str, Any] = {
                "project": name,
                "key": state.key_id,
                "model": state.model,
                "reason": state.reason,
            }
            if state.until - now < _YEAR:
                values["until"] = state.until
            yield Need(code, level, values, message, f"#/pool?project={name}", action)


def of_models(states: Sequence[KeyState], projects: Mapping[str, Callable[[str], bool]]) -> Iterator[Need]:
    """Yield the models for which no project is free. Of each project, a function says whether it serves a model."""
    blocked = [state for state in states if state.state != "ready"]
    if projects and {state.project for state in blocked if state.reason == PAUSED} >= projects.keys():
        message = "All projects are paused: requests with issued keys are refused."
        yield Need("no_project_runs", "bad", {}, message, "#/pool")
        return
    keys = Counter(state.project for state in states if state.key_id)
    refused = Counter(state.project for state in blocked if state.key_id)
    for model in dict.fromkeys(state.model for state in blocked if state.model):
        serving, ends = [name for name, serves in projects.items() if serves(model)], []
        for name in serving:
            rests = [s for s in blocked if s.project == name and not s.key_id and s.model in ("", model)]
            if keys[name] and refused[name] == keys[name]:
                rests += [s for s in blocked if s.project == name and s.key_id]
            if not rests:
                break
            ends.append(max(state.until or _NEVER for state in rests))
        else:
            if ends:
                message = f"No project is free for {model}; the first is back {_clock(min(ends))}."
                values = {"model": model, "until": min(ends)}
                yield Need("no_project_free", "bad", values, message, "#/pool")


def of_disk(checked: Checked | None, file: str | None) -> Iterator[Need]:
    """Yield whether the configuration on disk is another one than that in use, or waits for a restart."""
    if checked is None:
        return
    if checked.faults:
        message = f"{file} has a fault: a restart would answer every request with 503."
        yield Need("config_faulty", "bad", {"file": file}, message, "#/config")
    elif checked.changes:
        message = f"{file} differs from the configuration in use."
        reload = Action("POST", "/admin/config/reload")
        yield Need("config_differs", "warn", {"file": file}, message, "#/config", reload)
    if checked.restart:
        settings = ", ".join(checked.restart)
        message = f"Settings wait for a restart: {settings}."
        yield Need("restart_needed", "warn", {"settings": settings}, message, "#/config")


def of_budgets(uses: Iterable[BudgetUse]) -> Iterator[Need]:
    """Yield the budgets that are nearly spent."""
    for use in uses:
        if use.share >= _LOW:
            left, period = max(0.0, 1 - use.share), use.budget.period
            values = {"key": use.key_id, "name": use.key, "unit": use.budget.unit, "period": period}
            message = f"{use.key} has {left:.0%} of its budget per {period} left."
            level: Level = "warn" if left else "bad"
            yield Need(
                "budget_low", level, {**values, "left_share": left}, message, f"#/keys?id={use.key_id}"
            )


class Lately(Struct):
    """Requests of the last minutes, which processes add up."""

    requests: int = 0
    last: float = 0.0
    """Time of the last refusal or failure, in seconds since 1970."""
    causes: list[tuple[str, str, str, int]] = []
    """Refused and failed ones: code, limit or state that refused them, name of the key, count."""


def lately(entries: Iterable[Recent], name: Callable[[str], str]) -> Lately:
    """Sum up requests, the newest first. `name` returns the name of an issued key."""
    counts: Counter[tuple[str, str, str]] = Counter()
    requests, last = 0, 0.0
    for entry in entries:
        record, requests = entry.record, requests + 1
        if record.error is not None:
            limit = (record.refused_by or "").partition(" ")[0]
            is_of_key = record.key is not None and limit and not limit.startswith(_SHARED)
            counts[record.error, limit, name(record.key) if is_of_key and record.key else ""] += 1
            last = max(last, entry.at)
    return Lately(requests, last, [(*cause, count) for cause, count in counts.most_common(_MOST_CAUSES)])


def of_requests(parts: Iterable[Lately], now: float) -> Iterator[Need]:
    """Yield whether many of the last requests of all processes were refused or failed, while it goes on."""
    counts: Counter[tuple[str, str, str]] = Counter()
    requests, last = 0, 0.0
    for part in parts:
        requests, last = requests + part.requests, max(last, part.last)
        for code, limit, key, number in part.causes:
            counts[code, limit, key] += number
    count = counts.total()
    if count >= _MANY and count >= _REFUSED_SHARE * requests and now - last < _GOES_ON:
        (code, limit, key), most = counts.most_common(1)[0]
        values = {
            "share": count / requests, "count": count, "requests": requests, "last": last,
            "code": code, "refused_by": limit, "key_name": key, "most": most,
        }  # fmt: skip
        limit_of_key = f"{limit} of {key}" if key else limit
        message = (
            f"{count} of {requests} requests of the last 5 minutes were refused or failed, {most} of them with {code}"
            f"{f' ({limit_of_key})' if limit else ''}."
        )
        yield Need("refused_now", "bad", values, message, "#/errors")


def of_prices(days: int) -> Iterator[Need]:
    """Yield whether the table of models and prices is old."""
    if days > OLD_DAYS:
        message = f"The table of models and prices is {days} days old: update the gateway."
        yield Need("prices_old", "info", {"days": days}, message, "#/models")


def missing(code: Literal["no_ledger", "no_pool", "ledger_down"]) -> Need:
    """Return the need of a gateway without a ledger or a pool, or with a ledger that is down."""
    message, level, page = _MISSING[code]
    return Need(code, level, {}, message, page)


_MISSING: dict[str, tuple[str, Level, str]] = {
    "no_ledger": (
        "There is no ledger: no issued keys, budgets or usage. Set ledger.url or pool.projects.",
        "info",
        "#/config",
    ),
    "no_pool": (
        "There is no pool: clients bring their own Gemini keys. Set pool.projects to issue keys.",
        "info",
        "#/config",
    ),
    "ledger_down": (
        "The ledger's database cannot be used; keys with a budget are refused.",
        "bad",
        "#/health",
    ),
}


def _clock(at: float) -> str:
    return datetime.fromtimestamp(min(at, _NEVER), UTC).strftime("%Y-%m-%d %H:%M UTC")
