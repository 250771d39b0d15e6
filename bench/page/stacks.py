"""Sampled stacks of py-spy, and the stage of a request that each belongs to."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_FRAME = re.compile(r"^(?P<name>.*) \((?P<path>[^()]*?)(?::\d+)?\)$")
_BEFORE = ("thread (", "uvloop_", "asyncio_", "MainThread")
_IDLE = ("_worker (concurrent/futures/thread.py", "JsonLog._write_all (gateway/observability/json_log.py")
"""Innermost frames of threads without work. py-spy takes some of them for busy."""
LOOP = "event loop and kernel"
OTHER = "other"
STAGES: Mapping[str, str] = {
    LOOP: "uvloop: waiting, reading from sockets, timers",
    "aiohttp": "the server's protocol, parser and writer, with the write to the client",
    "server": "middleware, CORS, request ids, routes",
    "plugins": "decode the client's request, encode the answer or its events",
    "conversation": "build Gemini's request",
    "gemini": "read Gemini's answer or its events, count tokens",
    "exchange": "prepare, admit, retry, deliver",
    "policy": "client, limits, key and cost of the call",
    "upstream": "HTTP/1.1 to Google, with the write to Google",
    "observability": "log line, metrics, the thread that writes the log",
    OTHER: "configuration, stores, errors",
}
"""What a stage does. But for the loop and aiohttp, stages are rooms of `gateway/`."""


@dataclass(frozen=True)
class Frame:
    """A function, and the path of its module."""

    name: str
    path: str

    def stage(self) -> str | None:
        """Return the stage that the module is part of, None for one that serves its caller."""
        top, _, rest = self.path.partition("/")
        if top == "aiohttp":
            return top
        if top == "gateway" and "/" in rest:
            room = rest.partition("/")[0]
            return room if room in STAGES else OTHER
        return None


Stacks = Mapping[tuple[Frame, ...], int]
"""Samples by stack, outermost frame first."""


def parse(raw: str) -> Stacks:
    """Return the busy stacks of py-spy's `raw` format: frames between semicolons, a blank, the count of samples."""
    result: Counter[tuple[Frame, ...]] = Counter()
    for line in raw.splitlines():
        words, _, count = line.rpartition(" ")
        frames = [frame for frame in words.split(";") if not frame.startswith(_BEFORE)]
        if not frames or frames[-1].startswith(_IDLE):
            continue
        matches = [_FRAME.match(frame) for frame in frames]
        result[tuple(Frame(match["name"], match["path"]) for match in matches if match)] += int(count)
    return result


def stage_of(stack: Sequence[Frame]) -> str:
    """Return the stage that a sample counts for: that of the innermost module which is part of one."""
    if stack and (stack[-1].path == "asyncio/runners.py" or stack[-1].path.startswith("uvloop")):
        return LOOP
    return next((stage for frame in reversed(stack) if (stage := frame.stage())), OTHER)


def shares(stacks: Stacks) -> dict[str, float]:
    """Return the share of samples of each stage."""
    counts: Counter[str] = Counter()
    for stack, count in stacks.items():
        counts[stage_of(stack)] += count
    total = counts.total() or 1
    return {stage: counts[stage] / total for stage in STAGES}
