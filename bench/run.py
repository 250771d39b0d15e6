"""Compares the gateway with nginx under the same load (make bench), and prints ratios.

Requests per second depend on the machine; their ratio to nginx's on the same two cores depends on it much less. Core 0
runs the servers under test (nginx, the gateway, a bare aiohttp relay, the gateway of a team), which are asked in turn;
core 1 runs wrk and the upstream. Each figure is the median of the rounds.

Needs wrk, nginx and taskset (Debian: apt-get install wrk nginx util-linux) and two cores.
"""

import argparse
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent

NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream gemini {{ server 127.0.0.1:{upstream}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://gemini; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""

LUA = """
wrk.method = "POST"
wrk.headers["Authorization"] = "Bearer k"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[{body}]]
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('JSON {{"rps": %f, "p50": %f, "p99": %f, "failed": %d}}\\n',
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""

TEAM_CONFIG = """
pool: {{projects: [{{name: a, keys: [{{env: BENCH_KEY}}]}}]}}
ledger: {{url: {folder}/ledger.db}}
admin: {{port: {admin}, token: {{env: BENCH_KEY}}}}
"""
"""A gateway with issued keys, their limits, a durable ledger, and metrics."""

Figures = dict[str, float]
"""wrk's `rps` (requests per second), `p50` and `p99` (milliseconds), and `failed` (answers)."""
MIN_TEAM_SHARE = 0.70
"""A team's requests per second as a share of those without its features."""
MIN_SHARE_OF_NGINX = {"unary": 0.12, "streamed": 0.05}
MAX_RSS_MB = 70
MAX_START = 2.5
"""Seconds until READY, as a multiple of `python -c "import aiohttp"`."""


class Bench:
    """The servers under test and their upstream."""

    def __init__(self, folder: Path, seconds: int) -> None:
        self.folder = folder
        self._seconds = seconds
        self._children: list[subprocess.Popen[bytes]] = []
        self.ports = {name: free_port() for name in ("upstream", "nginx", "gateway", "bare", "team")}
        self.key = "k"

    def start(self) -> subprocess.Popen[bytes]:
        """Start all servers, and return the gateway's process."""
        ports = self.ports
        conf = self.folder / "nginx.conf"
        conf.write_text(NGINX.format(folder=self.folder, upstream=ports["upstream"], port=ports["nginx"]))
        url = f"http://127.0.0.1:{ports['upstream']}"
        self._spawn(1, sys.executable, HERE / "upstream.py", ports["upstream"])
        self._spawn(0, "nginx", "-p", self.folder, "-c", conf)
        bare = f"{url}/v1beta/models/gemini-2.5-flash:generateContent"
        self._spawn(0, sys.executable, HERE / "bare.py", ports["bare"], bare)
        gateway = self._spawn(0, *gateway_command(ports["gateway"], url))
        os.environ["BENCH_KEY"] = "AQ.bench"
        team = self.folder / "team.yaml"
        team.write_text(TEAM_CONFIG.format(folder=self.folder, admin=free_port()))
        issue = [sys.executable, "-m", "gateway", "keys", "add", "bench", "--config", str(team),
                 "--requests-per-minute", "1000000000", "--tokens-per-day", "1000000000000"]  # fmt: skip
        self.key = subprocess.run(issue, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
        self._spawn(0, *gateway_command(ports["team"], url, str(team)))
        for port in ports.values():
            wait_for(port)
        return gateway

    def stop(self) -> None:
        """End all servers."""
        for child in self._children:
            child.terminate()
        for child in self._children:
            child.wait(20)

    def load(self, server: str, *, streamed: bool) -> Figures:
        """Return the figures of one wrk run. Raises RuntimeError if an answer failed."""
        body = {
            "model": "gemini-2.5-flash",
            "stream": streamed,
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Say hello."},
            ],
        }
        script = self.folder / "load.lua"
        lua = LUA.format(body=json.dumps(body))
        script.write_text(lua.replace('"Bearer k"', f'"Bearer {self.key}"') if server == "team" else lua)
        path = "/v1/chat/completions"
        if server == "nginx":
            verb = "streamGenerateContent?alt=sse" if streamed else "generateContent"
            path = f"/v1beta/models/gemini-2.5-flash:{verb}"
        url = f"http://127.0.0.1:{self.ports[server]}{path}"
        connections = "32" if streamed else "64"
        self._wrk(script, url, connections, 1)
        figures = self._wrk(script, url, connections, self._seconds)
        if figures["failed"]:
            raise RuntimeError(f"{server}: {figures['failed']:.0f} answers failed: no figure")
        return figures

    def _wrk(self, script: Path, url: str, connections: str, seconds: int) -> Figures:
        command = [
            "taskset",
            "-c",
            "1",
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "-s",
            str(script),
            url,
        ]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        figures: Figures = json.loads(
            next(line[5:] for line in output.splitlines() if line.startswith("JSON "))
        )
        return figures

    def _spawn(self, core: int, *command: object) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            ["taskset", "-c", str(core), *map(str, command)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._children.append(child)
        return child


def gateway_command(port: int, upstream: str, config: str = "config/gateway.yaml") -> Sequence[str]:
    """Return the command that serves on a port of loopback."""
    serve = ("-m", "gateway", "serve", "--config", config)
    return (sys.executable, *serve, "--listen", f"127.0.0.1:{port}", "--upstream", upstream)


def memory(process: subprocess.Popen[bytes], field: str) -> float:
    """Return a field of /proc/PID/status in megabytes: VmRSS is the resident memory, VmHWM its peak."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(field))


def start_ratio(folder: Path, rounds: int) -> tuple[float, float]:
    """Return the median seconds until READY=1 (sd_notify(3)), and the same in imports of aiohttp."""
    ready, imports = [], []
    for i in range(rounds):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import aiohttp"], check=True)
        imports.append(time.perf_counter() - begin)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(folder / f"notify{i}"))
            notify.settimeout(30)
            environ = {**os.environ, "NOTIFY_SOCKET": str(folder / f"notify{i}")}
            begin = time.perf_counter()
            command = gateway_command(free_port(), "http://127.0.0.1:9")
            child = subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.DEVNULL)
            try:
                while b"READY=1" not in notify.recv(1000):
                    pass
                ready.append(time.perf_counter() - begin)
            finally:
                child.terminate()
                child.wait(20)
    return statistics.median(ready), statistics.median(ready) / statistics.median(imports)


def compare(bench: Bench, rounds: int, *, streamed: bool) -> dict[str, Figures]:
    """Return the median figures of each server; the servers are asked in turn."""
    servers = ("nginx", "gateway", "team") if streamed else ("nginx", "gateway", "bare", "team")
    runs: dict[str, list[Figures]] = {server: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            runs[server].append(bench.load(server, streamed=streamed))
    return {
        server: {key: statistics.median(figures[key] for figures in rounds_) for key in ("rps", "p50", "p99")}
        for server, rounds_ in runs.items()
    }


def report(kind: str, medians: dict[str, Figures]) -> bool:
    """Print the figures of one kind of load; return whether they meet the targets."""
    nginx, gateway = medians["nginx"], medians["gateway"]
    for server, figures in medians.items():
        print(
            f"{kind:<9}{server:<9}{figures['rps']:>9.0f}/s {figures['rps'] / nginx['rps']:>7.3f} of nginx"
            f"   p50 {figures['p50']:>7.2f} ms ({figures['p50'] / nginx['p50']:.1f} x)"
            f"   p99 {figures['p99']:>7.2f} ms ({figures['p99'] / nginx['p99']:.1f} x)"
        )
    share = medians["team"]["rps"] / gateway["rps"]
    team = _at_least(f"{kind}: a team's share of the gateway's requests", share, MIN_TEAM_SHARE)
    ratio = gateway["rps"] / nginx["rps"]
    return _at_least(f"{kind}: share of nginx's requests", ratio, MIN_SHARE_OF_NGINX[kind]) and team


def _at_least(name: str, value: float, bound: float) -> bool:
    print(f"{'PASS' if value >= bound else 'MISS'}  {name} {value:.3f}, at least {bound}")
    return value >= bound


def _at_most(name: str, value: float, bound: float) -> bool:
    print(f"{'PASS' if value <= bound else 'MISS'}  {name} {value:.3f}, at most {bound}")
    return value <= bound


def free_port() -> int:
    """Return a free port below the range of outgoing connections, which could take it before the server listens."""
    for port in random.sample(range(20_000, 30_000), 100):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise RuntimeError("no port is free")


def wait_for(port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"nothing listens on port {port}")


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs of wrk for each server (default 3)")
    parser.add_argument("--seconds", type=int, default=5, help="length of a run (default 5)")
    parser.add_argument("--gate", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args()
    missing = [tool for tool in ("wrk", "nginx", "taskset") if shutil.which(tool) is None]
    if missing:
        print(
            f"{' and '.join(missing)}: not found. On Debian: apt-get install wrk nginx util-linux",
            file=sys.stderr,
        )
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        seconds, ratio = start_ratio(folder, max(5, options.rounds))
        print(f"READY after {seconds:.2f} s")
        passed = [_at_most("start, in imports of aiohttp", ratio, MAX_START)]
        bench = Bench(folder, options.seconds)
        try:
            gateway = bench.start()
            passed.append(_at_most("RSS idle, MB", memory(gateway, "VmRSS"), MAX_RSS_MB))
            for streamed in (False, True):
                medians = compare(bench, options.rounds, streamed=streamed)
                passed.append(report("streamed" if streamed else "unary", medians))
            print(f"RSS peak {memory(gateway, 'VmHWM'):.0f} MB")
        finally:
            bench.stop()
    return int(options.gate and not all(passed))


if __name__ == "__main__":
    sys.exit(main())
