"""Gateways of their own processes that share one listening socket, as systemd's units blue and green do."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.paths import ROOT

_HANDOVER = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.set_inheritable(3, True);"
    "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='http');"
    "os.execv(sys.argv[2], sys.argv[2:])"
)


class SharedSocket:
    """A listening socket, and the gateways that have served it."""

    def __init__(self, folder: Path, config: str, environ: Mapping[str, str] | None = None) -> None:
        self._config = folder / "gateway.yaml"
        self._config.write_text(config)
        self._folder = folder
        self._environ = {**os.environ, **(environ or {})}
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.base = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._log = (folder / "stderr").open("ab")
        self.processes: list[subprocess.Popen[bytes]] = []
        """The newest last."""

    async def start(self) -> None:
        """Start another gateway, and wait until it serves."""
        path = self._folder / f"notify{len(self.processes)}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(path))
            notify.settimeout(30)
            fd = self._listening.fileno()
            serve = [sys.executable, "-m", "gateway", "serve", "--config", str(self._config)]
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, "-c", _HANDOVER, str(fd), *serve],
                    env={**self._environ, "NOTIFY_SOCKET": str(path)},
                    cwd=ROOT,
                    stderr=self._log,
                    pass_fds=(fd,),
                )
            )
            while b"READY=1" not in await asyncio.to_thread(notify.recv, 1000):
                pass

    async def roll(self) -> int:
        """Start a gateway, end the one before it, and return that one's exit code."""
        await self.start()
        self.processes[-2].send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.processes[-2].wait, 60)

    def log(self) -> str:
        """Return what all of them wrote on standard error."""
        return (self._folder / "stderr").read_text()

    def close(self) -> None:
        """End all of them."""
        for process in self.processes:
            process.kill()
            process.wait(10)
        self._listening.close()
        self._log.close()
