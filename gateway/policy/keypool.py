"""Which key of the operator's own Google projects a call is made with, and what is learnt from how it ended.

Quotas count per project and model, not per key (field.md 4.1): a 429 rests one project for one model, for as long as
Google says. Nothing here waits or asks a clock: `now` is the wall clock in seconds since 1970, because what is learnt
outlives the process, and a clock that jumps never makes a rest longer than it was (robustness.md P19).
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from gateway.errors import (
    Forbidden,
    GatewayError,
    NotFound,
    NoUsableKey,
    PoolExhausted,
    RateLimited,
    Unauthorized,
    UpstreamError,
)
from gateway.policy.google_quota import DAY, LearnedQuotas, midnight, period

_SHORTEST, _LONGEST = 1.0, 3600.0
"""Seconds of a rest that Google asks for (robustness.md U41)."""
_UNTOLD = 60.0
"""Seconds for a per-minute quota without a RetryInfo."""
_FOR_GOOD = 10 * 365 * DAY
_SUSPENDED = 3600.0
_LEAST_PROBE = 60.0
"""Seconds between two tries of a key that was refused (U38)."""
_FAILURES = 5
"""In a row, before a project rests for a model."""
_MOST_LANES = 4096
"""Model names are the clients' own."""
_HOPELESS = 60.0


class PoolConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Google projects whose keys serve the clients that hold a key of the gateway's."""

    select: Annotated[
        Literal["least_in_flight", "round_robin"],
        Meta(description="Which of several free projects is taken, when no conversation is kept together."),
    ] = "least_in_flight"
    affinity: Annotated[
        bool, Meta(description="Keep a conversation on one project, so that Gemini's implicit cache works.")
    ] = True
    reprobe: Annotated[
        float, Meta(ge=_LEAST_PROBE, le=DAY, description="Seconds until a refused key is tried once more.")
    ] = 3600.0


class Project(Struct, frozen=True):
    """A project with its keys revealed."""

    name: str
    keys: tuple[str, ...]
    models: tuple[str, ...] = ()


class Lease(Struct, frozen=True):
    """A key, lent for one attempt."""

    number: int
    project: str
    key: str
    key_id: str
    model: str
    at: float


class PoolUpdate(Struct, frozen=True):
    """Something learnt that others should know: who rests for what (empty: everything of it), why, until when."""

    project: str
    key_id: str
    model: str
    reason: str
    until: float


class KeyState(Struct, frozen=True):
    """What an operator is shown of one key, or of one project for one model."""

    project: str
    key_id: str
    model: str
    state: Literal["ready", "resting", "refused"]
    reason: str
    until: float | None
    in_flight: int


class Ok(Struct, frozen=True):
    """It went well, or failed by the client's doing; `tokens` were spent."""

    tokens: int = 0


class Limited(Struct, frozen=True):
    """A 429."""

    error: RateLimited


class Rejected(Struct, frozen=True):
    """The key itself was refused."""

    reason: Literal["bad", "leaked", "suspended"]


class Broken(Struct, frozen=True):
    """Google, or the way to it, failed."""


class Cancelled(Struct, frozen=True):
    """The client left: nothing was learnt."""


Outcome = Ok | Limited | Rejected | Broken | Cancelled


def outcome(error: GatewayError | None, tokens: int = 0) -> Outcome:
    """What an attempt's end says about its key (robustness.md U35 to U42)."""
    if error is None:
        return Ok(tokens)
    if isinstance(error, RateLimited):
        return Limited(error)
    told = error.message.lower()
    if "reported as leaked" in told:
        return Rejected("leaked")
    if "suspended" in told and error.upstream_status == 403:
        return Rejected("suspended")
    if isinstance(error, Unauthorized):
        return Rejected("bad")
    # any other 403 is about a model, a file or a cache: the key is good
    return Broken() if isinstance(error, UpstreamError) else Ok(tokens)


