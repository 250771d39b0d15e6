"""Hedged requests: when to make a second attempt on another project while the first has not answered.

A hedge is made when a call has been silent for longer than 95 of 100 earlier calls of its model, as in "The Tail at
Scale" (Dean and Barroso, 2013, https://research.google/pubs/the-tail-at-scale/). Each call earns a part of a hedge, so
that a slow upstream is not given twice the load. A failed call is not hedged but retried.
"""

from collections import deque
from typing import Annotated

from msgspec import Meta, Struct

from gateway.gemini.call import GeminiCall
from gateway.gemini.wire import Tool
from gateway.policy.bounded import BoundedMapping

_QUANTILE = 0.95
_MIN_OBSERVATIONS = 20
"""Observations of a model before its quantile is used."""
_MAX_OBSERVATIONS = 128
_MAX_MODELS = 1000
_MAX_SAVED = 10.0
"""Hedges that can be saved up."""


class HedgeConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A second attempt on another project of the pool, when the first is silent for unusually long."""

    share: Annotated[
        float, Meta(ge=0, le=0.5, description="Largest share of extra calls among all calls; 0 is off.")
    ] = 0.0
    soonest: Annotated[
        float, Meta(ge=0, le=600, description="Shortest silence in seconds before a second attempt.")
    ] = 1.0
    latest: Annotated[
        float,
        Meta(
            gt=0, le=600, description="Longest silence in seconds; also used until a model has been observed."
        ),
    ] = 30.0

    def __post_init__(self) -> None:
        if self.soonest > self.latest:
            raise ValueError("`soonest` must not be greater than `latest`")


class Hedge:
    """Observed silence by model, and the budget of hedges."""

    def __init__(self, config: HedgeConfig) -> None:
        self._config = config
        self._observed: BoundedMapping[tuple[str, bool], deque[float]] = BoundedMapping(_MAX_MODELS)
        self._saved = 0.0

    def __bool__(self) -> bool:
        return self._config.share > 0

    def delay(self, model: str, *, streamed: bool) -> float:
        """Return the seconds of silence after which another project is asked."""
        observed = self._observed.get((model, streamed), ())
        if len(observed) < _MIN_OBSERVATIONS:
            return self._config.latest
        usual = sorted(observed)[int(len(observed) * _QUANTILE)]
        return min(self._config.latest, max(self._config.soonest, usual))

    def observe(self, model: str, seconds: float, *, streamed: bool) -> None:
        """Record the silence of a call before its answer began, and earn a part of a hedge."""
        self._observed.setdefault((model, streamed), deque(maxlen=_MAX_OBSERVATIONS)).append(seconds)
        self._saved = min(_MAX_SAVED, self._saved + self._config.share)

    def spend(self) -> bool:
        """Take one hedge from the budget. Return False when there is none."""
        if self._saved < 1:
            return False
        self._saved -= 1
        return True


def may_be_doubled(call: GeminiCall) -> bool:
    """Return whether a second call costs only tokens. Searches, code execution and images are billed per call.

    Any `responseModalities` counts as media output, also `["TEXT"]`.
    """
    request = call.request
    config = request.generation_config
    has_media_output = config is not None and bool(config.response_modalities)
    return not has_media_output and all(
        tool == Tool(function_declarations=tool.function_declarations) for tool in request.tools or ()
    )
