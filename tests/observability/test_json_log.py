"""Lines of the JSON log: bounded, counted when dropped, and those of the standard library's `logging`."""

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
import time
import warnings
from typing import Any

import msgspec
import pytest

from gateway.observability.json_log import JsonLog, LogHandler, captured_logging
from gateway.observability.redaction import redacted
from gateway.observability.request_log import RequestLog
from tests.support.canaries import CANARIES, NAMED, hits
from tests.support.paths import ROOT


async def test_lines_are_dropped_and_counted_when_nobody_reads(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.observability.json_log._MAX_QUEUED", 3)
    log = JsonLog(pipe[1])
    expected = []
    for count in (5, 4, 3):
        for i in range(count):
            log.event("test", number=i)
        await log.close()
        lines = [json.loads(line) for line in os.read(pipe[0], 10_000).splitlines()]
        expected.append([line.get("number", line.get("count")) for line in lines])

    assert expected == [[0, 1, 2, 2], [0, 1, 2, 1], [0, 1, 2]]
    assert log.dropped == 3


async def test_lines_wait_while_the_reader_is_stopped_and_none_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.observability.json_log._PAUSE", 0.0)
    reading, writing = os.pipe()
    log = JsonLog(writing)
    for i in range(400):  # more than a pipe holds
        log.exchange(RequestLog("id", "GET", "/" + "x" * 1000, requested_model="m" * 1000))
        if i % 100 == 0:
            await asyncio.sleep(0.01)
    closing = asyncio.create_task(log.close())
    data = b""
    while data.count(b"\n") < 400:
        data += await asyncio.to_thread(os.read, reading, 65536)
    await closing
    os.close(reading)
    os.close(writing)

    assert all(len(line) < 1000 for line in data.splitlines())


@pytest.mark.row("P15")
async def test_p15_lines_for_a_closed_reader_are_counted() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    log = JsonLog(writing)
    log.event("lost")
    log.event("lost")
    await log.close()
    os.close(writing)

    assert log.dropped == 2


@pytest.mark.row("P14")
async def test_p14_lines_that_a_full_disk_takes_no_more_are_counted_and_told_later(
    pipe: tuple[int, int],
) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    log = JsonLog(full)
    log.event("lost")
    await log.close()
    os.dup2(pipe[1], full)  # there is space again
    log.event("kept")
    lines = await lines_of(log, pipe)
    os.close(full)

    assert [line.get("count", line["event"]) for line in lines] == ["kept", 1]
    assert log.dropped == 1


@pytest.mark.row("P14", "A28")
async def test_p14_a_pipe_that_does_not_block_loses_nothing(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    log = JsonLog(pipe[1])
    for i in range(400):  # more than a pipe holds
        log.event("line", number=i, text="x" * 300)
    closing = asyncio.create_task(log.close())
    data = b""
    while data.count(b"\n") < 400:
        data += await asyncio.to_thread(os.read, pipe[0], 65536)
    await closing

    assert [json.loads(line)["number"] for line in data.splitlines()] == list(range(400))
    assert log.dropped == 0


async def lines_of(log: JsonLog, pipe: tuple[int, int]) -> list[dict[str, Any]]:
    """Return what the log has written once it is closed."""
    await log.close()
    return [json.loads(line) for line in os.read(pipe[0], 100_000).splitlines()]


async def test_a_record_of_logging_is_a_line(pipe: tuple[int, int]) -> None:
    log = JsonLog(pipe[1])
    with captured_logging(log):
        logging.getLogger("gateway.plugins.acme").info("fetched %d rows", 3)
        logging.getLogger("some.library").warning("slow")
        logging.getLogger("some.library").info("a library's INFO is not logged")
    logging.getLogger("gateway.plugins.acme").info("after the end")
    lines = await lines_of(log, pipe)

    assert [{key: value for key, value in line.items() if key != "time"} for line in lines] == [
        {"event": "log", "logger": "gateway.plugins.acme", "level": "info", "message": "fetched 3 rows"},
        {"event": "log", "logger": "some.library", "level": "warning", "message": "slow"},
    ]


GOOGLE, ISSUED = "AIza" + "x" * 35, "sk-gw-abc-123"


@pytest.mark.parametrize(
    ("message", "logged"),
    [
        (f"key {GOOGLE} refused", "key **** refused"),
        ("key AQ." + "x" * 30, "key ****"),
        (f"{ISSUED}: expired", "****: expired"),
        ("Authorization: Bearer abc.def!", "Authorization: Bearer ****"),
        ("postgresql://me:secret@10.0.0.5/db fails", "postgresql://****@10.0.0.5/db fails"),
        ("https://example.com/a@b", "https://example.com/a@b"),
        ("x" * 5000, "x" * 2000 + "…"),
    ],
)
async def test_a_message_is_shortened_and_has_no_secrets(
    pipe: tuple[int, int], message: str, logged: str
) -> None:
    log = JsonLog(pipe[1])
    LogHandler(log).handle(logging.makeLogRecord({"msg": message}))

    assert [line["message"] for line in await lines_of(log, pipe)] == [logged]


async def test_an_exception_is_its_type_and_its_frames(pipe: tuple[int, int]) -> None:
    log = JsonLog(pipe[1])
    with captured_logging(log):
        try:
            raise KeyError("a client's text")
        except KeyError:
            logging.getLogger("gateway.plugins.acme").exception("failed")
    (line,) = await lines_of(log, pipe)

    assert line["level"] == "error"
    assert line["trace"].startswith(f"KeyError\n{__file__}:")
    assert "client" not in line["trace"]


async def test_of_a_lost_exception_its_text_is_not_logged(pipe: tuple[int, int]) -> None:
    log = JsonLog(pipe[1])
    with captured_logging(log):
        context = {"message": "Task exception was never retrieved", "exception": KeyError("a client's text")}
        asyncio.get_running_loop().call_exception_handler({**context, "task": object()})
    (line,) = await lines_of(log, pipe)

    assert (line["logger"], line["message"]) == ("asyncio", "Task exception was never retrieved")
    assert "client" not in str(line)


async def test_a_message_that_cannot_be_formatted_is_still_a_line(pipe: tuple[int, int]) -> None:
    log = JsonLog(pipe[1])
    LogHandler(log).handle(logging.makeLogRecord({"msg": "%d rows", "args": ("many",)}))

    assert [line["message"] for line in await lines_of(log, pipe)] == [
        "%d rows (cannot be formatted: TypeError)"
    ]


async def test_a_thread_may_log_and_its_line_is_written_without_another(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.observability.json_log._PAUSE", 0.0)
    log = JsonLog(pipe[1])
    log.event("first")
    assert b'"first"' in await asyncio.to_thread(os.read, pipe[0], 10_000)
    thread = threading.Thread(target=log.event, args=("second",))
    thread.start()
    second = await asyncio.wait_for(asyncio.to_thread(os.read, pipe[0], 10_000), 10)
    thread.join()
    await log.close()

    assert json.loads(second)["event"] == "second"


@pytest.mark.parametrize("old_ends_first", [True, False])
async def test_of_two_applications_the_newest_that_runs_has_the_lines(
    pipe: tuple[int, int], old_ends_first: bool
) -> None:
    old, new = JsonLog(pipe[1]), JsonLog(pipe[1])
    logger = logging.getLogger("gateway.plugins.acme")
    first, second = captured_logging(old), captured_logging(new)
    first.__enter__()
    second.__enter__()
    logger.info("both run")
    (first if old_ends_first else second).__exit__(None, None, None)
    logger.info("one runs")
    (second if old_ends_first else first).__exit__(None, None, None)
    logger.info("none runs")
    of_new = [line["message"] for line in await lines_of(new, pipe)]
    of_old = [line["message"] for line in await lines_of(old, pipe)] if not old_ends_first else []

    assert of_new == (["both run", "one runs"] if old_ends_first else ["both run"])
    assert of_old == ([] if old_ends_first else ["one runs"])


@pytest.mark.row("A24")
@pytest.mark.parametrize("kind", [*CANARIES, *NAMED])
async def test_a24_no_line_of_the_log_contains_a_secret(pipe: tuple[int, int], kind: str) -> None:
    secret = {**CANARIES, **NAMED}[kind]
    log = JsonLog(pipe[1])
    with captured_logging(log):
        log.event("team", message=f"cannot reach {secret}", **{secret: secret})
        log.exchange(
            RequestLog(secret, "GET", f"/v1/{secret}", model=secret, notes=[secret], failures=[secret])
        )
        for before in range(len(secret)):  # wherever a long text is cut
            path = "/" * (255 - before) + secret
            log.exchange(RequestLog("id", "GET", path, requested_model=path))
        logging.getLogger("some.library").warning("called with %s", {"a": [secret]})
        logging.getLogger("some.library").warning("%s %s", "x" * 1990, secret)
        logging.getLogger("some.library").error(secret, exc_info=ValueError(secret))
        logging.getLogger(secret).error("a logger's name")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn(secret, stacklevel=1)
        asyncio.get_running_loop().call_exception_handler(
            {"message": secret, "exception": ValueError(secret)}
        )
    lines = await lines_of(log, pipe)

    assert len(lines) == len(secret) + 8
    assert hits(json.dumps(lines)) == []


@pytest.mark.row("A24")
def test_a24_what_nothing_catches_is_written_without_secrets() -> None:
    secret = CANARIES["issued"]
    program = f"""
import subprocess
import sys
import threading
import time
import warnings
from gateway.observability.json_log import catch_all_exceptions
catch_all_exceptions()
class Broken:
    def __del__(self): raise ValueError("{secret}")
def fail(): raise ValueError("{secret}")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
Broken()
raise ValueError("it was {secret}")
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=ROOT, check=False)

    assert result.returncode == 1
    assert result.stderr.count(b"ValueError") == 3
    assert b"it was ****" in result.stderr
    assert hits(result.stderr) == []


async def test_invisible_characters_are_escaped(pipe: tuple[int, int]) -> None:
    """Terminals obey C1 controls; others hide text or turn it around (CVE-2021-42574)."""
    text = "a\x7f\x9b31m\u202e\u2066\u200b\u2028\ufeffé\U0001f600\x1b"
    log = JsonLog(pipe[1])
    log.event("team", message=text)
    await log.close()
    line = os.read(pipe[0], 10_000)

    assert json.loads(line)["message"] == text
    assert [character for character in line.decode() if not character.isprintable()] == ["\n"]


@pytest.mark.row("A5")
@pytest.mark.parametrize(
    "fields",
    [
        {"model": "m" * 3_000_000},
        {"requested_model": "/" * 3_000_000},
        {"path": "/" + "%2f" * 1_000_000},
        {"unknown_reason": "R" * 3_000_000},
        {"error": "AQ." + "e" * 3_000_000},
        {"failures": ["f" * 1000] * 3000},
        {"notes": ["é" * 3_000_000, "n"]},
    ],
)
async def test_a05_a_line_of_a_request_is_bounded(pipe: tuple[int, int], fields: dict[str, Any]) -> None:
    log = JsonLog(pipe[1])
    began = time.thread_time()
    log.exchange(RequestLog(**{"request_id": "id", "method": "GET", "path": "/", **fields}))
    assert time.thread_time() - began < 0.3
    await log.close()
    line = os.read(pipe[0], 60_000)

    assert len(line) < 20_000
    assert json.loads(line)["request_id"] == "id"
    assert next(iter(fields)) in json.loads(line)


@pytest.mark.row("A5")
async def test_a05_a_line_of_another_kind_is_bounded(pipe: tuple[int, int]) -> None:
    log = JsonLog(pipe[1])
    log.event("team", message="AIza" + "x" * 3_000_000, list=["y" * 10] * 1000)
    await log.close()
    line = os.read(pipe[0], 60_000)

    assert len(line) < 20_000
    assert json.loads(line)["list"][-1] == "+950"
    assert b"AIza" not in line


async def test_a_secret_in_any_text_of_a_record_is_replaced(pipe: tuple[int, int]) -> None:
    """The line of a usual record is not searched as a whole."""
    usual = msgspec.to_builtins(RequestLog("req_1", "POST", "/v1/chat/completions", 200))
    secret = next(iter(CANARIES.values()))
    log = JsonLog(pipe[1])
    fields = []
    for field in RequestLog.__struct_fields__:
        for value in (secret, [secret]):
            try:
                record = msgspec.convert(usual | {field: value}, RequestLog)
            except msgspec.ValidationError:
                continue  # a number, or a list
            log.exchange(record)
            fields.append(field)
    await log.close()
    lines = [json.loads(line) for line in os.read(pipe[0], 100_000).splitlines()]

    values = [line[field] for field, line in zip(fields, lines, strict=True)]
    assert [value if isinstance(value, str) else value[0] for value in values] == [redacted(secret)] * len(
        fields
    )
    assert len(fields) >= 18


async def test_one_thread_writes_all_lines(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.observability.json_log._PAUSE", 0.0)
    log = JsonLog(pipe[1])
    before = set(threading.enumerate())
    writers = set()
    for number in range(3):
        log.event("test", number=number)
        await asyncio.to_thread(os.read, pipe[0], 10_000)
        writers |= {thread for thread in set(threading.enumerate()) - before if "asyncio" not in thread.name}
    await log.close()

    assert len(writers) == 1
    (writer,) = writers
    writer.join(5)
    assert not writer.is_alive()
