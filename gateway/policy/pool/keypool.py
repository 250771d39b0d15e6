"""Key pool: choose the key and the Google project for each call, and learn from how the call ended.

Google counts quotas per project and model, not per key (https://ai.google.dev/gemini-api/docs/rate-limits), so a 429
cools down one project for one model. Nothing here waits or reads a clock: `now` is the wall clock in seconds since
1970, because what is learnt is stored and outlives the process.
"""

import hashlib
from collections.abc import Collection, Sequence
from functools import lru_cache

from msgspec import Struct

from gateway.errors import Forbidden, NotFound, NoUsableKey, RateLimited
from gateway.policy.bounded import BoundedMapping
from gateway.policy.pool.breaker import FAILING
from gateway.policy.pool.call_outcome import (
    Broken,
    Cancelled,
    Limited,
    Ok,
    Outcome,
    Refused,
    Rejected,
    Unserved,
)
from gateway.policy.pool.errors import NotOnVertex, exhausted, too_large
from gateway.policy.pool.google_quota import (
    DAY,
    MIN_COOLDOWN,
    concerns_model,
    longest_vague,
    pacific_time,
    quota_cooldown,
)
from gateway.policy.pool.projects import (
    OF_PROJECT,
    PAUSED,
    PUT_BACK,
    KeyState,
    PoolConfig,
    PoolKey,
    PoolProject,
    PoolUpdate,
    Project,
    ProjectModelState,
    with_feature,
)

_FOR_GOOD = 10 * 365 * DAY
_SUSPENDED = 3600.0
_PUT_BACK_LIFE = 60.0
"""Seconds for which other machines are told that a key was put back."""
_MAX_STATES = 4096
"""States of projects for models; model names are chosen by clients."""
_Free = tuple[PoolProject, ProjectModelState]


class Lease(Struct, frozen=True):
    """A key, lent for one attempt."""

    number: int
    project: str
    key: str
    key_id: str
    model: str
    at: float
    client: str = ""
    feature: str = ""
    state: ProjectModelState | None = None
    """Of the project for the model."""
    holder: PoolKey | None = None
    """The state of the key."""


