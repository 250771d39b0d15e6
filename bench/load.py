"""Closed loops by wrk: each connection always has a request. Requests per second, and processor time of each."""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.bodies import Request
from bench.servers import LOAD_CORE, Server

LUA = """
wrk.method = "POST"
{headers}
wrk.body = [==[{body}]==]
function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'JSON {{"requests": %d, "rps": %f, "connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}\\n',
    summary.requests, summary.requests / summary.duration * 1e6, e.connect, e.read, e.write, e.status, e.timeout))
end
"""

_FAILURES = ("connect", "read", "write", "status", "timeout")
"""What wrk counts: errors of connections, answers that are no 2xx or 3xx, and answers that took ten seconds."""


@dataclass(frozen=True)
class Closed:
    """Figures of one run of wrk."""

    requests: int
    rps: float
    cpu: Sequence[float]
    """Seconds of processor time of each server."""

    @property
    def micros(self) -> float:
        """Microseconds of processor time for a request."""
        return sum(self.cpu) / self.requests * 1e6


def closed(servers: Sequence[Server], request: Request, connections: int, seconds: float) -> Closed:
    """Measure servers behind one port under load. Raises RuntimeError if an answer failed."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(script_of(request, servers[0].key))
        script.flush()
        before = [server.cpu() for server in servers]
        figures = _wrk(script.name, f"http://127.0.0.1:{servers[0].port}{request.path}", connections, seconds)
        cpu = [server.cpu() - start for server, start in zip(servers, before, strict=True)]
    if failed := failures(figures):
        raise RuntimeError(f"{servers[0].name}: answers failed ({failed})")
    return Closed(int(figures["requests"]), figures["rps"], cpu)


def script_of(request: Request, key: str) -> str:
    """Return wrk's script for a request."""
    headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in request.head(key).items())
    return LUA.format(headers=headers, body=request.body.decode())


def _wrk(script: str, url: str, connections: int, seconds: float) -> dict[str, float]:
    pinned = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", "--timeout", "10s"]
    command = [*pinned, f"-d{seconds:.0f}s", "-s", script, url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return parse(output)


def failures(figures: Mapping[str, float]) -> str:
    """Return what failed, and how often; nothing if all was well."""
    return ", ".join(f"{name} {figures[name]:.0f}" for name in _FAILURES if figures[name])


def parse(output: str) -> dict[str, float]:
    """Return the figures that the script printed. Raises RuntimeError if there are none."""
    for line in output.splitlines():
        if line.startswith("JSON "):
            result: dict[str, float] = json.loads(line[5:])
            return result
    raise RuntimeError(f"wrk printed no figures: {output[:200]!r}")
