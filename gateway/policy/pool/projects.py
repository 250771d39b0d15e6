"""State of the pool's Google projects: their keys, and what is known of each project for each model."""

import hashlib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from gateway.errors import KeyFault
from gateway.policy.pool.client_breakers import ClientBreakers
from gateway.policy.pool.cooldown import Cooldown
from gateway.policy.pool.google_quota import DAY, LearnedQuotas

_UNSERVED = 600.0
"""Seconds for which a project that does not serve a model is asked last for it."""
_HALF_OPEN_WAIT = 1.0
"""Seconds to wait while the one trial call of a half-open breaker is in flight."""
REFUSALS: tuple[str, ...] = get_args(KeyFault)
"""Reasons for which Google refuses a key or a project."""
OF_PROJECT = ("suspended", "spent")
"""Those that concern the whole project."""
_TRIED_AGAIN = ("bad", "spent")
"""Those that one call tries again when their cooldown is over, before others may follow."""
MIN_REPROBE = 60.0
"""Seconds at least between two trials of a key or a project that Google refuses."""
PAUSED = "paused"
"""Reason for which the operator does not want a project to be used."""
PUT_BACK = "put_back"
"""Reason of an update that ends cooldowns."""
UNSERVED = "unserved"
"""Reason for which a project is asked last for a model: Vertex AI has it not there, or the account may not use it."""
ADVICE = {
    "bad": "Google refuses this key. It is tried again later. Replace it if it stays refused.",
    "leaked": "Google says that this key was published. It is not used any more: replace it. If Google was wrong, put"
    " it back with `gateway keys put-back`.",
    "suspended": "Google does not let this project use the API. It is tried again later.",
    "spent": "The project has reached its monthly spending cap, or its credit is used up. Raise the cap or buy credit"
    " at https://ai.studio/spend, then put the project back with `gateway keys put-back`. Until then one call tries it"
    " every `pool.reprobe` seconds.",
    UNSERVED: "Vertex AI does not have this model in the project's location, or the project's account may not use it."
    " The project is asked last for it, and first again after ten minutes. Choose another `vertex.location`, grant the"
    " role Vertex AI User, or name the models that it serves in `models`.",
}
"""Advice for operators about a refusal, by its reason."""
_LEARNED_LIMIT = "learned_limit"
"""Reason for which a project is not used while it has used up a limit that a 429 named."""


Kind = Literal["gemini", "vertex"]
"""Google's API that a project is called on: the Gemini API, or Vertex AI."""


class PoolConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Google projects whose keys serve clients that hold a key issued by this gateway."""

    select: Annotated[
        Literal["least_in_flight", "round_robin"],
        Meta(description="How to choose among free projects when no conversation is kept on one."),
    ] = "least_in_flight"
    affinity: Annotated[
        bool, Meta(description="Keep a conversation on one project, so that Gemini's implicit caching works.")
    ] = True
    reprobe: Annotated[
        float,
        Meta(
            ge=MIN_REPROBE,
            le=DAY,
            description="Seconds until a refused key, or a project without credit, is tried once more.",
        ),
    ] = 3600.0


class Project(Struct, frozen=True):
    """A Google project with its keys in plain text. `models` are name patterns; empty means all models."""

    name: str
    keys: tuple[str, ...]
    models: tuple[str, ...] = ()
    kind: Kind = "gemini"


class KeyState(Struct, frozen=True):
    """State of a key, of a project for one model, or of a whole project, as operators see it."""

    project: str
    key_id: str
    model: str
    state: Literal["ready", "cooling_down", "refused"]
    reason: str
    until: float | None
    in_flight: int


class PoolUpdate(Struct, frozen=True):
    """A cooldown to store and to share with other machines.

    It concerns a project for `model`, or the key `key_id`, or, with both empty, the whole project. The reason
    `put_back` ends the refusals that are older than itself.
    """

    project: str
    key_id: str
    model: str
    reason: str
    until: float
    at: float = 0.0
    """Time of a refusal by Google, or of putting back. Updates may arrive in another order."""


class ProjectModelState:
    """State of one project for one model: quotas, failures and calls in flight."""

    __slots__ = (
        "breakers", "cleared_at", "in_flight", "quota_cooldown", "quotas", "said", "said_at", "unserved_until",
        "vague_client", "vague_limits",
    )  # fmt: skip

    def __init__(self) -> None:
        self.quota_cooldown = Cooldown()
        self.quotas = LearnedQuotas()
        self.breakers = ClientBreakers()
        self.in_flight = 0
        self.vague_limits = 0
        """429s in a row that named no quota and no delay. Their cooldowns have the reason `limited`.

        Those that one client gets in a row count as one.
        """
        self.vague_client = ""
        """The client that got the last of them."""
        self.said, self.said_at = "", 0.0
        """Google's words at the last failure that concerned the project, and their time."""
        self.unserved_until = 0.0
        """Time until which the project is asked last: its region has not the model, or its account may not use it."""
        self.cleared_at = 0.0
        """Time of the last update that has put the project back for this model."""

    def clear(self, at: float) -> None:
        """Forget cooldowns and learned limits, once for each update of the operator."""
        if at > self.cleared_at:
            self.cleared_at = at
            self.quota_cooldown, self.quotas, self.breakers = Cooldown(), LearnedQuotas(), ClientBreakers()
            self.vague_limits, self.unserved_until = 0, 0.0

    def unserved(self, now: float) -> None:
        """Note that the project does not serve the model: it is asked last for a while."""
        self.unserved_until = now + _UNSERVED

    def cooldown(self, now: float) -> Cooldown:
        """Return the longer of the cooldowns for a spent quota and for failures."""
        return max(
            self.quota_cooldown, self.breakers.shared.cooldown, key=lambda cooldown: cooldown.remaining(now)
        )

    def quota_wait(self, now: float, tokens: int) -> float:
        """Return the seconds until a prompt of so many tokens is within the quotas, as far as they are known."""
        return max(self.quota_cooldown.remaining(now), self.quotas.wait(now, tokens))

    def describe(self, project: str, model: str, now: float) -> KeyState:
        """Return the state as operators see it. A learned limit counts if it lasts longer than the cooldowns."""
        cooldown, seconds = self.cooldown(now), self.quotas.wait(now, 0)
        if seconds > cooldown.remaining(now):
            cooldown = Cooldown()
            cooldown.start(_LEARNED_LIMIT, now, now + seconds)
        if self.unserved_until > now and not cooldown.remaining(now):
            cooldown = Cooldown()
            cooldown.start(UNSERVED, now, self.unserved_until)
        return key_state(project, "", model, cooldown, now, self.in_flight)

    def count_vague(self, client: str) -> int:
        """Count a 429 without details. Return the number that its cooldown's bound is doubled by.

        A second one of the same client is no evidence: its requests may be what Google does not take.
        """
        if not client or client != self.vague_client or not self.vague_limits:
            self.vague_limits += 1
        self.vague_client = client
        return self.vague_limits

    def wait(self, now: float, tokens: int, client: str = "") -> float:
        """Return the seconds until a client's call with a prompt of so many tokens may be made, 0.0 for now.

        After a cooldown for failures, one call at a time is let through until one succeeds.
        """
        breakers = self.breakers
        if not (self.quota_cooldown.until or self.quotas.limits or breakers.shared.openings or breakers.own):
            return 0.0  # nearly always: nothing has failed yet
        seconds = max(self.quota_wait(now, tokens), breakers.remaining(client, now))
        return seconds or (_HALF_OPEN_WAIT if breakers.shared.openings and self.in_flight else 0.0)


