"""When a second project is asked for the same: the first keeps silent for longer than this model usually does.

Learnt from what came before, bounded by the operator, and paid from a budget that every call earns a little of, so
that a slow day does not double itself. Never after a failure: that is what retries are for (field.md 4, 8).
"""

from collections import OrderedDict, deque
from typing import Annotated

from msgspec import Meta, Struct

from gateway.gemini.wire import GeminiCall, Tool

_USUAL = 0.95
_ENOUGH = 20
"""Observations, before they say what is usual."""
_REMEMBERED = 128
_MOST_MODELS = 1000
_MOST_SAVED = 10.0


class HedgeConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A second attempt on another project of the pool, when the first keeps silent for unusually long."""

    share: Annotated[
        float, Meta(ge=0, le=0.5, description="Extra calls at most, as a part of all calls; 0 is off.")
    ] = 0.0
    soonest: Annotated[float, Meta(ge=0, le=600, description="Seconds of silence at least.")] = 1.0
    latest: Annotated[
        float, Meta(gt=0, le=600, description="Seconds at most; also while little is known of a model.")
    ] = 30.0

    def __post_init__(self) -> None:
        if self.soonest > self.latest:
            raise ValueError("`soonest` is later than `latest`")


class Hedge:
    """What is usual, and how many extra calls have been earned."""

    def __init__(self, config: HedgeConfig) -> None:
        self._config = config
        self._seen: OrderedDict[tuple[str, bool], deque[float]] = OrderedDict()
        self._saved = 0.0

    def __bool__(self) -> bool:
        return self._config.share > 0

    def delay(self, model: str, *, streamed: bool) -> float:
        """Seconds of silence after which another project is asked."""
        seen = self._seen.get((model, streamed), ())
        if len(seen) < _ENOUGH:
            return self._config.latest
        usual = sorted(seen)[int(len(seen) * _USUAL)]
        return min(self._config.latest, max(self._config.soonest, usual))

    def observe(self, model: str, seconds: float, *, streamed: bool) -> None:
        """So long a call was silent before it answered."""
        key = model, streamed
        if key not in self._seen and len(self._seen) >= _MOST_MODELS:
            self._seen.popitem(last=False)
        self._seen.setdefault(key, deque(maxlen=_REMEMBERED)).append(seconds)
        self._saved = min(_MOST_SAVED, self._saved + self._config.share)

    def spend(self) -> bool:
        """Take one extra call; false when none is earned."""
        if self._saved < 1:
            return False
        self._saved -= 1
        return True


def may_be_doubled(call: GeminiCall) -> bool:
    """Whether a second call of the same does nothing but cost tokens: searches, code and pictures are paid for each."""
    request = call.request
    config = request.generation_config
    drawn = config is not None and bool(config.response_modalities)
    return not drawn and all(
        tool == Tool(function_declarations=tool.function_declarations) for tool in request.tools or ()
    )
