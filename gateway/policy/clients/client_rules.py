"""Rules of an issued key: the models, rates and budgets of its holder."""

from fnmatch import fnmatchcase
from functools import cached_property
from typing import Annotated

from msgspec import Meta, Struct

from gateway.errors import Forbidden, scrub
from gateway.policy.clients.budgets import Budget, Period
from gateway.policy.clients.rate_limits import Window, windows

Count = Annotated[int, Meta(ge=0, le=2**53)]

_MOST_NAMED = 10
"""Patterns of models in an error."""


class Rules(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True):
    """The rules of an issued key. A rule that is not set does not limit."""

    models: tuple[str, ...] = ()
    """Name patterns of the models that may be used, compared after aliases are resolved."""
    aliases: dict[str, str] = {}
    """Model names of this client, by alias."""
    requests_per_minute: Count | None = None
    requests_per_day: Count | None = None
    tokens_per_minute: Count | None = None
    tokens_per_day: Count | None = None
    streams: Count | None = None
    """Requests in progress."""
    cache: Annotated[float, Meta(ge=0, le=31_536_000)] | None = None
    """Seconds for which answers are cached, unless a request sets `x-gateway-cache`."""
    dollars: dict[Period, Annotated[float, Meta(ge=0, le=1e9)]] = {}
    """Budgets in US dollars by period."""
    tokens: dict[Period, Count] = {}
    """Budgets in tokens by period."""

    @cached_property
    def budgets(self) -> tuple[Budget, ...]:
        """All budgets, in the ledger's units."""
        return (
            *(
                Budget("money", period, round(dollars * 1_000_000))
                for period, dollars in self.dollars.items()
            ),
            *(Budget("tokens", period, tokens) for period, tokens in self.tokens.items()),
        )

    @cached_property
    def request_limits(self) -> tuple[Window, ...]:
        """The limits of requests, of a minute and of a day."""
        return windows("requests", self.requests_per_minute, self.requests_per_day)

    @cached_property
    def token_limits(self) -> tuple[Window, ...]:
        """The limits of tokens, of a minute and of a day."""
        return windows("tokens", self.tokens_per_minute, self.tokens_per_day)

    @cached_property
    def counts_tokens(self) -> bool:
        """Whether a limit or a budget depends on the tokens of a call."""
        return bool(self.dollars or self.tokens or self.token_limits)

    def model(self, name: str) -> str:
        """Return the model that a requested name stands for."""
        return self.aliases.get(name, name)

    def allows(self, model: str) -> bool:
        """Return whether a model may be used."""
        return not self.models or any(fnmatchcase(model, pattern) for pattern in self.models)

    def check(self, model: str, requested: str | None = None) -> None:
        """Raise Forbidden for a model that may not be used; "" stands for a call of no model.

        `requested` is the name that the client sent and that stands for the model; "" if it sent none.
        """
        if not model or self.allows(model):
            return
        name = f"`{model}`"
        if requested == "":
            name += ", which answers requests without a model"
        elif requested is not None and requested != model:
            name = f"`{scrub(requested)[:80]}`, which stands for `{model}` here"
        allowed = ", ".join((*self.models[:_MOST_NAMED], *(["…"] if len(self.models) > _MOST_NAMED else [])))
        raise Forbidden(
            f"This API key does not have access to the model {name}. It may use: {allowed}.",
            param="model",
            code="model_not_allowed",
        )
