"""Who is asking: the key of a request, from any of the headers clients use (design.md 1.1, 8).

A key is either the client's own Gemini key, which is passed through, or one that the gateway issued (`sk-gw-…`), which
stands for rules and is served from the pool. The two never mix: an issued key is never sent to Google, and a client's
own key never falls back to the pool.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated

from msgspec import Meta, Struct

from gateway.errors import BadRequest, Forbidden, Unauthorized
from gateway.policy.ledger import Budget, Period, Unit

_KEY = re.compile(r"[!-~]{1,512}")
ISSUED = "sk-gw-"
"""How a key of the gateway's begins."""
_NO_KEY = (
    "You didn't provide an API key. Send your {} key in an Authorization header "
    "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
)

Count = Annotated[int, Meta(ge=0, le=2**53)]


class AuthConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may come."""

    passthrough: Annotated[
        bool, Meta(description="Clients may bring Gemini keys of their own, which are passed through.")
    ] = True


class Rules(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the holder of an issued key may do; what is not said is not limited."""

    models: tuple[str, ...] = ()
    """Patterns of the models that may be asked, after aliases."""
    aliases: dict[str, str] = {}
    """Names of this client's own."""
    requests_per_minute: Count | None = None
    requests_per_day: Count | None = None
    tokens_per_minute: Count | None = None
    tokens_per_day: Count | None = None
    streams: Count | None = None
    """Requests at once."""
    cache: Annotated[float, Meta(ge=0, le=31_536_000)] | None = None
    """Seconds for which answers are kept and serve again, unless a request says otherwise."""
    dollars: dict[Period, Annotated[float, Meta(ge=0, le=1e9)]] = {}
    """Budgets in US dollars by period."""
    tokens: dict[Period, Count] = {}
    """Budgets in tokens by period."""

    @property
    def budgets(self) -> list[Budget]:
        """What may be spent, in the ledger's units."""
        money: list[tuple[Unit, Period, int]] = [
            ("money", period, round(dollars * 1_000_000)) for period, dollars in self.dollars.items()
        ]
        return [Budget(*one) for one in money] + [Budget("tokens", p, n) for p, n in self.tokens.items()]

    def model(self, name: str) -> str:
        """What a requested name means to this client."""
        return self.aliases.get(name, name)

    def allows(self, model: str) -> bool:
        """Whether a model may be asked."""
        return not self.models or any(fnmatchcase(model, pattern) for pattern in self.models)

    def check(self, model: str) -> None:
        """Raise Forbidden for a model that may not be asked; "" is none."""
        if model and not self.allows(model):
            raise Forbidden(
                f"This API key may not use the model `{model}`.", param="model", code="model_not_allowed"
            )


class ClientKey(Struct, frozen=True):
    """One issued key, without the key."""

    id: str
    name: str
    hash: str
    created: float
    expires: float | None
    revoked: float | None
    rules: Rules

    def fault(self, now: float) -> str | None:
        """Why it cannot be used (any more)."""
        if self.revoked is not None and self.revoked <= now:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else None


class Client(Struct, frozen=True):
    """Who calls us."""

    key: str
    """The client's own Gemini key; "" for the holder of an issued one."""
    fingerprint: str
    """The first 8 hex digits of the key's SHA-256: enough to tell clients apart in a log, and no secret."""
    scope: str = ""
    """The whole digest, or the issued key's id: what is kept for one client is never another's."""
    id: str = ""
    """Of an issued key."""
    rules: Rules = Rules()


async def _nothing() -> None:
    """Where no keys are issued."""


class Access:
    """Knows the issued keys; replaced or updated as a whole when they change."""

    def __init__(self, config: AuthConfig, *, pooled: bool) -> None:
        self._passthrough = config.passthrough
        self._pooled = pooled
        self.issued: Mapping[str, ClientKey] = {}
        """By the SHA-256 of the key."""
        self.refresh: Callable[[], Awaitable[None]] = _nothing
        """Looks for changed keys at once; set where they are kept."""

    def identify(self, headers: Mapping[str, str], now: float) -> Client:
        """The client of a request. Raises Unauthorized without a usable key, BadRequest for two different ones."""
        client = identify(headers, needed="API" if self._pooled else "Gemini API")
        if client.key.startswith(ISSUED) or not self._passthrough:
            return self._issued(client, now)
        return client

    def holder(self, key_id: str, now: float) -> Client:
        """Who holds the issued key of an id. Raises Unauthorized when it cannot be used any more."""
        found = next((text for text, one in self.issued.items() if one.id == key_id), "")
        return self._issued(Client("", found[:8], found), now)

    def _issued(self, client: Client, now: float) -> Client:
        known = self.issued.get(client.scope)
        if known is None:
            raise Unauthorized("Incorrect API key provided: this gateway does not know it.")
        fault = known.fault(now)
        if fault is not None:
            raise Unauthorized(f"Incorrect API key provided: it has been {fault}." if fault == "revoked" else
                               "Incorrect API key provided: it has expired.")  # fmt: skip
        return Client("", client.fingerprint, known.id, known.id, known.rules)


def identify(headers: Mapping[str, str], needed: str = "Gemini API") -> Client:
    """Whoever holds the key of a request. Raises Unauthorized without one, BadRequest for two different ones."""
    get = headers.get
    return _client(needed, get("Authorization", ""), get("x-api-key"), get("x-goog-api-key"))


@lru_cache(1024)
def _client(needed: str, authorization: str, *others: str | None) -> Client:
    found = {value for value in (_bearer(authorization), *others) if value}
    if not found:
        raise Unauthorized(_NO_KEY.format(needed))
    if len(found) > 1:
        raise BadRequest("two different API keys in one request", code="conflicting_api_keys")
    key = found.pop()
    if _KEY.fullmatch(key) is None:
        raise Unauthorized("Incorrect API key provided: it holds characters that no key has.")
    scope = digest(key)
    return Client(key, scope[:8], scope)


def digest(key: str) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(key.encode()).hexdigest()


def _bearer(authorization: str) -> str | None:
    """The token of `Authorization: Bearer` (RFC 6750); other schemes carry no key of ours."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
