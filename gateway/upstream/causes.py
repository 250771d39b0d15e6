"""Causes for which the upstream cannot be reached: a class, which a client may know, and a text for the operator."""

import errno
import logging
import os
import re
import socket
import ssl
from http import HTTPStatus
from time import monotonic
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp

from gateway.config.sections import UpstreamConfig
from gateway.errors import UpstreamError, UpstreamTimeout
from gateway.upstream.resolver import PrivateAddressError

_PERIOD = 60.0
"""Seconds between two lines of the log about one class of failure."""
_CLASSES = {
    "dns": "its name cannot be resolved",
    "refused": "connection refused",
    "timeout": "time-out",
    "tls": "TLS failed",
    "proxy": "the proxy failed",
    "denied": "not permitted",
    "route": "no route",
    "closed": "connection closed",
    "network": "network error",
}
"""Words for clients, by class. They name no host, no address and no certificate."""
_BY_NUMBER = {
    errno.ECONNREFUSED: "refused",
    errno.EPERM: "denied",
    errno.EACCES: "denied",
    errno.ETIMEDOUT: "timeout",
    errno.ENETUNREACH: "route",
    errno.EHOSTUNREACH: "route",
    errno.EADDRNOTAVAIL: "route",
    errno.ECONNRESET: "closed",
    errno.EPIPE: "closed",
}
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_NUMBER = re.compile(r"\[Errno (\d+)\]")

logger = logging.getLogger("gateway.upstream")


class Cause(NamedTuple):
    """A cause for which a server cannot be reached."""

    kind: str
    """A key of the table of classes."""
    text: str
    """For operators. It names no key."""

    @property
    def public(self) -> str:
        """The class, in words for a client."""
        return _CLASSES[self.kind]


def cause_of(error: BaseException) -> Cause:
    """Return the cause that an exception of a connection shows, of the standard library, uvloop or aiohttp."""
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return Cause("proxy", f"the proxy answered {error.status} {_PHRASES.get(error.status, '')}".strip())
    if isinstance(inner, ssl.SSLCertVerificationError):
        return Cause("tls", f"its certificate is not accepted: {inner.verify_message or inner.reason}")
    if isinstance(inner, ssl.SSLError):
        return Cause("tls", f"TLS failed: {getattr(inner, 'reason', None) or inner}")
    if isinstance(inner, PrivateAddressError):
        return Cause("dns", str(inner))
    if isinstance(inner, socket.gaierror) or isinstance(error, aiohttp.ClientConnectorDNSError):
        return Cause("dns", f"its name cannot be resolved: {getattr(inner, 'strerror', None) or inner}")
    if isinstance(inner, TimeoutError) and getattr(inner, "errno", None) is None:
        return Cause("timeout", "no answer in time")
    return _of_number(inner)


def _of_number(error: BaseException) -> Cause:
    """Return the cause by the number of a system call's error; of several addresses, by the one they all have."""
    own: int | None = getattr(error, "errno", None)
    numbers = [own] if own is not None else sorted(set(map(int, _NUMBER.findall(str(error)))))
    number = numbers[0] if len(numbers) == 1 else 0
    if (kind := _BY_NUMBER.get(number)) is not None:
        by = " by a firewall, or by IPAddressDeny= of the unit" if kind == "denied" else ""
        return Cause(kind, os.strerror(number) + by)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return Cause("closed", "the connection was closed without an answer")
    if str(error).startswith("Tunnel connection failed"):  # http.client's words
        return Cause("proxy", f"the proxy refused: {str(error).rpartition('failed: ')[2]}")
    return Cause("network", (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:300])


class Reach:
    """Tells in the log that the upstream cannot be reached, each class of failure once a minute, and the end of it.

    A connection that was closed is not told: it has been reached.
    """

    def __init__(self, config: UpstreamConfig) -> None:
        self._upstream = _place(config.base_url)
        self._proxy = _place(config.proxy) if config.proxy is not None else ""
        self._reported: dict[str, float] = {}
        """Times of the last line, by class."""
        self._failing = False
        """A line has told of a failure, and none of its end."""

    def explain(self, error: UpstreamError) -> None:
        """Say in an error that no answer came why: its class in the message, host and cause in the detail."""
        if error.sent and error.code != "upstream_unreachable":
            return
        cause, place = self._cause_and_place(error)
        error.message = f"The upstream cannot be reached: {cause.public}."
        error.detail, now = f"{place}: {cause.text}", monotonic()
        if cause.kind != "closed" and now - self._reported.get(cause.kind, -_PERIOD) >= _PERIOD:
            self._reported[cause.kind], self._failing = now, True
            logger.warning("the upstream cannot be reached: %s", error.detail)

    def _cause_and_place(self, error: UpstreamError) -> tuple[Cause, str]:
        source, place = error.__cause__, self._upstream
        if isinstance(error, UpstreamTimeout):
            cause = Cause("timeout", "no answer in time")
        elif source is None:
            cause = Cause("closed", "the connection was closed without an answer")
        else:
            cause = cause_of(source)
        by_proxy = isinstance(source, aiohttp.ClientHttpProxyError)
        if isinstance(source, aiohttp.ClientConnectorError):
            place = f"{source.host}:{source.port}"
            by_proxy = place == self._proxy
        if by_proxy:
            return Cause("proxy", cause.text), f"{self._upstream}: the proxy {self._proxy}"
        return cause, f"{place} behind the proxy {self._proxy}" if self._proxy else place

    def succeeded(self) -> None:
        """Note an answer, whatever it says."""
        if self._failing:
            self._failing = False
            logger.warning("the upstream can be reached again: %s", self._upstream)


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname or ''}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
