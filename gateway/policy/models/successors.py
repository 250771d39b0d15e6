"""Successors of models: the model that answers for a name, by a dated table and by what answers have said.

Google retires a model by letting another one answer under its name, and moves its aliases such as `gemini-flash-latest`
(https://ai.google.dev/gemini-api/docs/deprecations). What the model can do, and what it costs, then follows the model
that answers. Its name is in `modelVersion` (https://ai.google.dev/api/generate-content#GenerateContentResponse).
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import lru_cache

from msgspec import Struct, field

from gateway.policy.bounded import BoundedMapping

_MOST_LEARNED = 1000
"""Names whose answers are remembered; clients choose the names."""
_MOST_STEPS = 8
"""Successors of successors that are followed."""
_MODEL = re.compile(r"(?:gemini|gemma|learnlm)-[a-z0-9.-]{1,100}")
"""A version that names a model. Others, such as those of tuned models, say nothing about prices."""
_VERSION = re.compile(r"(?:-customtools)?(?:-\d{2,4}){0,3}\Z")
"""End of a name that tells a release of one model, such as `-001` or `-05-20`."""
_ALIAS = "-latest"
DAY = 86400.0
"""Seconds of a day in UTC. Successors and prices change at midnight only."""


class Successor(Struct, frozen=True, forbid_unknown_fields=True):
    """The model that answers for another one's name."""

    model: str
    """The model whose capabilities and price apply; the name itself, if nothing succeeds it."""
    since: date | None = field(default=None, name="from")
    """First day, in UTC, on which it answers; at all times unless set."""
    own_price: bool = False
    """The price of the requested name applies still."""


class Successors:
    """The model that answers for each name. Times are Unix seconds."""

    def __init__(self, rows: Mapping[str, Successor], before: "Successors | None" = None) -> None:
        """`before` are those in use until now, of which the learnt ones are kept."""
        self._rows = {name: (timestamp(row.since), row) for name, row in rows.items() if row.model != name}
        self.learned: BoundedMapping[str, str] = (
            before.learned if before is not None else BoundedMapping(_MOST_LEARNED)
        )
        """Model by base name of the requested one, where the last answer named another."""
        self._on_day = lru_cache(_MOST_LEARNED)(self._listed_on_day)

    def listed(self, model: str, at: float) -> str:
        """Return the model that answers for a name by the table alone."""
        rows = self._rows
        for _ in range(_MOST_STEPS):
            entry = rows.get(model) or rows.get(base_name(model))
            if entry is None or at < entry[0]:
                break
            model = entry[1].model
        return model

    def named_last(self, model: str) -> str:
        """Return the other model that the last answer for a name has named, "" for none."""
        return self.learned.get(base_name(model), "") if self.learned.total else ""

    def of(self, model: str, at: float) -> str:
        """Return the model that answers for a name: as the last answer said, else by the table."""
        if self.learned.total:
            model = self.learned.get(base_name(model), model)
        return self._on_day(model, at // DAY)

    def _listed_on_day(self, model: str, day: float) -> str:
        """Return the model that answers for a name on a day, given by its number since 1970."""
        return self.listed(model, day * DAY)

    def candidates(self, model: str, at: float) -> set[str]:
        """Return all models that may answer for a name."""
        return {model, self.listed(model, at), self.of(model, at)}

    def has_own_price(self, model: str, at: float) -> bool:
        """Return whether a name keeps its price although another model answers."""
        start, row = self._rows.get(model) or self._rows.get(base_name(model)) or _NONE
        return row is not None and row.own_price and at >= start

    def answered(self, model: str, version: str) -> str | None:
        """Note the `modelVersion` of an answer. Return the model that it names, if that is another than was asked."""
        if version == model and not self.learned.total:
            return None
        answering, asked = named(version), base_name(model)
        if answering is None:
            return None
        if base_name(answering) == asked:
            self.learned.pop(asked, None)
            return None
        self.learned[asked] = answering
        return answering


_NONE: tuple[float, Successor | None] = (0.0, None)
NO_SUCCESSORS = Successors({})


def named(version: str) -> str | None:
    """Return the model that a `modelVersion` names, or None if it names none of Google's."""
    name = version.removeprefix("models/")
    return name if _MODEL.fullmatch(name) else None


def is_alias(model: str) -> bool:
    """Return whether a name is an alias, which stands for another model at all times."""
    return model.endswith(_ALIAS)


@lru_cache(1024)
def base_name(model: str) -> str:
    """Return a name without the end that tells a release of one model: `gemini-2.5-pro` for `gemini-2.5-pro-001`."""
    return model if model[-1:].isalpha() and "-customtools" not in model else _VERSION.sub("", model)


def timestamp(day: date | None) -> float:
    """Return the beginning of a day in UTC in Unix seconds; 0 for None."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() if day is not None else 0.0


def cycle_fault(rows: Mapping[str, Successor], name: str) -> str | None:
    """Return the fault of a name that is, by way of others, its own successor, or None."""
    seen, model = [name], name
    while model in rows and rows[model].model != model:
        model = rows[model].model
        if model in seen:
            return f"{' -> '.join([*seen, model])} is a circle"
        if len(seen) >= _MOST_STEPS:
            return f"more than {_MOST_STEPS} models succeed each other"
        seen.append(model)
    return None
