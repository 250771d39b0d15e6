"""Operators of the gateway: their tokens, the sessions of their browsers, and a proxy that signs them in.

A session needs no table: its cookie is signed with a key that is derived from the operator's token (HKDF, RFC 5869).
Any process of any machine verifies it, and a token that is changed or removed ends all its sessions.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from secrets import token_urlsafe
from typing import Literal

from msgspec import Struct

from gateway.config.admin import SINGLE, UNIX, AdminConfig, May, TrustConfig
from gateway.config.secret import Secret
from gateway.errors import RateLimited
from gateway.policy.bounded import BoundedMapping

IDLE = 12 * 3600.0
"""Seconds after which a session ends that is not used."""
LONGEST = 7 * 86400.0
"""Seconds after which a session ends in any case."""
_RENEWED = 600.0
"""Seconds after which the use of a session renews its cookie."""
_INFO = b"gemini-gateway console session 1"
_GUESSES = 5
"""Wrong tokens that one address may send in a minute."""
_MINUTE = 60.0
_MAX_ADDRESSES = 1000
_MAX_ENDED = 1000
_MAX_NAME = 80
_MAX_TICKETS = 100
_TICKET = 3600.0
"""Seconds for which a ticket is valid."""


class Operator(Struct, frozen=True):
    """The one who sent a request to the admin API."""

    name: str
    may: May
    how: Literal["token", "cookie", "header"]
    expires: float | None = None
    """End of the session, in seconds since 1970."""
    renewed: str = ""
    """New value of the cookie, if it is time to renew it."""


class _Holder(Struct, frozen=True):
    """One configured token."""

    name: str
    token: bytes
    may: May
    key: bytes
    """Signs the cookies of this operator."""


class Operators:
    """The operators who may use the admin API. `now` is always in seconds since 1970."""

    def __init__(self, config: AdminConfig) -> None:
        named: list[tuple[str, Secret, May]] = [(n, o.token, o.may) for n, o in config.tokens.items()]
        if config.token is not None:
            named.insert(0, (SINGLE, config.token, "write"))
        self._holders = {
            name: _Holder(name, token, may, _derived(token))
            for name, secret, may in named
            for token in (secret.reveal().encode(),)
        }
        self._trust = config.trust
        self._networks = _networks(config.trust)
        self._guesses: BoundedMapping[str, list[float]] = BoundedMapping(_MAX_ADDRESSES)
        """Times of the last wrong tokens, by address."""
        self._ended: BoundedMapping[str, float] = BoundedMapping(_MAX_ENDED)
        """Sessions that were ended before their time, by their random part."""
        self._tickets: BoundedMapping[str, tuple[str, float]] = BoundedMapping(_MAX_TICKETS)
        """Names and ends, by ticket."""

    @property
    def any(self) -> bool:
        """Whether anybody can sign in."""
        return bool(self._holders) or self._trust is not None

    def by_token(self, token: bytes, address: str, now: float) -> Operator | None:
        """Return the holder of a token, or None for a wrong one, which is counted.

        Raises RateLimited for an address that has sent five wrong ones within a minute.
        """
        guesses = [at for at in self._guesses.get(address) or [] if now - at < _MINUTE]
        if len(guesses) >= _GUESSES:
            raise RateLimited(
                "Too many wrong admin tokens from this address: wait a minute.",
                code="too_many_attempts",
                retry_after=max(1.0, guesses[0] + _MINUTE - now),
            )
        right = [holder for holder in self._holders.values() if hmac.compare_digest(holder.token, token)]
        if right:
            return Operator(right[0].name, right[0].may, "token")
        self._guesses[address] = [*guesses, now]
        return None

    def by_proxy(self, headers: Mapping[str, str], peer: str) -> Operator | None:
        """Return the operator that a trusted proxy names, if the connection is the proxy's. "" is a Unix socket."""
        trust = self._trust
        if trust is None or not (name := headers.get(trust.header, "").strip()) or not name.isprintable():
            return None
        if not peer:
            is_proxy = UNIX in trust.proxies
        else:
            address = ip_address(peer.partition("%")[0])
            is_proxy = any(address in network for network in self._networks)
        return Operator(name[:_MAX_NAME], trust.may, "header") if is_proxy else None

    def ticket(self, name: str, now: float) -> str:
        """Return a word that signs the operator of this name in once, within an hour."""
        ticket = token_urlsafe(24)
        self._tickets[ticket] = (name, now + _TICKET)
        return ticket

    def by_ticket(self, ticket: str, now: float) -> Operator | None:
        """Return the operator of a ticket, which is used up; None for one that is unknown, used or too old."""
        name, end = self._tickets.pop(ticket, ("", 0.0))
        holder = self._holders.get(name)
        return Operator(name, holder.may, "token") if holder is not None and now < end else None

    def begin_session(self, operator: Operator, now: float) -> tuple[str, float]:
        """Return the cookie of a new session, and its end."""
        return self._cookie(self._holders[operator.name], now, token_urlsafe(12), now)

    def by_cookie(self, cookie: str, now: float) -> Operator | None:
        """Return the operator of a session, None for a cookie that is forged, over, or of a token that has changed."""
        session = _parsed(cookie)
        if session is None or (holder := self._holders.get(session.name)) is None:
            return None
        is_genuine = hmac.compare_digest(session.signature, _signature(holder.key, session.signed))
        if not is_genuine or not now < session.expires or session.number in self._ended:
            return None
        renewed, expires = "", float(session.expires)
        if session.expires - now < IDLE - _RENEWED and session.expires < session.began + LONGEST:
            renewed, expires = self._cookie(holder, session.began, session.number, now)
        return Operator(holder.name, holder.may, "cookie", expires, renewed)

    def forget(self, number: str, expires: float) -> None:
        """End the session of a number, which is forgotten again at its end."""
        self._ended[number] = expires

    def end_session(self, cookie: str) -> tuple[str, float] | None:
        """End a session in this process. Return its number and its end, for other processes."""
        session = _parsed(cookie)
        holder = self._holders.get(session.name) if session is not None else None
        if session is None or holder is None:
            return None
        if not hmac.compare_digest(session.signature, _signature(holder.key, session.signed)):
            return None
        # another cookie of the session may have been renewed
        expires = float(session.began) + LONGEST
        self.forget(session.number, expires)
        return session.number, expires

    def _cookie(self, holder: _Holder, began: float, number: str, now: float) -> tuple[str, float]:
        expires = float(int(min(now + IDLE, began + LONGEST)))
        name = urlsafe_b64encode(holder.name.encode()).decode().rstrip("=")
        signed = f"{name}.{int(began)}.{int(expires)}.{number}"
        return f"{signed}.{_signature(holder.key, signed)}", expires


class _Session(Struct, frozen=True):
    """The parts of a cookie."""

    name: str
    began: int
    expires: int
    number: str
    signed: str
    signature: str


def _parsed(cookie: str) -> _Session | None:
    parts = cookie.split(".")
    if len(cookie) > 400 or not cookie.isascii() or len(parts) != 5:
        return None
    name, began, expires, number, signature = parts
    if not (began.isdecimal() and expires.isdecimal()):
        return None
    try:
        text = urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
    except ValueError:
        return None
    return _Session(text, int(began), int(expires), number, cookie.rpartition(".")[0], signature)


def _derived(token: bytes) -> bytes:
    """Return a key of 32 bytes by HKDF-SHA256 without salt (RFC 5869, 2.2 and 2.3: one block is enough)."""
    extracted = hmac.digest(b"\0" * 32, token, sha256)
    return hmac.digest(extracted, _INFO + b"\x01", sha256)


def _signature(key: bytes, signed: str) -> str:
    return urlsafe_b64encode(hmac.digest(key, signed.encode(), sha256)).decode().rstrip("=")


def _networks(trust: TrustConfig | None) -> list[IPv4Network | IPv6Network]:
    return [ip_network(entry) for entry in trust.proxies if entry != UNIX] if trust is not None else []
