"""Features that models have refused, remembered for an hour so that not every request costs a refused call.

A refusal is remembered when the same request without the feature was answered: first for the client that met it, and
for all clients once a second one has met it. Two keys may be one person's. Such a person can make the gateway leave out
only what Google refuses by itself, in words that nobody can plant (`gemini.remedies`), so others lose nothing that they
had.
"""

from msgspec import Struct

from gateway.policy.bounded import BoundedMapping

LIFE = 3600.0
"""Seconds until a refused feature is tried again: Google adds features to models."""
_MAX_MODELS = 1000
_MAX_CLIENTS = 4096
"""Pairs of client and model."""
_NOTHING: frozenset[str] = frozenset()


class _Sighting(Struct):
    """A feature that a model refused to one client, or to several."""

    client: str
    until: float
    shared: bool = False


class LearnedRefusals:
    """Features that each model refused. `now` is in seconds on a monotonic clock."""

    def __init__(self) -> None:
        self._of_models: BoundedMapping[str, dict[str, _Sighting]] = BoundedMapping(_MAX_MODELS)
        self._of_clients: BoundedMapping[tuple[str, str], dict[str, float]] = BoundedMapping(_MAX_CLIENTS)

    @property
    def total(self) -> int:
        """Pairs of client and model of which anything is known."""
        return self._of_clients.total

    def learn(self, model: str, feature: str, client: str, now: float, *, shared: bool) -> None:
        """Remember that a model refused a feature. `shared` says that it will refuse it to other clients, too."""
        until = now + LIFE
        self._of_clients.setdefault((client, model), {})[feature] = until
        if not shared:
            return
        sightings = self._of_models.setdefault(model, {})
        known = sightings.get(feature)
        if known is None or known.until <= now:
            sightings[feature] = _Sighting(client, until)
        elif known.shared or known.client != client:
            known.shared, known.until = True, until

    def of(self, model: str, client: str, now: float) -> frozenset[str]:
        """Return the features that the model refused within the last hour, to this client or to two others."""
        if not self.total:
            return _NOTHING
        own = self._of_clients.get((client, model))
        shared = self._of_models.get(model)
        if not own and not shared:
            return _NOTHING
        features = [feature for feature, until in (own or {}).items() if until > now]
        sightings = (shared or {}).items()
        return frozenset([*features, *(name for name, seen in sightings if seen.shared and seen.until > now)])

    def of_all(self, model: str, now: float) -> list[str]:
        """Return the features that the model refused within the last hour, to whomever, for operators."""
        return sorted(name for name, seen in (self._of_models.get(model) or {}).items() if seen.until > now)
