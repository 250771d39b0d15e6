"""Authentication: the client of a request, by the API key in any of the headers that clients use.

A key is either the client's own Gemini key, which is passed through to Google, or one that this gateway issued
(`sk-gw-…`), which has rules and is served from the key pool. An issued key is never sent to Google, and a client's own
key never falls back to the pool.
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Annotated, Literal, Protocol
from urllib.parse import unquote

from msgspec import Meta, Struct, structs
from multidict import istr

from gateway.errors import BadRequest, Revoked, Unauthorized
from gateway.policy.clients.client_rules import Rules

_AUTHORIZATION, _X_API_KEY = istr("Authorization"), istr("x-api-key")
_X_GOOG_API_KEY, _API_KEY = istr("x-goog-api-key"), istr("api-key")
"""Names of headers for look-ups: another text is made lower-case each time."""
_KEY = re.compile(r"[!-~]{1,512}")
ISSUED = "sk-gw-"
"""Prefix of issued keys."""
_LIKE_ISSUED = re.compile(r"sk-gw-|^\W*(?:(?:bearer|basic|token|key)\W+)*gw-", re.IGNORECASE)
"""Text that was an issued key before it was quoted, cut or mixed with other text."""
_WHOLE = re.compile(r"sk-gw-[\w-]{43}", re.ASCII)
"""The form of an issued key: 32 random bytes in base64url behind the prefix."""
_NO_KEY = (
    "You didn't provide an API key. You need to provide your {} key in an Authorization header using Bearer auth "
    "(i.e. Authorization: Bearer YOUR_KEY)."
)
"""OpenAI's own wording."""


def _misspelt(word: str) -> re.Pattern[str]:
    """Return a pattern for texts that begin with a word in which one character is wrong, missing, added or swapped."""
    spellings = set()
    for i in range(len(word)):
        head, here, rest = (re.escape(part) for part in (word[:i], word[i], word[i + 1 :]))
        swapped = re.escape(word[i + 1 : i + 2]) + here + re.escape(word[i + 2 :])
        spellings |= {head + rest, f"{head}.{rest}", f"{head}.{here}{rest}", head + swapped}
    return re.compile("|".join(sorted(spellings)))


_NEARLY_ISSUED = _misspelt(ISSUED)


class AuthConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether clients may bring Gemini keys of their own."""

    passthrough: Annotated[
        bool, Meta(description="Accept clients' own Gemini keys, and pass them through to Google.")
    ] = True


KeyFault = Literal["revoked", "expired", "suspended"]


class ClientKey(Struct, frozen=True):
    """Record of an issued key. The key itself is not stored."""

    id: str
    name: str
    hash: str
    """SHA-256 of the key in hex."""
    created: float
    expires: float | None
    revoked: float | None
    rules: Rules
    note: str = ""
    """The operator's own words about the key."""
    suspended: float | None = None
    """Time since which the key is not accepted, until the operator lets it work again."""
    old_hash: str | None = None
    """SHA-256 of the key before the last rotation, which is accepted until `old_until`."""
    old_until: float | None = None

    def fault(self, now: float) -> "KeyFault | None":
        """Return why the key cannot be used, or None."""
        if self.revoked is not None and self.revoked <= now:
            return "revoked"
        if self.expires is not None and self.expires <= now:
            return "expired"
        return "suspended" if self.suspended is not None and self.suspended <= now else None

    def accepted(self) -> "dict[str, ClientKey]":
        """Return the record by the hash of each key that may be accepted: the old one ends with its grace period."""
        if self.old_hash is None or self.old_until is None:
            return {self.hash: self}
        end = self.old_until if self.expires is None else min(self.old_until, self.expires)
        return {self.old_hash: structs.replace(self, expires=end), self.hash: self}


class Client(Struct, frozen=True):
    """The client of a request."""

    key: str
    """The client's own Gemini key; "" for an issued key."""
    fingerprint: str
    """The first 8 hex digits of the key's SHA-256, which tell clients apart in a log and reveal nothing."""
    scope: str = ""
    """The whole SHA-256, or the id of the issued key. What is stored for one scope is never read by another."""
    id: str = ""
    """Id of the issued key; "" for a client's own key."""
    rules: Rules = Rules()


class RefusedKey(Unauthorized):
    """A key that is not accepted. `client` has what the log may say: its fingerprint and, if it is known, its id."""

    def __init__(self, message: str, client: Client, state: str) -> None:
        super().__init__(message)
        self.client = client
        self.refused_by = f"key.{state}"


class UnknownKey(RefusedKey):
    """A key in the form of an issued one that this process does not know. It may have been issued a moment ago."""


class Work(Protocol):
    """A task that is made for a client."""

    def cancel(self, msg: str) -> object:
        """Cancel it, with a message for the one who awaits it."""


