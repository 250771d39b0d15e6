"""Lines in systemd's journal: their priorities, and that each is JSON, whoever writes it."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.observability.console import VARIABLE, Console, is_json
from gateway.observability.journal import ERROR, INFO, NAMES, WARNING, is_journal, prefixed
from gateway.observability.json_log import EVENTS, JsonLog, LogHandler
from gateway.observability.request_log import RequestLog
from tests.support.gateway_process import Gateway, config
from tests.support.paths import ROOT

LINE = re.compile(rb"<([2-7])>(\{.*\})")


def stream(fd: int) -> str:
    """Return what systemd sets for a service whose output is this file."""
    status = os.fstat(fd)
    return f"{status.st_dev}:{status.st_ino}"


def entries(data: bytes) -> list[tuple[int, dict[str, Any]]]:
    """Return priority and object of each line. Every line must have both."""
    result = []
    for line in data.splitlines():
        match = LINE.fullmatch(line)
        assert match is not None, line
        result.append((int(match[1]), json.loads(match[2])))
    return result


@contextmanager
def journal() -> Iterator[tuple[int, int, dict[str, str]]]:
    """Yield the ends of a pipe, and the environment of a service that writes into it."""
    reading, writing = os.pipe()
    environ = {key: value for key, value in os.environ.items() if key not in (VARIABLE, "NOTIFY_SOCKET")}
    yield reading, writing, {**environ, "JOURNAL_STREAM": stream(writing)}
    os.close(reading)
    os.close(writing)


def run(*command: str, stdin: str = "", journal_stdout: bool = False) -> list[tuple[int, dict[str, Any]]]:
    """Run a command whose standard error is the journal. Return what it wrote there."""
    with journal() as (reading, writing, environ):
        subprocess.run(
            command, cwd=ROOT, env=environ, stderr=writing, stdout=writing if journal_stdout else subprocess.PIPE,
            input=stdin.encode(), timeout=60, check=False,
        )  # fmt: skip
        os.write(writing, b"<6>{}\n")
        return entries(os.read(reading, 2**20))[:-1]


GATEWAY = (sys.executable, "-m", "gateway")


def test_o18_a_file_is_the_journal_if_systemd_names_it(pipe: tuple[int, int]) -> None:
    environ = {"JOURNAL_STREAM": stream(pipe[1])}

    assert is_journal(pipe[1], environ)
    assert not is_journal(pipe[1], {})
    with Path(
        "/dev/null"
    ).open() as other:  # a service may write elsewhere, and its children inherit the variable
        assert not is_journal(other.fileno(), environ)
    assert not is_journal(9999, environ)


@pytest.mark.parametrize(
    ("fields", "priority"),
    [
        ({"status": 200}, INFO), ({"status": 404, "error": "unknown_url"}, INFO), ({"status": 499}, INFO),
        ({"status": 429, "error": "rate_limit_exceeded"}, INFO), ({"status": 500}, WARNING), ({"status": 503}, WARNING),
        ({"status": 200, "error": "upstream_incomplete"}, WARNING),
    ],
)  # fmt: skip
async def test_o18_the_priority_of_a_request_is_that_of_its_status(
    monkeypatch: pytest.MonkeyPatch, pipe: tuple[int, int], fields: dict[str, Any], priority: int
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", stream(pipe[1]))
    log = JsonLog(pipe[1])
    log.exchange(RequestLog("id", "POST", "/", **fields))
    await log.close()

    ((found, line),) = entries(os.read(pipe[0], 10_000))
    assert (found, line["event"]) == (priority, "exchange")


async def test_o18_every_kind_of_line_has_a_priority(
    monkeypatch: pytest.MonkeyPatch, pipe: tuple[int, int]
) -> None:
    import logging

    monkeypatch.setenv("JOURNAL_STREAM", stream(pipe[1]))
    log = JsonLog(pipe[1])
    for event in EVENTS:
        log.event(event.name)
    handler = LogHandler(log)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        handler.emit(logging.LogRecord("x", level, "", 1, "text", (), None))
    await log.close()

    lines = entries(os.read(pipe[0], 10_000))
    assert [priority for priority, _ in lines[: len(EVENTS)]] == [
        event.priority or WARNING for event in EVENTS
    ]
    assert [priority for priority, _ in lines[len(EVENTS) :]] == [7, 6, 4, 3, 2]


async def test_o18_elsewhere_lines_have_no_prefix(pipe: tuple[int, int]) -> None:
    log = JsonLog(pipe[1])
    log.event("team", message="x")
    await log.close()
    Console(pipe[1]).event("message", ERROR, message="y")

    first, second = os.read(pipe[0], 10_000).splitlines()
    assert (json.loads(first)["message"], json.loads(second)["message"]) == ("x", "y")
    assert prefixed(b"{}", ERROR) == b"<3>{}"
    assert set(NAMES) == {2, 3, 4, 5, 6, 7}


@pytest.mark.parametrize(
    ("value", "expected"), [("json", True), ("text", False), ("", False), ("JSON", None), ("xml", None)]
)
def test_o18_a_variable_chooses_the_form(value: str, expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(ValueError, match="expected `json` or `text`"):
            is_json({VARIABLE: value})
    else:
        assert is_json({VARIABLE: value}) is expected


def test_o18_an_unknown_form_is_an_error() -> None:
    result = subprocess.run(
        [*GATEWAY, "routes"], cwd=ROOT, env={**os.environ, VARIABLE: "yaml"}, capture_output=True, check=False
    )

    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr == b"gateway: GATEWAY_LOG is 'yaml': expected `json` or `text`\n"


def test_o18_mistakes_in_the_configuration_are_a_line_each(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text("modles: {}\nlimits: {streams: many}\n")
    for command in ("serve", "check"):
        lines = run(*GATEWAY, command, "--config", f"{tmp_path}/g.yaml", journal_stdout=True)

        assert [(priority, line["event"], line["level"]) for priority, line in lines] == [
            (ERROR, "message", "error")
        ] * 2
        assert {line["message"].partition(": ")[0] for _, line in lines} == {
            f"{tmp_path}/g.yaml:1:1",
            f"{tmp_path}/g.yaml:2:19",
        }


def test_o18_the_check_before_a_start_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text("listen: {port: 0}\n")
    lines = run(*GATEWAY, "check", "--config", f"{tmp_path}/g.yaml", journal_stdout=True)

    assert [(p, line["event"], line["message"]) for p, line in lines] == [
        (INFO, "output", f"{tmp_path}/g.yaml: ok")
    ]


def test_o18_argparse_writes_json() -> None:
    lines = run(*GATEWAY, "serve", "--bogus", "1")

    assert {(priority, line["event"], line["stream"]) for priority, line in lines} == {
        (WARNING, "output", "stderr")
    }
    assert "unrecognized arguments: --bogus 1" in lines[-1][1]["message"]


PRINTING = """
import logging, sys, threading, traceback, warnings
from gateway.observability.console import json_streams, say
from gateway.observability.json_log import catch_all_exceptions
json_streams(stdout=True)
catch_all_exceptions()
print("from a library", 1, sep="-")
print("without end", end="")
print(" and its end")
sys.stderr.write("one\\n\\ntwo\\n")
warnings.warn("old", stacklevel=1)
logging.getLogger("lib").warning("nobody listens")
try:
    1 / 0
