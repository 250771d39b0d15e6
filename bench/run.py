"""`make bench`: the gateway beside nginx on the same load in one run, as ratios (house rule: speed lives here).

Core 0 serves (the gateway, nginx, a bare aiohttp relay, in turn), core 1 holds wrk and the fake upstream. Each
figure is the median of the rounds. Loopback only; every child is ended by its id.
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

TEAM = """
pool: {{projects: [{{name: a, keys: [{{env: BENCH_KEY}}]}}]}}
ledger: {{url: {folder}/ledger.db}}
admin: {{port: {admin}, token: {{env: BENCH_KEY}}}}
"""
"""Everything that serving a team costs: issued keys, limits, a durable ledger, metrics."""

Figures = dict[str, float]
TEAM_SHARE = 0.70
"""Of the pass-through figure, with all of that on."""
TARGETS = {"unary": 0.12, "streamed": 0.05}
MOST_RSS_MB = 70
MOST_START = 2.5


class Bench:
    """The servers under test and their upstream."""

    def __init__(self, folder: Path, seconds: int) -> None:
        self.folder = folder
        self._seconds = seconds
        self._children: list[subprocess.Popen[bytes]] = []
        self.ports = {name: _free_port() for name in ("upstream", "nginx", "gateway", "bare", "team")}
        self.key = "k"

    def start(self) -> subprocess.Popen[bytes]:
        """Start everything; the gateway's process."""
        ports = self.ports
        conf = self.folder / "nginx.conf"
        conf.write_text(NGINX.format(folder=self.folder, upstream=ports["upstream"], port=ports["nginx"]))
        url = f"http://127.0.0.1:{ports['upstream']}"
        self._spawn(1, sys.executable, HERE / "upstream.py", ports["upstream"])
        self._spawn(0, "nginx", "-p", self.folder, "-c", conf)
        bare = f"{url}/v1beta/models/gemini-2.5-flash:generateContent"
        self._spawn(0, sys.executable, HERE / "bare.py", ports["bare"], bare)
        gateway = self._spawn(0, *gateway_command(ports["gateway"], url))
        os.environ["BENCH_KEY"] = "AIza-bench"
        team = self.folder / "team.yaml"
        team.write_text(TEAM.format(folder=self.folder, admin=_free_port()))
        issue = [sys.executable, "-m", "gateway", "keys", "add", "bench", "--config", str(team),
                 "--requests-per-minute", "1000000000", "--tokens-per-day", "1000000000000"]  # fmt: skip
        self.key = subprocess.run(issue, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
        self._spawn(0, *gateway_command(ports["team"], url, str(team)))
        for port in ports.values():
            _wait_for(port)
        return gateway

    def stop(self) -> None:
        for child in self._children:
            child.terminate()
        for child in self._children:
            child.wait(20)

    def load(self, server: str, *, streamed: bool) -> Figures:
        """One wrk run. Raises RuntimeError when an answer failed: then there is no figure."""
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
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        figures: Figures = json.loads(
            next(line[5:] for line in shown.splitlines() if line.startswith("JSON "))
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
    serve = ("-m", "gateway", "serve", "--config", config)
    return (sys.executable, *serve, "--listen", f"127.0.0.1:{port}", "--upstream", upstream)


def memory(process: subprocess.Popen[bytes], field: str) -> float:
    """Megabytes from /proc: VmRSS now, VmHWM at most."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(field))


def start_ratio(folder: Path, rounds: int) -> tuple[float, float]:
    """Seconds to READY, and as a multiple of `python -c 'import aiohttp'`; medians, alternating."""
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
            command = gateway_command(_free_port(), "http://127.0.0.1:9")
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
    """Median figures of each server, taken in turn."""
    servers = ("nginx", "gateway", "team") if streamed else ("nginx", "gateway", "bare", "team")
    runs: dict[str, list[Figures]] = {server: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            runs[server].append(bench.load(server, streamed=streamed))
    return {
        server: {key: statistics.median(figures[key] for figures in all_) for key in ("rps", "p50", "p99")}
        for server, all_ in runs.items()
    }


def report(kind: str, found: dict[str, Figures]) -> bool:
    nginx, gateway = found["nginx"], found["gateway"]
    for server, figures in found.items():
        print(
            f"{kind:<9}{server:<9}{figures['rps']:>9.0f}/s {figures['rps'] / nginx['rps']:>7.3f} of nginx"
            f"   p50 {figures['p50']:>7.2f} ms ({figures['p50'] / nginx['p50']:.1f} x)"
            f"   p99 {figures['p99']:>7.2f} ms ({figures['p99'] / nginx['p99']:.1f} x)"
        )
    share = found["team"]["rps"] / gateway["rps"]
    good = _verdict(f"{kind}, a team's share of pass-through", share, TEAM_SHARE, least=True)
    return _verdict(f"{kind} ratio", gateway["rps"] / nginx["rps"], TARGETS[kind], least=True) and good


def _verdict(name: str, value: float, bound: float, *, least: bool = False) -> bool:
    good = value >= bound if least else value <= bound
    print(f"{'PASS' if good else 'MISS'}  {name} {value:.3f}, {'at least' if least else 'at most'} {bound}")
    return good


def _free_port() -> int:
    """Below the range from which outgoing connections take theirs, so that none of them is in the way."""
    for port in random.sample(range(20_000, 30_000), 100):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise RuntimeError("no port is free")


def _wait_for(port: int) -> None:
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--gate", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args()
    missing = [tool for tool in ("wrk", "nginx", "taskset") if shutil.which(tool) is None]
    if missing:
        print(
            f"{' and '.join(missing)} missing. On Debian: apt-get install wrk nginx util-linux",
            file=sys.stderr,
        )
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        seconds, ratio = start_ratio(folder, max(5, options.rounds))
        print(f"READY after {seconds:.2f} s")
        good = [_verdict("start, in imports of aiohttp", ratio, MOST_START)]
        bench = Bench(folder, options.seconds)
        try:
            gateway = bench.start()
            good.append(_verdict("RSS idle, MB", memory(gateway, "VmRSS"), MOST_RSS_MB))
            for streamed in (False, True):
                found = compare(bench, options.rounds, streamed=streamed)
                good.append(report("streamed" if streamed else "unary", found))
            print(f"RSS peak {memory(gateway, 'VmHWM'):.0f} MB")
        finally:
            bench.stop()
    return int(options.gate and not all(good))


if __name__ == "__main__":
    sys.exit(main())
