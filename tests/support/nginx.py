"""Debian's nginx on loopback with the shipped site, in front of an application on a Unix socket."""

import asyncio
import re
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from gateway.server.connection.protocol import Runner
from tests.support.paths import ROOT

needs_nginx = pytest.mark.skipif(shutil.which("nginx") is None, reason="no nginx on the PATH")
SITE = (ROOT / "config" / "nginx.conf").read_text()
DOMAIN = "gateway.test"


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class Nginx:
    """The site on two ports of loopback. `folder` gets its certificate, logs and configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tls, self.plain = free_port(), free_port()
        self.upstream = folder / "gateway.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self.file = folder / "nginx.conf"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                   "-subj", f"/CN={DOMAIN}", "-keyout", "privkey.pem", "-out", "fullchain.pem"]  # fmt: skip
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        self.file.write_text(self._configuration())

    def _configuration(self) -> str:
        """Return a main configuration around the site, whose paths and ports are replaced."""
        site = re.sub(r"^ *listen \[::\].*\n", "", SITE, flags=re.M)
        for old, new in (("@DOMAIN@", DOMAIN), ("@BODY@", "1000000"), ("unix:/run/gateway.sock", f"unix:{self.upstream}"),
                         ("listen 443", f"listen 127.0.0.1:{self.tls}"), ("listen 80", f"listen 127.0.0.1:{self.plain}"),
                         ("/etc/gateway/tls", str(self.folder)), ("/var/log/nginx", str(self.folder))):  # fmt: skip
            site = site.replace(old, new)
        temporary = "".join(
            f"{name}_temp_path {self.folder}/{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return (
            f"user root;\ndaemon off;\nworker_processes 1;\npid {self.folder}/pid;\nerror_log {self.folder}/main.log;\n"
            f"events {{}}\nhttp {{\n{temporary}{site}\n}}\n"
        )

    def check(self) -> subprocess.CompletedProcess[str]:
        """Return the result of `nginx -t`."""
        return subprocess.run(
            ["nginx", "-t", "-c", str(self.file)], capture_output=True, text=True, check=False
        )

    async def start(self) -> None:
        """Start, and wait until the ports are open."""
        self._process = subprocess.Popen(["nginx", "-c", str(self.file)], stderr=subprocess.DEVNULL)
        async with asyncio.timeout(60):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.plain)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    return

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the main process, such as SIGHUP, by which it reloads."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)

    async def send(self, data: bytes, *, tls: bool = True, seconds: float = 5) -> bytes:
        """Send bytes, and return all that comes back until the connection closes or is silent for a while."""
        context = None
        if tls:
            context = ssl.create_default_context(cafile=str(self.folder / "fullchain.pem"))
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.tls if tls else self.plain, ssl=context, server_hostname=DOMAIN if tls else None
        )
        answer = b""
        try:
            writer.write(data)
            await writer.drain()
            while piece := await asyncio.wait_for(reader.read(65536), seconds):
                answer += piece
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()
        return answer


async def in_front_of(app: web.Application, folder: Path) -> AsyncIterator[Nginx]:
    """Yield a running nginx in front of an application."""
    nginx = Nginx(folder)
    runner = Runner(app)
    await runner.setup()
    await web.UnixSite(runner, str(nginx.upstream)).start()
    await nginx.start()
    yield nginx
    nginx.stop()
    await runner.cleanup()