class _Cooldown:
    """A time of not being used; a clock that goes back does not lengthen it."""

    __slots__ = ("reason", "since", "until")

    def __init__(self) -> None:
        self.reason, self.since, self.until = "", 0.0, 0.0

    def set(self, reason: str, now: float, until: float) -> bool:
        """Rest, unless a longer one is on; whether that is news."""
        if until <= now or (self.wait(now) > 0 and until <= self.until):
            return False
        self.reason, self.since, self.until = reason, now, until
        return True

    def wait(self, now: float) -> float:
        """Seconds that are left."""
        if now < self.since:
            self.until -= self.since - now
            self.since = now
        return max(0.0, self.until - now)


class _ProjectModelState:
    """One project for one model."""

    __slots__ = ("ceilings", "ejections", "failures", "in_flight", "probing", "rest", "untold")

    def __init__(self) -> None:
        self.rest = _Cooldown()
        self.ceilings = LearnedQuotas()
        self.in_flight = 0
        self.untold = 0
        """429s in a row that did not say which quota."""
        self.failures = 0
        self.ejections = 0
        self.probing = False
        """After a rest for failures: one call at a time until one goes well."""

    def wait(self, now: float, tokens: int) -> float:
        """Seconds until another call may be made."""
        rest = max(self.rest.wait(now), self.ceilings.wait(now, tokens))
        return rest if rest or not (self.probing and self.in_flight) else 1.0


