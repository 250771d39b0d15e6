"""Which addresses may be fetched for a client: the first two walls against SSRF (robustness.md 2.5).

The client names a URL and the gateway fetches it, so it must not lead into the network the gateway stands in.
"""

import ipaddress
import re
from typing import Annotated, Literal

from msgspec import Meta, Struct
from yarl import URL


class MediaConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Files that messages point at by a web address."""

    fetch: Annotated[
        bool, Meta(description="Fetch them; else only data: URLs and files that Google has are understood.")
    ] = True
    schemes: Annotated[
        tuple[Literal["https", "http"], ...], Meta(min_length=1, description="What addresses may begin with.")
    ] = ("https", "http")
    bytes: Annotated[int, Meta(ge=1024, le=2**28, description="Largest file.")] = 20 * 2**20
    seconds: Annotated[
        float, Meta(gt=0, le=300, description="Patience with one file, redirects included.")
    ] = 10.0
    redirects: Annotated[int, Meta(ge=0, le=10, description="Followed at most, each looked at anew.")] = 5
    concurrent: Annotated[int, Meta(ge=1, le=256, description="Fetched at once, by the whole process.")] = 16


_LONGEST = 2048
_PORTS = {"https": 443, "http": 80}
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_PRIVATE_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "arpa")
"""Last labels that never name a public host."""

_REFUSED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.88.99.0/24", "192.0.0.0/24", "168.63.129.16/32", "100.64.0.0/10", "224.0.0.0/3", "::/96",
        "64:ff9b::/96", "64:ff9b:1::/48", "2001::/23", "2002::/16", "fec0::/10", "ff00::/8", "3fff::/20",
        "5f00::/16", "fe80::/10", "fc00::/7",
    )
)  # fmt: skip
"""Not public, although Python or some release of it says so."""


def check_url(text: str, schemes: tuple[str, ...]) -> URL:
    """The first wall: an address whose very spelling is harmless. Raises ValueError with what is wrong with it."""
    if len(text) > _LONGEST:
        raise ValueError(f"longer than {_LONGEST} characters")
    if any(ord(character) <= 32 or ord(character) == 127 for character in text) or "\\" in text:
        raise ValueError("it holds characters that no URL has")
    try:
        url = URL(text)
        host, port = url.host or "", url.port
    except (ValueError, UnicodeError):
        raise ValueError("not a URL") from None
    if url.scheme not in schemes:
        raise ValueError(f"it must begin with {' or '.join(f'{s}://' for s in schemes)}")
    if url.user is not None or url.password is not None or "@" in url.raw_authority:
        raise ValueError("it must hold no user name")
    if port != _PORTS[url.scheme]:
        raise ValueError("only the usual port may be asked")
    if "%" in url.raw_authority or (not host.isascii() and not (url.raw_host or "").isascii()):
        raise ValueError("not the name of a host")
    _check_host((url.raw_host or "").lower())
    return url


def _check_host(host: str) -> None:
    """A public name with a dot in it, or a public address written the usual way."""
    if ":" in host or _is_number(host):
        try:
            public = is_public(host)
        except ValueError:
            public = False
        if not public:
            raise ValueError("not a public address")
        return
    labels = host.rstrip(".").split(".")
    if len(labels) < 2 or len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("not the name of a public host")
    if labels[-1] in _PRIVATE_NAMES:
        raise ValueError("not the name of a public host")


def _is_number(host: str) -> bool:
    """Whether some resolver may take the name for an IPv4 address, as inet_aton does."""
    return _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]) is not None


def is_public(address: str) -> bool:
    """The second wall: whether an address belongs to the open Internet. Raises ValueError for no address."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.is_global and not any(
        found in network for network in _REFUSED if network.version == found.version
    )
