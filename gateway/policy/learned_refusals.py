"""What models have refused: remembered for an hour, so that a refusal costs one call and not one a request."""

LIFE = 3600.0
"""Seconds; a model may be taught what it could not do."""
_MOST_MODELS = 1000


class LearnedRefusals:
    """Features each model refused. Every method takes `now`, in seconds on a monotonic clock."""

    def __init__(self) -> None:
        self._until: dict[str, dict[str, float]] = {}

    def learn(self, model: str, feature: str, now: float) -> None:
        """A model refused a feature."""
        if model not in self._until and len(self._until) >= _MOST_MODELS:
            self._until.pop(next(iter(self._until)))
        self._until.setdefault(model, {})[feature] = now + LIFE

    def of(self, model: str, now: float) -> frozenset[str]:
        """The features not to ask this model for."""
        known = self._until.get(model)
        if not known:
            return frozenset()
        return frozenset(feature for feature, until in known.items() if until > now)
