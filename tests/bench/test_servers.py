"""Processor time and memory of a server's processes."""

import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from bench import servers
from bench.servers import Server, Tree

_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "sum(range(3_000_000)); print(flush=True); input()"], stdin=subprocess.PIPE)
child.wait()
"""


def test_a_server_is_all_its_processes() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, start_new_session=True
    )
    server = Server("x", 1, process)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        parent, child = servers.processes(process.pid)
        total = server.cpu()

        assert parent == process.pid
        assert total >= servers.cpu_seconds(child) > 0.01
        assert server.memory() > server.memory("VmNothing") == 0
    finally:
        server.stop()
        process.stdout.close()
    assert process.returncode is not None
    end = time.monotonic() + 20
    while _is_alive(child) and time.monotonic() < end:
        time.sleep(0.01)
    assert not _is_alive(child)


def _is_alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended is a zombie until its parent looks."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_ticks_of_a_process_whose_name_has_blanks_and_parentheses() -> None:
    before = "1 (a ) b) S 2 3 4 5 6 7 8 9 10 11"

    assert servers._ticks(f"{before} 120 34 5 6 20") == 154


def test_time_is_read_of_stat_where_the_kernel_has_no_schedstat(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = servers.cpu_seconds(os.getpid())
    monkeypatch.setattr(servers, "_tasks", lambda _: [Path("/proc/none")])

    assert servers.cpu_seconds(os.getpid()) == pytest.approx(
        exact, rel=0.3, abs=0.1
    )  # ticks of 10 ms, and other accounts of a busy machine


def test_a_tree_serves_on_a_port_in_front_of_an_upstream() -> None:
    command = Tree(Path("/x"), "/venv/python").command(81, "http://127.0.0.1:9", "team.yaml")

    assert command[:6] == ("/venv/python", "-m", "gateway", "serve", "--config", "team.yaml")
    assert command[6:] == ("--listen", "127.0.0.1:81", "--upstream", "http://127.0.0.1:9")


def test_a_command_that_ends_at_once_says_why(tmp_path: Path) -> None:
    script = tmp_path / "fails.py"
    script.write_text("raise SystemExit('no such model')")

    process = servers.spawn(servers.SERVER_CORE, [sys.executable, script])
    process.wait()
    with pytest.raises(RuntimeError, match=r"ended with 1: no such model"):
        servers.wait_for(servers.free_port(), process)


def test_an_instance_says_how_many_requests_it_has_answered() -> None:
    text = (
        b'gateway_exchanges_total{model="m",status="200"} 40.0\n'
        b'gateway_exchanges_total{model="n",status="499"} 2.0\n'
        b'gateway_exchanges_created{model="m",status="200"} 1.7e9\n'
    )

    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/metrics" else 404)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    with HTTPServer(("127.0.0.1", 0), Metrics) as server:
        threading.Thread(target=server.handle_request).start()
        instance = Server("i", 1, subprocess.Popen(["true"]), admin=server.server_port)
        assert instance.answered() == 42
        instance.process.wait()