class _Key:
    """One key of a project."""

    __slots__ = ("id", "rest", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.id = hashlib.sha256(text.encode()).hexdigest()[:8]
        self.rest = _Cooldown()


class _Member:
    """A project in the pool."""

    def __init__(self, project: Project) -> None:
        self.name, self.models = project.name, project.models
        self.keys = [_Key(text) for text in project.keys]
        self.rest = _Cooldown()
        self.turn = 0

    def serves(self, model: str) -> bool:
        return not (self.models and model) or any(fnmatchcase(model, pattern) for pattern in self.models)

    def usable(self, now: float) -> list[_Key]:
        return [key for key in self.keys if not key.rest.wait(now)] if not self.rest.wait(now) else []


class KeyPool:
    """Lends keys. Plain and synchronous: one process's view, to which others' changes are applied."""

    def __init__(self, projects: Sequence[Project], config: PoolConfig) -> None:
        self._config = config
        self._members = {project.name: _Member(project) for project in projects}
        self._lanes: dict[tuple[str, str], _ProjectModelState] = {}
        self._turn = self._lent = 0
        self._open: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._members)

    def acquire(
        self,
        model: str,
        now: float,
        *,
        affinity: bytes = b"",
        only: str = "",
        tried: Collection[str] = (),
        tokens: int = 0,
    ) -> Lease:
        """A key for one attempt, from a project that is free for this model.

        Projects in `tried` are taken only when no other is free; `only` allows one alone (files and caches belong
        to theirs). Raises PoolExhausted with the seconds to wait, NoUsableKey when all keys are refused, and for
        `only` NotFound when it is no longer here, Forbidden when it does not serve the model.
        """
        members = self._only(only, model) if only else self._serving(model)
        usable = [member for member in members if member.usable(now)]
        if not usable:
            raise NoUsableKey(model)
        waits = {member.name: self._lane(member.name, model).wait(now, tokens) for member in usable}
        free = [member for member in usable if not waits[member.name]]
        if not free:
            raise _exhausted(min(waits.values()), pinned=bool(only))
        member = self._choose([m for m in free if m.name not in tried] or free, model, affinity)
        return self._lend(member, model, now)

    def others(self, model: str, tried: Collection[str], now: float) -> bool:
        """Whether a project that was not tried yet is free for a model."""
        return any(
            member.name not in tried
            and member.serves(model)
            and member.usable(now)
            and not self._lane(member.name, model).wait(now, 0)
            for member in self._members.values()
        )

    def _serving(self, model: str) -> list[_Member]:
        """Who may be asked; what is of no model goes first to who serves all of them."""
        members = [member for member in self._members.values() if member.serves(model)]
        return members if model else [m for m in members if not m.models] or members

    def _only(self, name: str, model: str) -> list[_Member]:
        member = self._members.get(name)
        if member is None:
            raise NotFound(
                "The Google project that has these files is not in this gateway's pool any more.",
                code="not_found",
            )
        if not member.serves(model):
            raise Forbidden(
                f"The Google project that has these files does not serve {model}.", code="model_not_allowed"
            )
        return [member]

    def settle(self, lease: Lease, end: Outcome, now: float, jitter: float) -> list[PoolUpdate]:
        """Learn from an attempt's end; `jitter` is from [0, 1). A lease settles once, whatever comes later."""
        if lease.number not in self._open:
            return []
        self._open.discard(lease.number)
        lane = self._lane(lease.project, lease.model)
        lane.in_flight = max(0, lane.in_flight - 1)
        match end:
            case Ok(tokens):
                lane.untold = lane.failures = lane.ejections = 0
                lane.probing = False
                lane.ceilings.spend(now, tokens)
                self._forgive(lease)
            case Limited(error):
                return self._limited(lease, lane, error, now, jitter)
            case Rejected(reason):
                return self._rejected(lease, reason, now)
            case Broken():
                return self._broken(lease, lane, now, jitter)
        return []

    def apply(self, change: PoolUpdate, now: float) -> None:
        """A change that the store kept, or that another machine made. The longer rest wins."""
        member = self._members.get(change.project)
        if member is None:
            return
        until = min(change.until, now + _FOR_GOOD)
        if change.model:
            self._lane(change.project, change.model).rest.set(change.reason, now, until)
        elif not change.key_id:
            member.rest.set(change.reason, now, until)
        for key in member.keys:
            if key.id == change.key_id and not change.model:
                key.rest.set(change.reason, now, until)

    def changes(self, now: float) -> list[PoolUpdate]:
        """All that holds now, for who keeps it."""
        return [
            PoolUpdate(one.project, one.key_id, one.model, one.reason, one.until)
            for one in self.describe(now)
            if one.until is not None
        ]

    def describe(self, now: float) -> list[KeyState]:
        """Projects and keys, and the models for which a project rests or works."""
        found: list[KeyState] = []
        for member in self._members.values():
            if member.rest.wait(now):
                found.append(_state(member.name, "", "", member.rest, now, 0))
            found += [_state(member.name, key.id, "", key.rest, now, 0) for key in member.keys]
        for (project, model), lane in self._lanes.items():
            if lane.in_flight or lane.rest.wait(now):
                found.append(_state(project, "", model, lane.rest, now, lane.in_flight))
        return found

    def _lane(self, project: str, model: str) -> _ProjectModelState:
        lane = self._lanes.get((project, model))
        if lane is None:
            if len(self._lanes) >= _MOST_LANES:
                idle = (k for k, one in self._lanes.items() if not one.in_flight)
                self._lanes.pop(next(idle, next(iter(self._lanes))))
            lane = self._lanes[project, model] = _ProjectModelState()
        return lane

    def _choose(self, free: list[_Member], model: str, affinity: bytes) -> _Member:
        """By rendezvous hashing for a conversation: it stays while its project is free, and few others move.

        A client's files (calls of no model) always stay together: one request cannot name those of two projects.
        """
        if affinity and (self._config.affinity or not model):
            return max(free, key=lambda m: hashlib.sha256(affinity + m.name.encode()).digest())
        self._turn += 1
        turned = free[self._turn % len(free) :] + free[: self._turn % len(free)]
        if self._config.select == "round_robin":
            return turned[0]
        return min(turned, key=lambda m: self._lane(m.name, model).in_flight)

    def _lend(self, member: _Member, model: str, now: float) -> Lease:
        keys = member.usable(now)
        member.turn += 1
        key = keys[member.turn % len(keys)]
        if key.rest.reason == "bad":  # a probe: no other call may try it before this one has ended
            key.rest.set("bad", now, now + self._config.reprobe)
        lane = self._lane(member.name, model)
        lane.in_flight += 1
        lane.ceilings.begin(now)
        self._lent += 1
        self._open.add(self._lent)
        return Lease(self._lent, member.name, key.text, key.id, model, now)

    def _limited(
        self, lease: Lease, lane: _ProjectModelState, error: RateLimited, now: float, jitter: float
    ) -> list[PoolUpdate]:
        """Per day: until midnight at Google. Per minute: as long as it says. Untold: longer each time."""
        periods = [period(quota) for quota in error.quotas]
        for quota in error.quotas:
            lane.ceilings.learn(quota, now)
        spent = error.code == "insufficient_quota"
        asked = error.retry_after
        if DAY in periods or any(quota.value == 0 for quota in error.quotas) or spent:
            reason, until = "day", midnight(now)
        elif any(periods) or asked is not None:
            rest = min(_LONGEST, max(_SHORTEST, asked if asked is not None else _UNTOLD))
            reason, until = "minute", now + rest * (1 + jitter / 10)
        else:
            lane.untold += 1
            reason, until = "limited", now + max(_SHORTEST, jitter * min(_UNTOLD, 2.0**lane.untold))
        models = {lease.model, *(quota.model for quota in error.quotas if quota.model)}
        return [self._rest_lane(lease.project, model, reason, now, until) for model in sorted(models)]

    def _rest_lane(self, project: str, model: str, reason: str, now: float, until: float) -> PoolUpdate:
        self._lane(project, model).rest.set(reason, now, until)
        return PoolUpdate(project, "", model, reason, until)

    def _forgive(self, lease: Lease) -> None:
        """A key that was refused once works again."""
        for key in self._members[lease.project].keys:
            if key.id == lease.key_id:
                key.rest = _Cooldown()

    def _rejected(self, lease: Lease, reason: str, now: float) -> list[PoolUpdate]:
        member = self._members[lease.project]
        if reason == "suspended":
            member.rest.set(reason, now, now + _SUSPENDED)
            return [PoolUpdate(member.name, "", "", reason, now + _SUSPENDED)]
        until = now + (_FOR_GOOD if reason == "leaked" else self._config.reprobe)
        for key in member.keys:
            if key.id == lease.key_id:
                key.rest.set(reason, now, until)
        return [PoolUpdate(member.name, lease.key_id, "", reason, until)]

    def _broken(self, lease: Lease, lane: _ProjectModelState, now: float, jitter: float) -> list[PoolUpdate]:
        """Five failures in a row: a rest of 1, 2, 4 … 30 s, but never for the last that is free."""
        lane.failures += 1
        if not lane.probing and lane.failures < _FAILURES:
            return []
        others = (m for m in self._members.values() if m.name != lease.project and m.serves(lease.model))
        if not any(m.usable(now) and not self._lane(m.name, lease.model).wait(now, 0) for m in others):
            return []
        until = now + min(30.0, 2.0**lane.ejections) * (1 + jitter / 10)
        lane.ejections = min(lane.ejections + 1, 5)
        lane.probing = True
        lane.rest.set("failing", now, until)
        return []  # what fails for us may work for others


def _state(project: str, key_id: str, model: str, rest: _Cooldown, now: float, in_flight: int) -> KeyState:
    cooling_down = rest.wait(now) > 0
    state: Any = (
        "ready"
        if not cooling_down
        else "refused"
        if rest.reason in ("bad", "leaked", "suspended")
        else "resting"
    )
    return KeyState(
        project,
        key_id,
        model,
        state,
        rest.reason if cooling_down else "",
        rest.until if cooling_down else None,
        in_flight,
    )


def _exhausted(wait: float, *, pinned: bool) -> PoolExhausted:
    whose = "The Google project that has these files" if pinned else "Every Google project of this gateway"
    return PoolExhausted(
        f"{whose} has spent its quota for this model.",
        retry_after=wait,
        should_retry=False if wait > _HOPELESS else None,
    )


def soonest(states: Iterable[KeyState]) -> float | None:
    """When the first of some is ready again."""
    return min((state.until for state in states if state.until is not None), default=None)
