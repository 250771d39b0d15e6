"""Two gateways with one Redis and one PostgreSQL, the emulator as their upstream, and a client of both."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

from tests.cluster.processes import free_port, reachable

MODEL = "gemini-2.5-flash"
MACHINES = (0, 1)
ADMIN_TOKEN = "hush"
ENVIRON = {**os.environ, "KEY_A": "AQ.a", "KEY_B": "AQ.b", "TOKEN": ADMIN_TOKEN}
CONFIG = """
pool: {{projects: [{{name: a, keys: [{{env: KEY_A}}]}}, {{name: b, keys: [{{env: KEY_B}}]}}]}}
ledger: {{url: "{ledger}"}}
state: {{redis: "{redis}", machines: 2}}
admin: {{port: {admin}, token: {{env: TOKEN}}}}
"""


class Cluster:
    """The processes: the emulator and two gateways. Their logs are in the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: list[subprocess.Popen[bytes]] = []
        self._upstream = free_port()
        self.ports = [free_port() for _ in MACHINES]
        self.admin_ports = [free_port() for _ in MACHINES]

    async def start(self) -> None:
        """Start all of them, and wait until they listen."""
        self._spawn("fake", "--listen", f"127.0.0.1:{self._upstream}")
        await reachable(self._upstream)
        for port, admin in zip(self.ports, self.admin_ports, strict=True):
            config = self._folder / f"gateway-{port}.yaml"
            ledger, redis = os.environ["GATEWAY_TEST_POSTGRES"], os.environ["REDIS_URL"]
            config.write_text(CONFIG.format(ledger=ledger, redis=redis, admin=admin))
            upstream = f"http://127.0.0.1:{self._upstream}"
            listen = f"127.0.0.1:{port}"
            self._spawn("serve", "--config", str(config), "--listen", listen, "--upstream", upstream)
            await reachable(port)
            await reachable(admin)

    def stop(self) -> None:
        """End them, and print what their logs have of crashes and of the shared state's failures."""
        for child in self._children:
            child.terminate()
        for child in self._children:
            child.wait(20)
        for log in self._folder.glob("serve-*.log"):
            lines = log.read_text().splitlines()
            print("\n".join([line for line in lines if '"event":"team"' in line or '"crash"' in line][:10]))

    def _spawn(self, *command: str) -> None:
        with (self._folder / f"{command[0]}-{len(self._children)}.log").open("wb") as log:
            arguments = [sys.executable, "-m", "gateway", *command]
            self._children.append(subprocess.Popen(arguments, env=ENVIRON, stdout=log, stderr=log))


class Client:
    """Requests to either machine of a cluster."""

    def __init__(self, http: aiohttp.ClientSession, cluster: Cluster) -> None:
        self._http = http
        self._cluster = cluster

    async def issue(self, **rules: Any) -> tuple[str, str]:
        """Issue a client key with these rules, wait until both machines know it, and return its id and the key."""
        issued = await self.admin("POST", 0, "/admin/keys", {"name": "x", "rules": rules})
        for machine in MACHINES:
            async with asyncio.timeout(5):
                while (await self.ask(issued["key"], machine, model="gemma-3-27b-it"))[0] == 401:
                    await asyncio.sleep(0.02)
        return issued["id"], issued["key"]

    async def admin(self, method: str, machine: int, path: str, body: Any = None) -> Any:
        """Return the JSON body of an admin endpoint."""
        url = f"http://127.0.0.1:{self._cluster.admin_ports[machine]}{path}"
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        async with self._http.request(method, url, json=body, headers=headers) as response:
            return await response.json()

    async def ask(self, key: str, machine: int, text: str = "hi", **fields: Any) -> tuple[int, Any, float]:
        """Return a chat completion's status and JSON body, and the seconds it took."""
        url = f"http://127.0.0.1:{self._cluster.ports[machine]}/v1/chat/completions"
        messages = [{"role": "user", "content": text}]
        body = {"model": MODEL, "max_tokens": 50, "messages": messages, **fields}
        begin = time.perf_counter()
        async with self._http.post(url, json=body, headers={"Authorization": f"Bearer {key}"}) as response:
            answer = await response.json()
            return response.status, answer, time.perf_counter() - begin

    async def ask_many(self, key: str, count: int, at_once: int = 8) -> list[tuple[int, float]]:
        """Ask both machines in turn; return each answer's status and seconds."""
        places = asyncio.Semaphore(at_once)

        async def ask(i: int) -> tuple[int, float]:
            async with places:
                status, _, seconds = await self.ask(key, i % 2)
                return status, seconds

        return list(await asyncio.gather(*(ask(i) for i in range(count))))

    async def metric(self, machine: int, name: str) -> float:
        """Return the value of a metric without labels."""
        url = f"http://127.0.0.1:{self._cluster.admin_ports[machine]}/metrics"
        async with self._http.get(url) as response:
            lines = (await response.text()).splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))
