"""The pool's projects on Vertex AI: for each its host, its path and its credentials.

The host is the configuration's or Google's for the region, and the path is built from checked parts: nothing that a
client sends chooses where a token or a key goes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, structs
from yarl import URL

from gateway.config.sections import ProjectConfig, UpstreamConfig
from gateway.config.vertex import VertexConfig
from gateway.errors import UpstreamError
from gateway.policy.pool.vertex_key import VertexKey
from gateway.upstream.causes import Reach
from gateway.upstream.transport import Body, Response, Transport

if TYPE_CHECKING:
    from gateway.upstream.vertex.token_request import TokenRequest
    from gateway.upstream.vertex.tokens import AccessTokens

_UNAUTHENTICATED = 401


class _Way(Struct):
    """The way to one project."""

    transport: Transport
    reach: Reach
    root: str
    """Path above `publishers/google/models`, with a slash at its end."""
    tokens: "AccessTokens | None"
    """None for express keys."""


class VertexProjects:
    """The ways to all of them. `open_transport` makes the connections to an origin; its projects share them."""

    def __init__(
        self,
        upstream: UpstreamConfig,
        projects: Sequence[ProjectConfig],
        open_transport: Callable[[str], Transport],
    ) -> None:
        self._transports: dict[str, Transport] = {}
        self._token_request: TokenRequest | None = None
        self._ways: dict[str, _Way] = {}
        for project in projects:
            if (vertex := project.vertex) is not None:
                if vertex.origin not in self._transports:
                    self._transports[vertex.origin] = open_transport(vertex.origin)
                self._ways[project.name] = _Way(
                    self._transports[vertex.origin],
                    Reach(structs.replace(upstream, base_url=vertex.origin)),
                    vertex.root,
                    self._tokens(project.name, vertex, upstream.proxy),
                )

    async def request(
        self,
        key: VertexKey,
        method: str,
        path: str,
        body: Body,
        headers: Mapping[str, str] | None = None,
        *,
        whole: bool = False,
    ) -> Response:
        """Send a call and return its response, whatever the status. `path` is that of a `VertexCall`.

        After a 401 it is sent once more, with another token. Raises GatewayError.
        """
        way = self._ways[key.project]
        if way.tokens is None:
            return await _send(
                way, method, path, {**(headers or {}), "x-goog-api-key": key}, body, whole=whole
            )
        credentials = await way.tokens.headers()
        response = await _send(way, method, path, {**(headers or {}), **credentials}, body, whole=whole)
        if response.status != _UNAUTHENTICATED:
            return response
        response.close()
        way.tokens.refuse(credentials)
        credentials = await way.tokens.headers()
        return await _send(way, method, path, {**(headers or {}), **credentials}, body, whole=whole)

    def _tokens(self, name: str, vertex: VertexConfig, proxy: str | None) -> "AccessTokens | None":
        if vertex.project is None:
            return None
        # They need the standard library's HTTP client, which takes 0.5 MB.
        from gateway.upstream.vertex.token_request import TokenRequest
        from gateway.upstream.vertex.tokens import AccessTokens, loader

        if self._token_request is None:
            self._token_request = TokenRequest(proxy)
        tokens = AccessTokens(name, loader(vertex.credentials, self._token_request), self._token_request)
        tokens.begin()
        return tokens

    async def close(self) -> None:
        """Close all connections, and end renewals of tokens."""
        for way in self._ways.values():
            if way.tokens is not None:
                await way.tokens.close()
        for transport in self._transports.values():
            await transport.close()


def hosts(projects: Sequence[ProjectConfig]) -> set[str]:
    """Return the hosts of the projects on Vertex AI."""
    origins = [project.vertex.origin for project in projects if project.vertex is not None]
    return {host for origin in origins if (host := URL(origin).raw_host) is not None}


async def _send(
    way: _Way, method: str, path: str, headers: Mapping[str, str], body: Body, *, whole: bool
) -> Response:
    try:
        response = await way.transport.request(method, way.root + path, headers, body, whole=whole)
    except UpstreamError as error:
        way.reach.explain(error)
        raise
    way.reach.succeeded()
    return response
