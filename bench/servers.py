"""Servers under test: started on a core of their own, and the processor time and memory of all their processes."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
SERVER_CORE, LOAD_CORE = 0, 1
"""The servers have a core; what makes load and answers has the other."""
_PATIENCE = 30.0
"""Seconds until a server listens, or has ended."""
_NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log crit;
events {{ worker_connections 8192; }}
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
_INHERIT = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', "
    "LISTEN_FDNAMES='http'); os.execv(sys.argv[2], sys.argv[2:])"
)
"""A program that becomes another one, with a listening socket as systemd hands it over (sd_listen_fds(3))."""


@dataclass(frozen=True)
class Tree:
    """A checked-out commit, and the Python that has its packages."""

    folder: Path
    python: str

    def command(self, port: int, upstream: str, config: Path | str = "config/gateway.yaml") -> Sequence[str]:
        """Return the command that serves on a port of loopback."""
        serve = ("-m", "gateway", "serve", "--config", str(config))
        return (self.python, *serve, "--listen", f"127.0.0.1:{port}", "--upstream", upstream)


HERE_TREE = Tree(ROOT, sys.executable)


@dataclass(frozen=True)
class Server:
    """A running server."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    key: str = "AQ.k"
    is_gemini: bool = False
    """Requests are Gemini's, as for a proxy, and not OpenAI's."""
    admin: int = 0
    """Port of the metrics of an instance that shares its own port with others."""

    def answered(self) -> int:
        """Return the requests that it has answered, by its metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=_PATIENCE) as response:
            lines = response.read().decode().splitlines()
        counts = (line.rpartition(" ")[2] for line in lines if line.startswith("gateway_exchanges_total{"))
        return round(sum(map(float, counts)))

    def cpu(self) -> float:
        """Return the seconds of processor time that all its processes have used."""
        return sum(map(cpu_seconds, processes(self.process.pid)))

    def memory(self, field: str = "VmRSS") -> float:
        """Return a field of /proc/PID/status of all its processes, in MB of a million bytes."""
        return sum(_status(pid, field) for pid in processes(self.process.pid)) * 1024 / 1e6

    def stop(self) -> None:
        """End it and all that it has started."""
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(_PATIENCE)
        except ProcessLookupError:
            pass
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def processes(pid: int) -> list[int]:
    """Return a process and its descendants."""
    result = [pid]
    for task in _tasks(pid):
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for child in children:
            result += processes(int(child))
    return result


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process in seconds, by the nanosecond where the kernel counts so.

    `schedstat` is exact. Where the kernel has none, it is utime and stime of `stat` (proc(5)), which have a resolution
    of 10 ms.
    """
    try:
        return sum(int((task / "schedstat").read_text().split()[0]) for task in _tasks(pid)) / 1e9
    except OSError:
        return _ticks(Path(f"/proc/{pid}/stat").read_text()) / os.sysconf("SC_CLK_TCK")


def _ticks(stat: str) -> int:
    """Return utime and stime of /proc/PID/stat; the name in parentheses may have spaces."""
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _tasks(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except FileNotFoundError:
        return []


def _status(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), 0)


def spawn(
    core: int,
    command: Sequence[object],
    cwd: Path = ROOT,
    environ: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a command on a core, in a process group of its own."""
    return subprocess.Popen(
        ["taskset", "-c", str(core), *map(str, command)],
        cwd=cwd,
        # as an installed package, whose bytecode is there
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(environ or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=descriptors,
        start_new_session=True,
    )


class Servers:
    """Starts servers in front of one upstream, and ends them all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._all: list[Server] = []
        self._upstream = free_port()
        self.url = f"http://127.0.0.1:{self._upstream}"
        self._add(
            "upstream", self._upstream, LOAD_CORE, [sys.executable, HERE / "upstream.py", self._upstream]
        )

    def nginx(self) -> Server:
        """Start nginx as a plain reverse proxy with one worker."""
        port = free_port()
        conf = self._folder / "nginx.conf"
        conf.write_text(_NGINX.format(folder=self._folder, upstream=self._upstream, port=port))
        return self._add(
            "nginx", port, SERVER_CORE, ["nginx", "-p", self._folder, "-c", conf], is_gemini=True
        )

    def bare(self, tree: Tree) -> Server:
        """Start the smallest relay in aiohttp, on the Python and the packages of a tree."""
        port = free_port()
        return self._add("bare", port, SERVER_CORE, [tree.python, HERE / "bare.py", port, self.url])

    def gateway(
        self, name: str, tree: Tree, config: Path | str = "config/gateway.yaml", key: str = "AQ.k"
    ) -> Server:
        """Start a gateway."""
        port = free_port()
        command = tree.command(port, self.url, config)
        return self._add(name, port, SERVER_CORE, command, cwd=tree.folder, key=key)

    def race(self, name: str, command: str) -> Server:
        """Start a command of the shell, which finds PORT and UPSTREAM in its environment."""
        port = free_port()
        environ = {"PORT": str(port), "UPSTREAM": self.url}
        return self._add(name, port, SERVER_CORE, ["sh", "-c", command], environ=environ)

    def inherited(self, tree: Tree, cores: Sequence[int]) -> list[Server]:
        """Start a gateway on each core, all of which accept from one listening socket."""
        with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
            port = int(listener.getsockname()[1])
            file = listener.fileno()
            instances = []
            for core in cores:
                admin = free_port()
                config = self._folder / f"instance-{admin}.yaml"
                config.write_text(f"admin: {{port: {admin}}}\n")
                serve = ("-m", "gateway", "serve", "--config", config, "--upstream", self.url)
                command = [tree.python, "-c", _INHERIT, file, tree.python, *serve]
                instance = self._add(
                    f"instance on core {core}",
                    port,
                    core,
                    command,
                    cwd=tree.folder,
                    descriptors=[file],
                    admin=admin,
                )
                wait_for(admin, instance.process)
                instances.append(instance)
            return instances

    def stop(self, *servers: Server) -> None:
        """End some servers, or all."""
        for server in servers or tuple(reversed(self._all)):
            server.stop()
            self._all.remove(server)

    def _add(
        self,
        name: str,
        port: int,
        core: int,
        command: Sequence[object],
        *,
        cwd: Path = ROOT,
        environ: Mapping[str, str] | None = None,
        descriptors: Sequence[int] = (),
        key: str = "AQ.k",
        is_gemini: bool = False,
        admin: int = 0,
    ) -> Server:
        process = spawn(core, command, cwd, environ, descriptors)
        server = Server(name, port, process, key, is_gemini, admin)
        self._all.append(server)
        wait_for(port, process)
        return server


def free_port() -> int:
    """Return a free port below the range of outgoing connections, which could take it before the server listens."""
    for port in random.sample(range(20_000, 30_000), 100):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise RuntimeError("no port is free")


def wait_for(port: int, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until a port listens. Raises RuntimeError after 30 seconds, and when the process has ended."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process is not None and process.poll() is not None:
                raise RuntimeError(_why_it_ended(process)) from None
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"nothing listens on port {port}")


def _why_it_ended(process: subprocess.Popen[bytes]) -> str:
    """Return the last line of a process that ended at once; it is started again to see it."""
    try:
        output = subprocess.run(
            process.args, cwd=ROOT, stderr=subprocess.PIPE, timeout=10, check=False
        ).stderr
    except subprocess.TimeoutExpired:
        output = b""
    line = output.decode(errors="replace").strip().rpartition("\n")[2]
    return f"{process.args!r} ended with {process.returncode}: {line}"
