"""Features that models have refused, remembered for an hour so that not every request costs a refused call."""

from gateway.policy.bounded import BoundedMapping

LIFE = 3600.0
"""Seconds until a refused feature is tried again: Google adds features to models."""
_MAX_MODELS = 1000
_NOTHING: frozenset[str] = frozenset()


class LearnedRefusals:
    """Features that each model refused. `now` is in seconds on a monotonic clock."""

    def __init__(self) -> None:
        self._until: BoundedMapping[str, dict[str, float]] = BoundedMapping(_MAX_MODELS)

    def learn(self, model: str, feature: str, now: float) -> None:
        """Remember that a model refused a feature."""
        self._until.setdefault(model, {})[feature] = now + LIFE

    def of(self, model: str, now: float) -> frozenset[str]:
        """Return the features that the model refused within the last hour."""
        if not (refused := self._until.get(model)):
            return _NOTHING
        return frozenset(feature for feature, until in refused.items() if until > now)
