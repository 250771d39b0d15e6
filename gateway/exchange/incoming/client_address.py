"""The address of a client, for limits of each client, and the one by which it has reached the gateway."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from aiohttp import web


@lru_cache(4096)
def host_of(address: str) -> str:
    """Return the name under which an address counts: of IPv6 the /64, in which a host chooses freely (RFC 4291, 2.5.4).

    What is no address is returned as it is.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        ip = ip.ipv4_mapped or ip
    return ip.exploded[:19] if isinstance(ip, IPv6Address) else str(ip)


def origin(request: web.Request) -> str:
    """Return scheme and host of the gateway as the client sees it, behind a proxy from X-Forwarded-Proto."""
    scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
    return f"{scheme if scheme in ('http', 'https') else request.scheme}://{request.host}"


def client_address(request: web.BaseRequest) -> str:
    """Return the client's address, of IPv6 the /64; "" if it is not known.

    A request over a Unix socket comes from nginx, which overwrites `X-Real-IP` with the address that it sees
    (config/nginx.conf). Over TCP the header could be the client's own, and counts for nothing.
    """
    return host_of(str(request.remote or request.headers.get("X-Real-IP", "")))