class _Refusable:
    """A key or a project, and its refusals by Google."""

    __slots__ = ("cooldown", "put_back_at", "refused_at")

    def __init__(self) -> None:
        self.cooldown = Cooldown()
        self.refused_at = self.put_back_at = 0.0
        """Times of the last refusal by Google, and of the last time that the operator put it back."""

    def refuse(self, update: PoolUpdate, now: float, until: float) -> None:
        """Apply a refusal, or end it when it is older than the update that puts it back."""
        if update.reason == PUT_BACK:
            self.put_back_at = max(self.put_back_at, update.at)
            if self.refused_at <= update.at:
                self.cooldown = Cooldown()
        elif not self.put_back_at or update.at > self.put_back_at:
            self.refused_at = max(self.refused_at, update.at)
            self.cooldown.start(update.reason, now, until)

    def begin_trial(self, now: float, seconds: float) -> None:
        """Let no other call follow one that tries a refused key or project, before it has ended."""
        if self.cooldown.reason in _TRIED_AGAIN:
            self.cooldown.start(self.cooldown.reason, now, now + seconds)

    def end_trial(self, began: float, now: float) -> None:
        """Let another call try soon: the trial that just ended has shown nothing."""
        reason = self.cooldown.reason
        if reason in _TRIED_AGAIN and self.cooldown.since == began:
            self.cooldown = Cooldown()
            self.cooldown.start(reason, now, now + MIN_REPROBE)

    def accepted(self, began: float) -> None:
        """End the refusal after a call that succeeded, unless a later call was refused meanwhile."""
        if self.cooldown.until and self.cooldown.since <= began:
            self.cooldown = Cooldown()


class PoolKey(_Refusable):
    """One API key of a project."""

    __slots__ = ("id", "text")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.id = hashlib.sha256(text.encode()).hexdigest()[:8]
        """Names the key in logs and metrics without revealing it."""


class PoolProject(_Refusable):
    """One project of the pool with its keys."""

    def __init__(self, project: Project) -> None:
        super().__init__()
        self.name, self.models, self.kind = project.name, project.models, project.kind
        self.keys = [PoolKey(text) for text in project.keys]
        self._leases = 0

    def serves(self, model: str) -> bool:
        """Return whether the operator lets the project serve a model; "" stands for calls of no model."""
        return not (self.models and model) or any(fnmatchcase(model, pattern) for pattern in self.models)

    def usable_keys(self, now: float) -> list[PoolKey]:
        """Return the keys that are not cooling down."""
        if self.cooldown.until and self.cooldown.remaining(now):
            return []
        for key in self.keys:
            if key.cooldown.until:
                return [key for key in self.keys if not key.cooldown.remaining(now)]
        return self.keys

    def next_key(self, now: float) -> PoolKey:
        """Return the usable keys in turn. There must be one."""
        keys = self.usable_keys(now)
        self._leases += 1
        return keys[self._leases % len(keys)]

    def describe(self, now: float) -> Iterable[KeyState]:
        """Yield the state of the project, if it is cooling down, and of each key."""
        if self.cooldown.remaining(now):
            yield key_state(self.name, "", "", self.cooldown, now)
        for key in self.keys:
            yield key_state(self.name, key.id, "", key.cooldown, now)


def with_feature(model: str, feature: str) -> str:
    """Return the name under which a feature of a model cools down: `gemini-2.5-flash#googleSearch`."""
    return f"{model}#{feature}" if feature else model


def key_state(
    project: str, key_id: str, model: str, cooldown: Cooldown, now: float, in_flight: int = 0
) -> KeyState:
    """Return the state that a cooldown means."""
    if not cooldown.remaining(now):
        return KeyState(project, key_id, model, "ready", "", None, in_flight)
    state: Literal["cooling_down", "refused"] = "refused" if cooldown.reason in REFUSALS else "cooling_down"
    return KeyState(project, key_id, model, state, cooldown.reason, cooldown.until, in_flight)
