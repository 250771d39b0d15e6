"""Checks of `gateway doctor` that need the network: the way to Google, the keys, and the way of clients."""

import argparse
import errno
import http.client
import json
import os
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Literal
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from gateway.config.sections import GatewayConfig
from gateway.policy.ssrf import is_public
from gateway.upstream.causes import cause_of
from gateway.upstream.certificate import OLD_DAYS, days_left, remedy_of

_TIMEOUT = 10.0
"""Seconds for each connection and each read."""
_MAX_CLOCK = 60.0
"""Seconds that the clock may differ from Google's."""
_METADATA = ("169.254.169.254", 80)
"""The metadata server of clouds; the unit's IP filter must refuse it (systemd.resource-control(5), IPAddressDeny=)."""
_ROUTES = "Check firewall and routes; curl it from this machine."
_REMEDIES = {
    "tls": "Check the clock, the package ca-certificates, and whether a proxy intercepts TLS.",
    "proxy": "Check upstream.proxy, with its user and password.",
    "denied": "Allow the address: IPAddressAllow= in a drop-in of the unit, or the firewall.",
}
"""Remedies by the class of the cause for which a server cannot be reached."""
_PROMPT = "Write eight paragraphs about the history of the telegraph, of about 80 words each."
"""Its answer has several chunks of any model, so that a stream and an answer that was held back differ."""
_ANSWER_TIMEOUT = 60.0
"""Seconds for each read of an answer: a proxy that holds it back sends nothing until it is complete."""
_GAP = 0.005
"""Seconds without an event, after which the next one begins another batch. Events of one batch were sent together."""
_FEW_BATCHES = 3
_MANY_EVENTS = 10
_MANY_BYTES = 4000
"""An answer with neither so many events nor so many bytes may come at once without a proxy."""


class Finding(Struct, frozen=True):
    """Result of one check."""

    check: str
    result: Literal["passed", "failed", "skipped"]
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        mark = {"passed": "ok  ", "failed": "FAIL", "skipped": "-   "}[self.result]
        return f"{mark} {self.check}: {self.message}" + (f"\n     {self.remedy}" if self.remedy else "")


def passed(check: str, message: str) -> Finding:
    """Return a finding of a check that passed."""
    return Finding(check, "passed", message)


def skipped(check: str, message: str) -> Finding:
    """Return a finding of a check that could not be made here."""
    return Finding(check, "skipped", message)


def failed(check: str, message: str, remedy: str) -> Finding:
    """Return a finding of something to be repaired."""
    return Finding(check, "failed", message, remedy)


def network_checks(config: GatewayConfig, options: argparse.Namespace) -> Iterator[Finding]:
    """Yield the findings about the network."""
    yield from upstream(config)
    if options.online:
        yield from live_keys(config)
    yield kernel_filter()
    if options.url is not None:
        yield streaming(options.url, options.model, os.environ.get("GATEWAY_API_KEY", ""))


def upstream(config: GatewayConfig) -> Iterator[Finding]:
    """Check name, TLS and clock of Google's API. Behind a proxy, only the proxy's name is looked up."""
    url = urlsplit(config.upstream.proxy or config.upstream.base_url)
    host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        yield failed(
            "dns",
            f"{host} cannot be resolved: {error.strerror or error}.",
            "Check /etc/resolv.conf; on a private address, the resolver must be in IPAddressAllow= of the unit.",
        )
        return
    addresses = sorted({str(info[4][0]) for info in infos})
    private = [address for address in addresses if not is_public(address)]
    if private and host.endswith(".googleapis.com"):
        yield failed(
            "dns",
            f"{host} is {', '.join(private)}, which is not a public address.",
            "Something answers in place of Google: check the resolver and /etc/hosts.",
        )
        return
    yield passed("dns", f"{host} has {len(addresses)} addresses")
    yield from _tls_and_clock(config)


def _tls_and_clock(config: GatewayConfig) -> Iterator[Finding]:
    url = urlsplit(config.upstream.base_url)
    scheme, host = url.scheme, url.hostname or ""
    connection, place, root = _google(config)
    try:
        begun = time.time()
        connection.connect()
        if scheme == "https":
            yield _certificate(host, connection.sock)
        else:
            yield skipped("tls", f"{host} is asked without TLS: right for an emulator on this machine only")
        connection.request("GET", f"{root}/")
        date = connection.getresponse().getheader("Date")
        yield _clock(host, date, begun, time.time())
    except (OSError, http.client.HTTPException) as error:
        cause = cause_of(error)
        yield failed("tls", f"{place} cannot be reached: {cause.text}.", _REMEDIES.get(cause.kind, _ROUTES))
    finally:
        connection.close()


def _google(config: GatewayConfig) -> tuple[http.client.HTTPConnection, str, str]:
    """Return a connection to Google, through the proxy if there is one; its place; and what its paths begin with."""
    url = urlsplit(config.upstream.base_url)
    host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    place = f"{host}:{port}"
    if config.upstream.proxy is None:
        return _connection(url.scheme, host, port), place, ""
    proxy, headers = urlsplit(config.upstream.proxy), {}
    if proxy.username is not None:
        login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
    connection = _connection(url.scheme, proxy.hostname or "", proxy.port or 80)
    place += f" behind the proxy {connection.host}:{connection.port}"
    if url.scheme == "https":
        connection.set_tunnel(host, port, headers)
        return connection, place, ""
    return connection, place, f"http://{host}:{port}"


def _connection(scheme: str, host: str, port: int) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=_TIMEOUT)