except ZeroDivisionError:
    traceback.print_exc()
thread = threading.Thread(target=lambda: 1 / 0)
thread.start(); thread.join()
say("key is AIzaSyCanary0123456789abcdef \\x1b[31m")
print("x" * 25_000)
print("unfinished", end="")
raise RuntimeError("the end")
"""


def test_o18_what_libraries_print_is_json() -> None:
    lines = run(sys.executable, "-c", PRINTING)
    texts = [(line["event"], line.get("message", line.get("trace", ""))) for _, line in lines]

    assert texts[:4] == [
        ("output", "from a library-1"), ("output", "without end and its end"), ("output", "one"), ("output", "two"),
    ]  # fmt: skip
    shown = "\n".join(text for _, text in texts)
    for part in ("UserWarning: old", "nobody listens", "ZeroDivisionError: division by zero", "unfinished"):
        assert part in shown
    crashes = [(priority, line) for priority, line in lines if line["event"] == "crash"]
    assert [priority for priority, _ in crashes] == [ERROR, ERROR]
    assert crashes[0][1]["handler"] == "a thread"
    assert crashes[1][1]["trace"].endswith("RuntimeError: the end\n")
    assert "Canary" not in shown
    assert all(len(line.get("message", "")) <= 10_000 for _, line in lines)
    assert sum(text.count("x" * 1000) for event, text in texts) == 25


async def test_o18_a_service_writes_nothing_but_json_with_priorities(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    with journal() as (reading, writing, environ):
        gateway = Gateway(tmp_path, config("http://127.0.0.1:9") + "upstream_: {}\n")
        try:
            gateway.environ = {
                **gateway.environ,
                **environ,
                "NOTIFY_SOCKET": gateway.environ["NOTIFY_SOCKET"],
            }
            (tmp_path / "gateway.yaml").write_text(config("http://127.0.0.1:9"))
            process = gateway.start(stderr=writing)
            base = (await gateway.notified("READY=1")).rpartition("serving on ")[2]
            async with http.get(f"{base}/healthz") as response:
                assert response.status == 200
            body = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "x"}]}
            headers = {"Authorization": "Bearer AQ.x"}
            async with http.post(f"{base}/v1/chat/completions", json=body, headers=headers) as response:
                assert response.status == 502
            for text in ("broken", config("http://127.0.0.1:8")):
                (tmp_path / "gateway.yaml").write_text(text)
                process.send_signal(signal.SIGHUP)
                await gateway.notified("RELOADING=1")
                await gateway.notified("READY=1")
            process.terminate()
            assert await asyncio.to_thread(process.wait, 20) == 0
            lines = entries(os.read(reading, 2**20))
        finally:
            gateway.close()

    def priorities(event: str, part: str) -> list[int]:
        return [p for p, line in lines if line["event"] == event and part in json.dumps(line)]

    assert priorities("message", "serving on") == [INFO]
    assert priorities("exchange", "/healthz") == [INFO]
    assert priorities("exchange", "/v1/chat/completions") == [WARNING]
    assert priorities("log", "the upstream cannot be reached: 127.0.0.1:9: Connection refused") == [WARNING]
    assert priorities("message", "reload: nothing was changed") == [ERROR]
    assert priorities("message", "reload: done") == [5]
