"""A gateway whose pool has projects on Vertex AI, in front of the emulator."""

import json
from collections import deque
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.emulator.server import CALLS, VERTEX, Call, build_fake
from gateway.emulator.token_service import TokenService
from tests.support.servers import Serve
from tests.support.team import Team

PROJECT = (
    "{name: NAME, vertex: {project: cloud-1, location: LOCATION, credentials: {env: SA}, base_url: 'URL'}}"
)


@cache
def _private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def account(url: str, email: str = "gateway@cloud.example") -> str:
    """Return the JSON key of a service account, whose tokens come from the emulator at `url`."""
    fields = {"type": "service_account", "private_key": _private_key(), "client_email": email}
    return json.dumps({**fields, "token_uri": f"{url}/token"}, indent=1)


class VertexTeam(Team):
    """A gateway with a ledger, and the emulator as the Gemini API and as Vertex AI."""

    def __init__(self, serve: Serve, folder: Path, emulator: web.Application, url: str) -> None:
        super().__init__(serve, folder, url)
        self.url = url
        """Of the emulator."""
        self.emulator = emulator
        serve.environ |= {"EXPRESS": "AQ.express", "SA": account(url)}
        self.environ = serve.environ

    async def start(self, projects: str = "express", more: str = "") -> None:
        """Start with some of the projects `express`, `gemini`, and regions; separated by blanks."""
        self.base = await self._serve(
            f"pool: {{select: round_robin, affinity: false, projects: [{', '.join(map(self._project, projects.split()))}]}}\n"
            f"{self.config}{more}",
            self._upstream,
        )

    def _project(self, name: str) -> str:
        if name == "forbidden":
            return (
                self._project("us-east1")
                .replace("cloud-1", "forbidden-1")
                .replace("in-us-east1", "forbidden")
            )
        if name == "gemini":
            return "{name: gemini, keys: [{env: KEY_A}]}"
        if name == "express":
            return f"{{name: express, keys: [{{env: EXPRESS}}], vertex: {{base_url: '{self.url}'}}}}"
        return PROJECT.replace("NAME", f"in-{name}").replace("LOCATION", name).replace("URL", self.url)

    @property
    def tokens(self) -> TokenService:
        """The emulator's token service."""
        return self.emulator[VERTEX].tokens

    @property
    def calls(self) -> list[Call]:
        """Calls of models that have arrived at the emulator."""
        calls: deque[Call] = self.emulator[CALLS]
        return list(calls)

    async def post(self, key: str, path: str, body: Any) -> tuple[int, Any]:
        """Return status and JSON of a call with an issued key."""
        headers = {"Authorization": f"Bearer {key}", "x-goog-api-key": key}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.post(self.base + path, json=body) as response,
        ):
            text = await response.text()
        return response.status, json.loads(text) if text.startswith(("{", "[")) else text


async def vertex_team(serve: Serve, folder: Path, aiohttp_server: Any) -> VertexTeam:
    """Return a gateway that is still to be started, in front of an emulator."""
    emulator = build_fake(pace=0)
    server: TestServer = await aiohttp_server(emulator)
    return VertexTeam(serve, folder, emulator, str(server.make_url("")).rstrip("/"))
