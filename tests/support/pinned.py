"""A gateway with two projects of the emulator, and issued keys that call Gemini's own API."""

from pathlib import Path
from time import time
from typing import Any

import aiohttp

from gateway.policy.clients.client_rules import Rules
from gateway.store.ledger import client_keys
from gateway.store.ledger.tables import open_engine
from tests.support.servers import Fake, Serve

M = "gemini-2.5-flash"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/"


class Pinned:
    """A gateway with projects of the emulator, whose keys are named as they are."""

    def __init__(self, serve: Serve, folder: Path, fake: Fake) -> None:
        serve.environ = {f"KEY_{name.upper()}": f"AIza-{name}" for name in "ab"}
        self._serve, self._folder, self._fake = serve, folder, fake
        self.base = ""

    async def start(self, projects: str = "ab") -> None:
        """Start, or start again, with the same state; nothing but a pin keeps calls together."""
        await self._serve.stop()
        listed = ", ".join(f"{{name: {entry}, keys: [{{env: KEY_{entry.upper()}}}]}}" for entry in projects)
        self.base = await self._serve(
            f"pool: {{projects: [{listed}], select: round_robin, affinity: false}}\n"
            f"ledger: {{url: {self._folder}/ledger.db}}\nstate: {{file: {self._folder}/state.db}}\n",
            self._fake.url,
        )

    def issue(self, **rules: Any) -> str:
        engine = open_engine(f"{self._folder}/ledger.db", None)
        _, key = client_keys.issue(engine, "x", Rules(**rules), time(), None)
        engine.dispose()
        return key

    async def call(
        self, key: str, method: str, path: str, body: Any = None, **more: Any
    ) -> tuple[int, Any, Any]:
        """Status, decoded answer and headers."""
        url = path if path.startswith("http") else self.base + path
        async with (
            aiohttp.ClientSession(headers={"x-goog-api-key": key} if key else {}) as http,
            http.request(method, url, json=body, **more) as response,
        ):
            return response.status, await response.json(content_type=None), response.headers

    async def upload(self, key: str) -> str:
        """A new file's name, uploaded as the SDKs do it."""
        start = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"}
        _, _, headers = await self.call(key, "POST", "/upload/v1beta/files", {"file": {}}, headers=start)
        url = headers["X-Goog-Upload-URL"]
        assert url.startswith(self.base)
        more = {"X-Goog-Upload-Command": "upload"}
        assert (await self.call(key, "POST", url, data=b"abc", headers=more))[0] == 200
        last = {"X-Goog-Upload-Command": "upload, finalize"}
        _, answer, _ = await self.call(key, "POST", url, data=b"defg", headers=last)
        assert answer["file"]["sizeBytes"] == "7"
        return str(answer["file"]["name"])

    async def cache(self, key: str, *files: str) -> tuple[int, Any, Any]:
        """A cached content, of more than the 1,024 tokens that one must have."""
        body = {"model": f"models/{M}", "contents": contents(*files, text="word " * 900)}
        return await self.call(key, "POST", "/v1beta/cachedContents", body)

    async def generate(
        self, key: str, *files: str, text: str = "hi", verb: str = "generateContent", **more: Any
    ) -> Any:
        return await self.call(
            key, "POST", f"/v1beta/models/{M}:{verb}", {"contents": contents(*files, text=text), **more}
        )

    async def chat(self, key: str, *files: str, **more: Any) -> tuple[int, Any, Any]:
        parts = [
            {"type": "text", "text": "hi"},
            *({"type": "file", "file": {"file_id": entry}} for entry in files),
        ]
        body = {"model": M, "messages": [{"role": "user", "content": parts}], **more}
        return await self.call(key, "POST", "/v1/chat/completions", body)

    def key(self) -> str:
        """The project's key that was used last."""
        return self._fake.last.headers["x-goog-api-key"]


def contents(*files: str, text: str = "hi") -> list[Any]:
    named = [{"fileData": {"fileUri": GOOGLE + entry if "://" not in entry else entry}} for entry in files]
    return [{"role": "user", "parts": [{"text": text}, *named]}]