def _certificate(host: str, sock: socket.socket) -> Finding:
    assert isinstance(sock, ssl.SSLSocket)  # noqa: S101 - of an HTTPSConnection
    days = days_left(sock.getpeercert(), time.time())
    if days < OLD_DAYS:
        return failed(
            "tls", f"the certificate of {host} ends in {days:.0f} days.", "Whoever runs it must renew it."
        )
    return passed("tls", f"{sock.version()}, and the certificate of {host} is valid for {days:.0f} days")


def _clock(host: str, date: str | None, begun: float, ended: float) -> Finding:
    """Compare the clock with the Date of an answer that was made between two times."""
    if date is None:
        return skipped("clock", f"{host} does not say the time")
    theirs = parsedate_to_datetime(date).timestamp()
    difference = max(begun - theirs - 1, theirs - ended, 0.0)
    if difference > _MAX_CLOCK:
        return failed(
            "clock",
            f"the clock differs from that of {host} by {difference:.0f} seconds.",
            "Start an NTP client (systemctl enable --now systemd-timesyncd): limits and budgets go by it.",
        )
    return passed("clock", f"the clock agrees with that of {host}")


def live_keys(config: GatewayConfig) -> Iterator[Finding]:
    """Ask Google for one model with each key, which is free of charge."""
    path = f"{urlsplit(config.upstream.base_url).path.rstrip('/')}/{config.upstream.api_version}/models?pageSize=1"
    for project in config.pool.projects:
        for number, secret in enumerate(project.keys, 1):
            name = f"key {number} of project {project.name}"
            connection, _, root = _google(config)
            try:
                connection.request("GET", root + path, headers={"x-goog-api-key": secret.reveal()})
                yield _live_key(name, connection.getresponse().status)
            except (OSError, http.client.HTTPException) as error:
                yield failed(
                    "online", f"{name} could not be tried: {error}.", "See the findings about dns and tls."
                )
            finally:
                connection.close()


def _live_key(name: str, status: int) -> Finding:
    if status == 200:
        return passed("online", f"Google accepts {name}")
    if status == 429:
        return skipped("online", f"{name} has reached a limit of Google's now")
    if status in (400, 401, 403):
        return failed(
            "online",
            f"Google refuses {name} with {status}.",
            "Replace it: https://aistudio.google.com/apikey. Then restart the service.",
        )
    return failed("online", f"Google answered {status} to {name}.", "Try again later.")


def kernel_filter() -> Finding:
    """Check that the unit's IP filter refuses the metadata server."""
    if "INVOCATION_ID" not in os.environ:  # systemd.exec(5)
        return skipped("filter", "the unit's IP filter can be tested only inside the unit, not from a shell")
    try:
        with socket.create_connection(_METADATA, 2):
            reason = "was reached"
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            return passed("filter", "the kernel refuses private addresses")
        reason = f"is not refused by the kernel ({error.strerror or error})"
    return failed(
        "filter",
        f"{_METADATA[0]}:{_METADATA[1]} {reason}: IPAddressDeny= has no effect.",
        "The kernel or container lacks cgroup BPF; deny private addresses in the firewall instead.",
    )


def streaming(base: str, model: str, key: str) -> Finding:
    """Ask for a streamed answer through the public URL, and look whether its events come one by one."""
    if not key:
        return skipped("streaming", "set GATEWAY_API_KEY to a key for the gateway")
    url = urlsplit(base)
    connection = _connection(
        url.scheme, url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    )
    connection.timeout = _ANSWER_TIMEOUT
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": _PROMPT}]}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    try:
        connection.request("POST", f"{url.path.rstrip('/')}/v1/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        if response.status != 200:
            return failed(
                "streaming",
                f"{base} answered {response.status}.",
                "docs/refer/errors.md explains it.",
            )
        events = [(time.monotonic(), len(line)) for line in response if line.startswith(b"data:")]
    except ssl.SSLCertVerificationError as error:
        return _not_accepted(url.hostname or "", error)
    except (OSError, http.client.HTTPException) as error:
        return failed(
            "streaming", f"{base} does not answer: {error}.", "Check nginx, its certificate and the firewall."
        )
    finally:
        connection.close()
    return _by_gaps([at for at, _ in events], sum(size for _, size in events))


def _not_accepted(host: str, error: ssl.SSLCertVerificationError) -> Finding:
    reason = error.verify_message
    remedy = remedy_of(reason) or "Renew it: docs/do/behind-nginx.md, The certificate."
    return failed("streaming", f"the certificate of {host} is not accepted: {reason}.", remedy)


def _by_gaps(times: list[float], size: int) -> Finding:
    """Judge a stream by the gaps between its events. `size` is that of all events in bytes.

    nginx with proxy_buffering sends an answer whole, or in pieces of its buffers' size with many events each.
    """
    batches = 1 + sum(after - before >= _GAP for before, after in pairwise(times))
    if batches >= max(_FEW_BATCHES, len(times) / 8):
        return passed(
            "streaming",
            f"{len(times)} events came in {batches} batches over {times[-1] - times[0]:.2f} seconds",
        )
    if len(times) < _MANY_EVENTS and size < _MANY_BYTES:
        return skipped("streaming", f"the answer was too short to tell: {len(times)} events, {size} bytes")
    how = "at once" if batches == 1 else f"in {batches} batches"
    return failed(
        "streaming",
        f"all {len(times)} events of a stream came {how}: a proxy holds answers back.",
        "In nginx: proxy_buffering off, proxy_http_version 1.1 and gzip off, as in config/nginx.conf.",
    )