class Access:
    """The issued keys that are accepted, whether other keys are, and the work in progress for each issued key."""

    def __init__(self, config: AuthConfig, *, pooled: bool) -> None:
        self._passthrough = config.passthrough
        self._pooled = pooled
        self._work: dict[str, set[Work]] = {}
        """By the id of the key."""
        self._lent: dict[str, ClientKey] = {}
        """Keys of single requests of the console, by their SHA-256."""
        self.issued = {}

    @property
    def issued(self) -> Mapping[str, ClientKey]:
        """The issued keys by the SHA-256 of the key. Replaced as a whole when keys change."""
        return self._issued_keys

    @issued.setter
    def issued(self, keys: Mapping[str, ClientKey]) -> None:
        self._issued_keys = keys
        self._by_id = {key.id: key for key in keys.values()}

    @property
    def keys(self) -> Collection[ClientKey]:
        """The record of each issued key, once."""
        return self._by_id.values()

    def running(self, key_id: str) -> int:
        """Return the number of an issued key's requests and background work in progress."""
        return len(self._work.get(key_id, ()))

    def name(self, key_id: str) -> str:
        """Return the name of an issued key, or the id itself if there is no such key."""
        key = self._by_id.get(key_id)
        return key.name if key is not None else key_id

    def lend(self, key: str, record: ClientKey) -> None:
        """Accept a key that only this process knows, under an issued key's rules, until it is taken back."""
        self._lent[digest(key)] = record

    def take_back(self, key: str) -> None:
        """Accept a lent key no longer."""
        self._lent.pop(digest(key), None)

    def begin(self, client: Client, work: Work) -> None:
        """Note work for an issued key, which ends when the key does. Nothing ends that of a key of the client's own."""
        if client.id:
            self._work.setdefault(client.id, set()).add(work)

    def end(self, client: Client, work: Work) -> None:
        """Note that work has ended."""
        works = self._work.get(client.id)
        if works is not None:
            works.discard(work)
            if not works:
                del self._work[client.id]

    def cut(self, now: float) -> dict[str, int]:
        """Cancel the work for keys that were revoked or have expired. Return its amount by the id of the key."""
        result: dict[str, int] = {}
        for key_id, works in list(self._work.items()):
            lent = (record for record in self._lent.values() if record.id == key_id)
            key = self._by_id.get(key_id) or next(lent, None)
            if key is None or key.fault(now) is not None:
                result[key_id] = len(works)
                del self._work[key_id]
                for work in works:
                    work.cancel(Revoked.CANCELLED)
        return result

    def identify(self, headers: Mapping[str, str], now: float) -> Client:
        """Return the client of a request.

        Raises Unauthorized without an accepted key, UnknownKey for one that may be new, BadRequest for two different
        keys.
        """
        client = identify(headers, needed="API" if self._pooled else "Gemini API")
        if not self._passthrough or _is_issued(client.key):
            return self._issued(client, now)
        return client

    def holder(self, key_id: str, now: float) -> Client:
        """Return the client with the issued key of an id. Raises Unauthorized for a key that cannot be used."""
        key = self._by_id.get(key_id)
        key_hash = key.hash if key is not None else ""
        return self._issued(Client("", key_hash[:8], key_hash), now)

    def _issued(self, client: Client, now: float) -> Client:
        key = self._issued_keys.get(client.scope) or self._lent.get(client.scope)
        if key is None:
            kind = UnknownKey if _WHOLE.fullmatch(client.key) else RefusedKey
            raise kind("Incorrect API key provided.", Client("", client.fingerprint), "unknown")
        may_be_refused = key.expires is not None or key.revoked is not None or key.suspended is not None
        if may_be_refused and (fault := key.fault(now)) is not None:
            holder = Client("", client.fingerprint, key.id, key.id)
            raise RefusedKey(f"Incorrect API key provided: it is {fault}.", holder, fault)
        return Client("", client.fingerprint, key.id, key.id, key.rules)


def identify(headers: Mapping[str, str], needed: str = "Gemini API") -> Client:
    """Return the client with the key in the headers of a request, whether or not the key is accepted.

    Raises Unauthorized without a key, BadRequest for two different keys. `needed` names the kind of key in the error.
    """
    get = headers.get
    return _client(needed, get(_AUTHORIZATION, ""), get(_X_API_KEY), get(_X_GOOG_API_KEY), get(_API_KEY))


@lru_cache(1024)
def _client(needed: str, authorization: str, *others: str | None) -> Client:
    keys = {value for value in (_bearer(authorization), *others) if value}
    if not keys:
        raise Unauthorized(_NO_KEY.format(needed))
    if len(keys) > 1:
        raise BadRequest(
            "The request has different API keys in Authorization, x-api-key, x-goog-api-key and api-key: send one.",
            code="conflicting_api_keys",
        )
    key = keys.pop()
    if _KEY.fullmatch(key) is None:
        raise Unauthorized("Incorrect API key provided: it contains invalid characters or is too long.")
    scope = digest(key)
    return Client(key, scope[:8], scope)


@lru_cache(1024)
def _is_issued(key: str) -> bool:
    """Return whether a client's key is an issued one, whole, spoilt or misspelt. It is never sent to Google."""
    return like_issued(key) or _NEARLY_ISSUED.match(key.lower()) is not None


def like_issued(text: str) -> bool:
    """Return whether a text contains an issued key, whole or spoilt, plain or percent-encoded. It is never sent on."""
    if "%" in text:
        text = unquote(text)
    return "gw-" in text.lower() and _LIKE_ISSUED.search(text) is not None


def digest(key: str) -> str:
    """Return the SHA-256 of a key in hex."""
    return hashlib.sha256(key.encode()).hexdigest()


def _bearer(authorization: str) -> str | None:
    """Return the token of `Authorization: Bearer` (RFC 6750, section 2.1), or None for another scheme."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
