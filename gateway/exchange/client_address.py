"""The address of a client, for limits of each client."""

from aiohttp import web


def client_address(request: web.BaseRequest) -> str:
    """Return the client's address; "" if it is not known.

    A request over a Unix socket comes from nginx, which overwrites `X-Real-IP` with the address that it sees
    (config/nginx.conf). Over TCP the header could be the client's own, and counts for nothing.
    """
    return str(request.remote or request.headers.get("X-Real-IP", ""))
