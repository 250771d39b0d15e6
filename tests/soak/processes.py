"""Processes of a soak: a gateway and its upstream, and what the gateway holds."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Self

from tests.support.paths import ROOT

MB = 1_000_000


def setting(name: str, default: float) -> float:
    """Return a number of the environment, such as COUNT or DURATION."""
    return float(os.environ.get(name) or default)


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class Processes:
    """The upstream of bench/ or a module of this folder, and a gateway in front of it.

    FOLDER in the configuration is a folder that is deleted at the end.
    """

    def __init__(self, config: str, *upstream: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self.upstream_port, self.port, self.admin_port = free_port(), free_port(), free_port()
        path = self.folder / "gateway.yaml"
        path.write_text(
            f"upstream: {{base_url: 'http://127.0.0.1:{self.upstream_port}'}}\n"
            f"listen: {{port: {self.port}}}\nadmin: {{port: {self.admin_port}}}\n"
            + config.replace("FOLDER", str(self.folder))
        )
        self.base = f"http://127.0.0.1:{self.port}"
        self._log = (self.folder / "log").open("wb")
        self._upstream = self._start(*upstream, str(self.upstream_port))
        self.gateway = self._start("-m", "gateway", "serve", "--config", str(path))

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, *command], cwd=ROOT, stderr=self._log)

    def __enter__(self) -> Self:
        end = monotonic() + 30
        for port in (self.upstream_port, self.port):
            while monotonic() < end:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self.gateway, self._upstream):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        self._log.close()
        self._folder.cleanup()

    def log(self) -> str:
        """Return what both wrote on standard error."""
        return (self.folder / "log").read_text("utf-8", "replace")

    def memory(self) -> float:
        """Return the gateway's resident memory in MB."""
        pages = int(Path(f"/proc/{self.gateway.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / MB

    def upstream_connections(self) -> int:
        """Return the number of the gateway's connections to the upstream, idle ones included."""
        folder = Path(f"/proc/{self.gateway.pid}")
        peer = f":{self.upstream_port:04X}"
        rows = [line.split() for line in (folder / "net/tcp").read_text().splitlines()]
        sockets = {f"socket:[{row[9]}]" for row in rows if row[2].endswith(peer)}
        return sum(target in sockets for target in _targets(folder / "fd"))

    def descriptors(self) -> int:
        """Return the number of the gateway's open files without its connections to the upstream.

        Of those, as many are kept as were needed at once, which differs from one second to the next.
        """
        return len(os.listdir(f"/proc/{self.gateway.pid}/fd")) - self.upstream_connections()


def _targets(folder: Path) -> Iterator[str]:
    """Yield what descriptors refer to."""
    for entry in folder.iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            yield str(entry.readlink())


def report(name: str, figures: str, missed: list[str]) -> int:
    """Print the last line of a soak, and return its exit code."""
    print(
        f"{'MISS' if missed else 'PASS'} {name}: {figures}"
        + (f"; missed: {', '.join(missed)}" if missed else "")
    )
    return int(bool(missed))
