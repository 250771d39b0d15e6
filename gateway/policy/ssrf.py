"""Protection against server-side request forgery: which URLs and addresses may be fetched for a client.

A client names a URL and the gateway fetches it, so the URL must not reach the gateway's own network. The URL is checked
before its host is resolved (`check_url`), and each resolved address again (`is_public`), as OWASP advises:
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

import ipaddress
import re
from contextlib import suppress
from typing import Annotated, Literal

from msgspec import Meta, Struct
from yarl import URL


class MediaConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Download of media that messages refer to by URL."""

    fetch: Annotated[
        bool,
        Meta(description="Download http(s) URLs; otherwise only data: URLs and Gemini files are accepted."),
    ] = True
    schemes: Annotated[
        tuple[Literal["https", "http"], ...], Meta(min_length=1, description="URL schemes that are accepted.")
    ] = ("https", "http")
    bytes: Annotated[int, Meta(ge=1024, le=2**28, description="Largest file in bytes.")] = 20 * 2**20
    files: Annotated[int, Meta(ge=1, le=3000, description="Most files of one request.")] = 100
    total: Annotated[
        int, Meta(ge=1024, le=2**30, description="Most bytes of all files of one request together.")
    ] = 50 * 2**20
    seconds: Annotated[float, Meta(gt=0, le=300, description="Timeout for one file, redirects included.")] = (
        10.0
    )
    redirects: Annotated[
        int, Meta(ge=0, le=10, description="Most redirects that are followed; each URL is checked again.")
    ] = 5
    concurrent: Annotated[
        int, Meta(ge=1, le=256, description="Most downloads at the same time in one process.")
    ] = 16
    per_client: Annotated[
        int,
        Meta(ge=1, le=256, description="Most downloads at the same time for one issued key or address."),
    ] = 4


_MAX_LENGTH = 2048
_PORTS = {"https": 443, "http": 80}
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_PRIVATE_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "arpa")
"""Top-level names that are not public (RFC 6762 appendix G, RFC 6761, and the ICANN reservation of `internal`)."""

_REFUSED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.88.99.0/24", "192.0.0.0/24", "168.63.129.16/32", "100.64.0.0/10", "224.0.0.0/3", "::/96",
        "64:ff9b::/96", "64:ff9b:1::/48", "2001::/23", "2002::/16", "fec0::/10", "ff00::/8", "3fff::/20",
        "5f00::/16", "fe80::/10", "fc00::/7",
    )
)  # fmt: skip
"""Networks that are not public although `ipaddress.is_global` is true for them in some releases of Python.

The IANA registries of special-purpose addresses, and 168.63.129.16, an address of the host in Azure.
"""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def check_url(text: str, schemes: tuple[str, ...]) -> URL:
    """Return a URL that is safe to resolve. Raises ValueError with the fault of the URL."""
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"the URL is longer than {_MAX_LENGTH} characters")
    if any(ord(character) <= 32 or ord(character) == 127 for character in text) or "\\" in text:
        raise ValueError("the URL contains invalid characters")
    try:
        url = URL(text)
        port = url.port
    except (ValueError, UnicodeError):
        raise ValueError("not a valid URL") from None
    if url.scheme not in schemes:
        raise ValueError(f"the URL must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if url.user is not None or url.password is not None:
        raise ValueError("the URL must not contain a user name or password")
    if port != _PORTS[url.scheme]:
        raise ValueError("the URL must not name a port other than the default of its scheme")
    if "%" in url.raw_authority:
        raise ValueError("the host name is invalid")
    _check_host((url.raw_host or "").lower())
    return url


def _check_host(host: str) -> None:
    """Raise ValueError unless the host is a public name with a dot, or a public address in standard notation."""
    if ":" in host or _is_number(host):
        with suppress(ValueError):
            if is_public(host):
                return
        raise ValueError("the address is not public")
    labels = host.removesuffix(".").split(".")
    valid = len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels)
    if not valid or is_private_name(host):
        raise ValueError("the host name is not public")


def _is_number(host: str) -> bool:
    """Return whether a resolver may read the name as an IPv4 address, as inet_aton reads `127.1` and `0x7f000001`."""
    return _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]) is not None


def is_private_name(host: str) -> bool:
    """Return whether a host's name says that it is in the own network: no dot, or a top-level name that is private."""
    labels = host.lower().removesuffix(".").split(".")
    return len(labels) == 1 or labels[-1] in _PRIVATE_NAMES


def is_public(address: str) -> bool:
    """Return whether an address belongs to the public Internet. Raises ValueError for text that is no address."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return ip.is_global and not any(ip in network for network in _REFUSED if network.version == ip.version)


def behind_nat64(address: str) -> str:
    """Return the IPv4 address that an IPv6 address of NAT64 stands for (RFC 6052, section 2.1), or any other as it is.

    A machine with IPv6 only reaches IPv4 hosts by such addresses. Downloads are refused them all the same.
    """
    ip = ipaddress.ip_address(address)
    return str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)) if ip in _NAT64 else address
