"""Prometheus for tests: promtool, and a server that scrapes a gateway. Both are in Debian's package `prometheus`."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

MISSING = "promtool and prometheus are not installed: apt-get install prometheus"


def promtool(*arguments: str, stdin: bytes = b"") -> str:
    """Run promtool and return what it prints. Fails with its output if it finds a mistake."""
    if shutil.which("promtool") is None:
        pytest.skip(MISSING)
    result = subprocess.run(
        ["promtool", *arguments], input=stdin, capture_output=True, check=False, timeout=60
    )
    output = (result.stdout + result.stderr).decode()
    assert result.returncode == 0, output
    return output


class Server:
    """A Prometheus that scrapes one address."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"

    def get(self, path: str, **query: str) -> Any:
        with urlopen(f"{self._base}{path}?{urlencode(query)}", timeout=10) as response:
            return json.load(response)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of an expression. Those that are not a number are left out, as Grafana does."""
        samples = self.get("/api/v1/query", query=expression)["result"]
        return [sample for sample in samples if sample["value"][1] != "NaN"]

    def wait(self, expression: str, seconds: float = 60) -> None:
        """Wait until an expression has a sample."""
        end = monotonic() + seconds
        while not self._has(expression):
            assert monotonic() < end, f"no sample: {expression}"
            sleep(0.2)

    def _has(self, expression: str) -> bool:
        try:
            return bool(self.query(expression))
        except URLError:  # it has not started
            return False


@contextmanager
def prometheus(folder: Path, target: str, rules: Path) -> Iterator[Server]:
    """Run a Prometheus that scrapes a target twice a second and evaluates rules."""
    if shutil.which("prometheus") is None:
        pytest.skip(MISSING)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 500ms, scrape_timeout: 400ms, evaluation_interval: 1s}\n"
        f"rule_files: [{rules}]\n"
        f"scrape_configs: [{{job_name: gateway, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    process = subprocess.Popen(
        [
            "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
        ],
    )  # fmt: skip
    try:
        yield Server(port)
    finally:
        process.terminate()
        process.wait(20)
