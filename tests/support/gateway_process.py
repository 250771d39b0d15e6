"""A `gateway serve` as a process of its own, watched as systemd would."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT

BODY = {"messages": [{"role": "user", "content": "hello"}], "stream": True}
EVENT = b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}\r\n\r\n'

_HANDOVER = (
    "import os, sys; a, b = os.dup(int(sys.argv[1])), os.dup(int(sys.argv[2]));"
    "os.dup2(a, 3); os.dup2(b, 4); os.set_inheritable(3, True); os.set_inheritable(4, True);"
    "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2', LISTEN_FDNAMES='http:admin');"
    "os.execv(sys.argv[3], sys.argv[3:])"
)


class Gateway:
    """A `gateway serve` of its own, watched as systemd would."""

    def __init__(self, folder: Path, config: str, *arguments: str) -> None:
        (folder / "gateway.yaml").write_text(config)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(folder / "notify"))
        self.notify.settimeout(20)
        self.options: list[str] = []
        """Options of Python."""
        self._arguments = [
            "-m",
            "gateway",
            "serve",
            "--config",
            str(folder / "gateway.yaml"),
            *arguments,
        ]
        self.environ = {**os.environ, "NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "30000000"}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *prefix: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        self.process = subprocess.Popen(
            [*prefix, sys.executable, *self.options, *self._arguments],
            env=self.environ,
            cwd=ROOT,
            stderr=stderr,
            pass_fds=(3,) if prefix else (),
        )
        return self.process

    def start_on(self, clients: socket.socket, admins: socket.socket) -> subprocess.Popen[bytes]:
        """Start with listening sockets, as systemd hands them over (sd_listen_fds(3))."""
        files = (clients.fileno(), admins.fileno())
        self.process = subprocess.Popen(
            [sys.executable, "-c", _HANDOVER, *map(str, files), sys.executable, *self._arguments],
            env=self.environ, cwd=ROOT, stderr=subprocess.PIPE, pass_fds=files,
        )  # fmt: skip
        return self.process

    async def notified(self, expected: str) -> str:
        """The first message to systemd that holds a text."""
        while True:
            message = (await asyncio.to_thread(self.notify.recv, 1000)).decode()
            if expected in message:
                return message

    def close(self) -> None:
        self.notify.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            if self.process.stderr is not None:
                self.process.stderr.close()


def config(upstream: str, drain: float = 20) -> str:
    """Return a configuration for an upstream, on a free port."""
    return f"upstream: {{base_url: '{upstream}'}}\ndrain: {drain}\nlisten: {{port: 0}}\n"


async def ready(gateway: Gateway) -> str:
    """Start, and return the base URL once it serves."""
    gateway.start()
    return (await gateway.notified("READY=1")).rpartition("serving on ")[2]


async def reloaded(gateway: Gateway) -> None:
    """Reload by SIGHUP, and wait until the gateway serves again."""
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGHUP)
    await gateway.notified("RELOADING=1")
    await gateway.notified("READY=1")