class KeyPool:
    """Lends keys. Synchronous and local to the process; updates of other processes are applied to it."""

    def __init__(self, projects: Sequence[Project], config: PoolConfig) -> None:
        self._config = config
        self._projects = {project.name: PoolProject(project) for project in projects}
        self._states: BoundedMapping[tuple[str, str], ProjectModelState] = BoundedMapping(
            _MAX_STATES, keep=lambda state: state.in_flight > 0
        )
        if projects:
            pacific_time()  # later, no descriptor may be free to read it
        self.has_choice = len(self._projects) > 1
        """Whether there are several projects: only then does it matter which conversation a call belongs to."""
        self.kinds = {project.name: project.kind for project in projects}
        self.has_vertex = "vertex" in self.kinds.values()
        """Whether a project is on Vertex AI, which does not serve all calls."""
        self._serving = lru_cache(_MAX_STATES)(self._find_serving)
        self._turn = self._leases = 0
        self._open: set[int] = set()
        """Numbers of the leases that have not ended."""

    def __bool__(self) -> bool:
        return bool(self._projects)

    def acquire(
        self,
        model: str,
        now: float,
        *,
        affinity: bytes = b"",
        only: str = "",
        tried: Collection[str] = (),
        tokens: int = 0,
        client: str = "",
        feature: str = "",
        gemini_only: bool = False,
    ) -> Lease:
        """Lend a key for one attempt, from a project that is free for a model.

        Projects in `tried` are chosen only when no other is free. `only` names the one project allowed, because files
        and cached contents belong to a project. `tokens` is the size of the prompt. `client` is the id of the issued
        key. `feature` is what the call uses that has a quota of its own, such as Google's search; "" for nothing.
        `gemini_only` leaves out projects on Vertex AI.
        Raises PoolExhausted with the seconds to wait, and NoUsableKey when no project serves the model or Google
        refuses all keys. With `only` it raises NotFound for a project that is no longer in the pool, and Forbidden
        for one that does not serve the model.
        """
        free = self._free(model, now, only, tokens, client, feature, gemini_only)
        if len(free) > 1:
            if tried:
                free = [entry for entry in free if entry[0].name not in tried] or free
            if len(free) > 1:
                free = [self._choose(free, model, affinity)]
        project, state = free[0]
        return self._lend(project, state, model, now, client, feature)

    def free(
        self, model: str, now: float, *, only: str = "", tokens: int = 0, client: str = "", feature: str = "",
        gemini_only: bool = False,
    ) -> list[PoolProject]:  # fmt: skip
        """Return the projects that can be called at once. Raises as `acquire` does when there is none."""
        return [project for project, _ in self._free(model, now, only, tokens, client, feature, gemini_only)]

    def _free(
        self, model: str, now: float, only: str, tokens: int, client: str, feature: str, gemini_only: bool
    ) -> list[_Free]:
        """Return the projects that can be called at once, each with its state for the model."""
        candidates = [self._only(only, model)] if only else self._serving(model, gemini_only)
        free: list[_Free] = []
        usable: list[PoolProject] = []
        waits: list[float] = []
        for project in candidates:
            if not project.usable_keys(now):
                continue
            usable.append(project)
            state = self._state(project.name, model)
            wait = state.wait(now, tokens, client)
            if feature:
                wait = max(wait, self._feature_wait(project.name, model, feature, now))
            if wait:
                waits.append(wait)
            else:
                free.append((project, state))
        if not candidates and gemini_only and self._serving(model, False):
            raise NotOnVertex(model)
        if not usable:
            raise NoUsableKey(model, served=bool(candidates))
        if not free:
            states = {project.name: self._state(project.name, model) for project in usable}
            limits = [state.quotas.too_large(now, tokens) for state in states.values()]
            if all(limits):
                raise too_large(model, max(limits))
            spent = {
                state.quota_wait(now, tokens) > 0 or self._feature_wait(name, model, feature, now) > 0
                for name, state in states.items()
            }
            raise exhausted(model, min(waits), spent, pinned=bool(only))
        if self.has_vertex:
            return [entry for entry in free if now >= entry[1].unserved_until] or free
        return free

    def others(
        self, model: str, tried: Collection[str], now: float, *, tokens: int = 0, client: str = "",
        gemini_only: bool = False,
    ) -> bool:  # fmt: skip
        """Return whether a project outside `tried` is free for a model, and not known to do without it."""
        return any(
            project.name not in tried
            and project.usable_keys(now)
            and not (state := self._state(project.name, model)).wait(now, tokens, client)
            and now >= state.unserved_until
            for project in self._serving(model, gemini_only)
        )

    def settle(
        self, lease: Lease, end: Outcome, now: float, jitter: float, said: str = ""
    ) -> list[PoolUpdate]:
        """End a lease and learn from the outcome. Return what other machines should know.

        `jitter` is a random number from [0, 1). `said` is the message of an error, for operators. Only the first call
        for a lease has an effect.
        """
        if lease.number not in self._open:
            return []
        self._open.discard(lease.number)
        state = lease.state or self._state(lease.project, lease.model)
        if state.in_flight > 0:
            state.in_flight -= 1
        if type(end) is Ok:
            state.vague_limits, state.unserved_until = 0, 0.0
            if lease.feature:
                self._feature_state(lease).vague_limits = 0
            state.breakers.succeeded(lease.client)
            state.quotas.spend(now, end.tokens)
            for holder in (self._projects[lease.project], lease.holder):
                if holder is not None and holder.cooldown.until:
                    holder.accepted(lease.at)
            return []
        if said and isinstance(end, Limited | Rejected | Unserved | Broken):
            state.said, state.said_at = said, now
        match end:
            case Refused(tokens):
                state.quotas.spend(now, tokens)
                self._end_trial(lease, now)
            case Cancelled():
                self._end_trial(lease, now)
            case Limited(error, is_too_large):
                self._end_trial(lease, now)
                if is_too_large:
                    for quota in error.quotas:
                        state.quotas.learn(quota, now)
                    return []
                return self._limited(lease, error, now, jitter)
            case Rejected(reason):
                return self._rejected(lease, reason, now)
            case Unserved():
                self._end_trial(lease, now)
                state.unserved(now)
            case Broken(connection):
                self._end_trial(lease, now)
                # the last free project is never taken out; and what fails here may work for other machines
                others = self.others(lease.model, (lease.project,), now, client=lease.client)
                state.breakers.failed(lease.client, now, jitter, may_open=others, connection=connection)
        return []

    def put_back(self, project: str, key_id: str, now: float) -> list[PoolUpdate]:
        """End the cooldowns of a key, or with "" those of the project and of all its keys.

        Cooldowns for quotas and failures of a model stay. Return what other machines should know. Raises NotFound.
        """
        known = self._projects.get(project)
        keys = [key for key in known.keys if key_id in ("", key.id)] if known is not None else []
        if not keys:
            label = f"project {project!r} with key {key_id!r}" if key_id else f"project {project!r}"
            raise NotFound(f"There is no {label} in the pool.", code="not_found")
        ids = [key.id for key in keys] if key_id else ["", *(key.id for key in keys)]
        updates = [PoolUpdate(project, name, "", PUT_BACK, now + _PUT_BACK_LIFE, now) for name in ids]
        for update in updates:
            self.apply(update, now)
        return updates

    def order(self, project: str, model: str, reason: str, now: float) -> list[PoolUpdate]:
        """Carry out an order of the operator: PAUSED for a project, or PUT_BACK for it or for it and a model.

        Return what other machines should know. Raises NotFound.
        """
        if project not in self._projects:
            raise NotFound(f"There is no project {project!r} in the pool.", code="not_found")
        life = _FOR_GOOD if reason == PAUSED else _PUT_BACK_LIFE
        update = PoolUpdate(project, "", model, reason, now + life, now)
        self.apply(update, now)
        return [update]

    def known_models(self, project: str) -> list[tuple[str, ProjectModelState]]:
        """Return what is known of a project for each model that was asked of it."""
        return [(model, state) for (name, model), state in self._states.items() if name == project]

    def keep_words(self, old: "KeyPool") -> None:
        """Take over what Google said last to the projects of a pool that this one replaces."""
        for name in self._projects:
            for model, state in old.known_models(name):
                if state.said:
                    own = self._state(name, model)
                    own.said, own.said_at = state.said, state.said_at

    def key(self, project: str) -> str:
        """Return a key of a project, whatever its state. Raises NotFound."""
        if project not in self._projects:
            raise NotFound(f"There is no project {project!r} in the pool.", code="not_found")
        return self._projects[project].keys[0].text

    def apply(self, update: PoolUpdate, now: float) -> None:
        """Start a cooldown that was stored or that another machine reported. A longer one that is running stays."""
        project = self._projects.get(update.project)
        if project is None:
            return
        until = min(update.until, now + _FOR_GOOD)
        if not update.model:
            for holder in self._keys(update.project, update.key_id) if update.key_id else [project]:
                holder.refuse(update, now, until)
            return
        state = self._state(update.project, update.model)
        if update.reason == PUT_BACK:
            state.clear(update.at)
        elif update.reason == FAILING:
            state.breakers.shared.restore(now, until)
        else:
            state.quota_cooldown.start(update.reason, now, until)

    def changes(self, now: float) -> list[PoolUpdate]:
        """Return all cooldowns that are running, to be stored. Learned limits are not among them."""
        updates = [
            PoolUpdate(state.project, state.key_id, "", state.reason, state.until)
            for project in self._projects.values()
            for state in project.describe(now)
            if state.until is not None
        ]
        return updates + [
            PoolUpdate(name, "", model, cooldown.reason, cooldown.until)
            for (name, model), state in self._states.items()
            for cooldown in (state.quota_cooldown, state.breakers.shared.cooldown)
            if cooldown.remaining(now)
        ]

    def describe(self, now: float) -> list[KeyState]:
        """Return the state of projects and keys, and of models for which a project is not free or has calls."""
        result = [state for project in self._projects.values() for state in project.describe(now)]
        states = [state.describe(name, model, now) for (name, model), state in self._states.items()]
        return result + [state for state in states if state.in_flight or state.state != "ready"]

    def _find_serving(self, model: str, gemini_only: bool) -> list[PoolProject]:
        """Return the projects that serve a model. Calls of no model prefer projects that serve all models."""
        projects = [project for project in self._projects.values() if project.serves(model)]
        if gemini_only:
            projects = [project for project in projects if project.kind == "gemini"]
        return projects if model else [p for p in projects if not p.models] or projects

    def _only(self, name: str, model: str) -> PoolProject:
        project = self._projects.get(name)
        if project is None:
            raise NotFound(
                "The Google project that holds these files is no longer in this gateway's pool. Upload them again.",
                code="not_found",
            )
        if not project.serves(model):
            raise Forbidden(
                f"The Google project that holds these files does not serve {model}. "
                "Choose a model that it serves, or upload the files again.",
                code="model_not_allowed",
            )
        return project

    def _end_trial(self, lease: Lease, now: float) -> None:
        """Let a refused key or project be tried again soon, if this call was a trial: it has shown nothing."""
        for holder in self._holders(lease):
            holder.end_trial(lease.at, now)

    def _holders(self, lease: Lease) -> list[PoolKey | PoolProject]:
        return [self._projects[lease.project], *self._keys(lease.project, lease.key_id)]

    def _keys(self, project: str, key_id: str) -> list[PoolKey]:
        return [key for key in self._projects[project].keys if key.id == key_id]

    def _state(self, project: str, model: str) -> ProjectModelState:
        state = self._states.get((project, model))
        if state is None:
            state = self._states[project, model] = ProjectModelState()
        return state

    def _choose(self, free: list[_Free], model: str, affinity: bytes) -> _Free:
        """Choose by rendezvous hashing for a conversation, so that it stays where Gemini has cached its prefix.

        Files of a client (calls of no model) always stay together: one request cannot use files of two projects.
        """
        if affinity and (self._config.affinity or not model):
            return max(free, key=lambda entry: hashlib.sha256(affinity + entry[0].name.encode()).digest())
        self._turn += 1
        start = self._turn % len(free)
        rotated = free[start:] + free[:start]
        if self._config.select == "round_robin":
            return rotated[0]
        return min(rotated, key=lambda entry: entry[1].in_flight)

    def _lend(
        self,
        project: PoolProject,
        state: ProjectModelState,
        model: str,
        now: float,
        client: str,
        feature: str,
    ) -> Lease:
        key = project.next_key(now)
        if project.cooldown.until:
            project.begin_trial(now, self._config.reprobe)
        if key.cooldown.until:
            key.begin_trial(now, self._config.reprobe)
        state.in_flight += 1
        state.quotas.begin(now)
        self._leases = number = self._leases + 1
        self._open.add(number)
        return Lease(number, project.name, key.text, key.id, model, now, client, feature, state, key)

    def _feature_state(self, lease: Lease) -> ProjectModelState:
        """Return the state of the feature that a call used, or that of its model."""
        return self._state(lease.project, with_feature(lease.model, lease.feature))

    def _feature_wait(self, project: str, model: str, feature: str, now: float) -> float:
        state = self._states.get((project, with_feature(model, feature))) if feature else None
        return state.quota_wait(now, 0) if state is not None else 0.0

    def _limited(self, lease: Lease, error: RateLimited, now: float, jitter: float) -> list[PoolUpdate]:
        """Learn a 429's limits, cool the project down for what it concerns, and return the updates."""
        if lease.feature and not concerns_model(error):
            models = {with_feature(lease.model, lease.feature)}
            state = self._feature_state(lease)
        else:
            models = {lease.model, *(quota.model for quota in error.quotas if quota.model)}
            state = self._state(lease.project, lease.model)
        for quota in error.quotas:
            state.quotas.learn(quota, now)
        reason, until = quota_cooldown(error, now, jitter) or (
            "limited",
            now + max(MIN_COOLDOWN, jitter * longest_vague(state.count_vague(lease.client))),
        )
        updates = []
        for model in sorted(models):
            cooldown = self._state(lease.project, model).quota_cooldown
            cooldown.start(reason, now, until)
            # a longer one may be running, and it is what others should know: Redis keeps what is sent last
            updates.append(PoolUpdate(lease.project, "", model, cooldown.reason, cooldown.until))
        return updates

    def _rejected(self, lease: Lease, reason: str, now: float) -> list[PoolUpdate]:
        """Cool down the project when it is suspended or without credit, the key when Google refuses it."""
        if reason in OF_PROJECT:
            seconds = _SUSPENDED if reason == "suspended" else self._config.reprobe
            update = PoolUpdate(lease.project, "", "", reason, now + seconds, now)
        else:
            until = now + (_FOR_GOOD if reason == "leaked" else self._config.reprobe)
            update = PoolUpdate(lease.project, lease.key_id, "", reason, until, now)
        self.apply(update, now)
        return [update]
