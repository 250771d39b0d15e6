"""An installation reloads nginx only if nginx has not read the files as they are."""

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.paths import ROOT

LIVE = "etc/letsencrypt/live/gateway.test"
FILES = (
    "etc/nginx/nginx.conf",
    "etc/gateway/nginx.d/own.conf",
    "etc/gateway/tls/fullchain.pem",
    f"{LIVE}/README",
)
RELOAD = ["nginx -t -q", "systemctl reload-or-restart nginx"]


class Server:
    """A machine's files below a folder, and a systemctl that tells when nginx was loaded."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self._programs = folder / "bin"
        self._calls = folder / "calls"
        self._programs.mkdir()
        self.loaded = ""
        self.is_active = True
        self.is_enabled = "enabled"
        for name in FILES:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text("x")

    def is_loaded(self) -> None:
        """Let nginx have read the files as they are now."""
        moment = datetime.now(UTC) + timedelta(
            milliseconds=20
        )  # a file's time is that of the kernel's last tick
        self.loaded = moment.strftime("%a %Y-%m-%d %H:%M:%S.%f UTC")
        while datetime.now(UTC) <= moment + timedelta(milliseconds=20):
            pass

    def install(self) -> list[str]:
        """Run the installer's part for nginx. Return the calls that change something, or check it."""
        systemctl = f'case $1 in is-active) {str(self.is_active).lower()} ;; show) echo "{self.loaded}" ;;'
        systemctl += f" is-enabled) echo {self.is_enabled} ;;"
        write = f'echo "${{0##*/}}" "$@" >>{self._calls}'
        (self._programs / "systemctl").write_text(f"#!/bin/sh\n{systemctl} *) {write} ;; esac\n")
        (self._programs / "nginx").write_text(f"#!/bin/sh\n{write}\n")
        for program in self._programs.iterdir():
            program.chmod(0o755)
        environ = {"PATH": f"{self._programs}:/usr/bin:/bin", "DESTDIR": str(self.root)}
        subprocess.run(["sh", "systemd/nginx.sh", "gateway.test"], cwd=ROOT, env=environ, check=True)
        return self._calls.read_text().splitlines() if self._calls.exists() else []


@pytest.fixture
def server(tmp_path: Path) -> Server:
    result = Server(tmp_path)
    result.is_loaded()
    return result


def test_o01_nothing_changed_and_nginx_keeps_its_connections(server: Server) -> None:
    (server.root / "etc/gateway/tls").chmod(0o700)  # as the installer does each time

    assert server.install() == []


@pytest.mark.parametrize("name", FILES[:3])
def test_o01_a_changed_file_is_read(server: Server, name: str) -> None:
    (server.root / name).write_text("y")
    os.utime(server.root / name, (0, 0))  # as `cp -p` of an older file

    assert server.install() == RELOAD


def test_o01_a_deleted_file_is_noticed(server: Server) -> None:
    (server.root / "etc/gateway/nginx.d/own.conf").unlink()

    assert server.install() == RELOAD


def test_o01_a_certificate_behind_links_is_noticed(server: Server) -> None:
    archive = server.root / "etc/letsencrypt/archive"
    archive.mkdir()
    for number in (1, 2):
        (archive / f"fullchain{number}.pem").write_text(str(number))
    (server.root / LIVE / "fullchain.pem").symlink_to(archive / "fullchain1.pem")
    (server.root / "etc/gateway/tls/fullchain.pem").unlink()
    (server.root / "etc/gateway/tls/fullchain.pem").symlink_to(server.root / LIVE / "fullchain.pem")
    server.is_loaded()
    assert server.install() == []

    (server.root / LIVE / "fullchain.pem").unlink()
    (server.root / LIVE / "fullchain.pem").symlink_to(archive / "fullchain2.pem")

    assert server.install() == RELOAD


@pytest.mark.parametrize(("loaded", "is_active"), [("", True), ("no time", True), (None, False)])
def test_o01_nginx_is_reloaded_or_started_if_its_state_is_unknown(
    server: Server, loaded: str | None, is_active: bool
) -> None:
    server.loaded = server.loaded if loaded is None else loaded
    server.is_active = is_active

    assert server.install() == RELOAD


def test_o01_an_unchanged_site_is_not_written(tmp_path: Path) -> None:
    def install(domain: str) -> tuple[os.stat_result, os.stat_result]:
        environ = {"DESTDIR": str(tmp_path), "PATH": "/usr/bin:/bin", "DOMAIN": domain}
        subprocess.run(["sh", "systemd/install.sh"], cwd=ROOT, env=environ, check=True, capture_output=True)
        nginx = tmp_path / "etc/nginx"
        return (nginx / "sites-available/gateway").stat(), (nginx / "sites-enabled/gateway").lstat()

    for name in ("fullchain.pem", "privkey.pem"):
        (tmp_path / "etc/gateway/tls").mkdir(parents=True, exist_ok=True)
        (tmp_path / "etc/gateway/tls" / name).write_text("x")
    first, again = install("gateway.test"), install("gateway.test")
    other = install("other.test")

    assert [file.st_ctime_ns for file in first] == [file.st_ctime_ns for file in again]
    assert first[0].st_ctime_ns < other[0].st_ctime_ns


def test_nginx_that_is_disabled_starts_at_boot_from_now_on(server: Server) -> None:
    server.is_loaded()
    server.is_enabled = "disabled"

    assert server.install() == ["systemctl enable --quiet nginx"]


@pytest.mark.parametrize("state", ["enabled", "static", "masked", ""])
def test_another_state_of_nginx_is_left_as_it_is(server: Server, state: str) -> None:
    server.is_loaded()
    server.is_enabled = state

    assert server.install() == []
