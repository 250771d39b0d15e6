"""Stages of sampled stacks."""

import pytest

from bench.page.stacks import LOOP, OTHER, STAGES, Frame, parse, shares, stage_of
from tests.support.paths import ROOT

_RAW = """\
thread (7): MainThread;<module> (gateway/__main__.py:1);Runner.run (asyncio/runners.py:86) 10
thread (7): MainThread;Runner.run (asyncio/runners.py:86);start (aiohttp/web_protocol.py:5);current_task (asyncio/tasks.py:3) 20
thread (7): MainThread;Runner.run (asyncio/runners.py:86);Chat.create (gateway/plugins/chat/routes.py:5);decode (msgspec/_core.py:3) 30
thread (7): MainThread;Runner.run (asyncio/runners.py:86);f.<locals>.g (gateway/store/x.py:5) 40
thread (8): uvloop_0;Thread.run (threading.py:9);_worker (concurrent/futures/thread.py:69) 900
"""


def test_a_sample_counts_for_the_innermost_stage_and_idle_threads_for_none() -> None:
    result = shares(parse(_RAW))

    assert result == {**dict.fromkeys(STAGES, 0.0), LOOP: 0.1, "aiohttp": 0.2, "plugins": 0.3, OTHER: 0.4}


def test_frames_are_read_with_all_their_parentheses() -> None:
    (stack,) = parse("thread (7): MainThread;f.<locals>.<lambda> (gateway/exchange/a b.py:51) 3")

    assert stack == (Frame("f.<locals>.<lambda>", "gateway/exchange/a b.py"),)


@pytest.mark.parametrize(
    ("path", "stage"),
    [
        ("gateway/upstream/http1/pool.py", "upstream"),
        ("gateway/errors.py", None),
        ("gateway/config/loader.py", OTHER),
        ("aiohttp/web.py", "aiohttp"),
        ("asyncio/tasks.py", None),
    ],
)
def test_a_module_is_part_of_a_stage(path: str, stage: str | None) -> None:
    assert Frame("f", path).stage() == stage


def test_a_stack_without_any_stage_is_other() -> None:
    assert stage_of([Frame("run", "threading.py")]) == OTHER
    assert shares({}) == dict.fromkeys(STAGES, 0.0)


def test_stages_are_rooms_of_the_gateway() -> None:
    rooms = {path.name for path in (ROOT / "gateway").iterdir() if path.is_dir()}

    assert set(STAGES) - {LOOP, "aiohttp", OTHER} - rooms == set()


def test_the_log_s_writer_that_waits_is_idle() -> None:
    waits = "thread (8): Thread-1 (_write_all);JsonLog._write_all (gateway/observability/json_log.py:240) 7"
    writes = waits.replace(" 7", ";JsonLog._write_some (gateway/observability/json_log.py:255) 2")

    assert sum(parse(f"{waits}\n{writes}").values()) == 2
