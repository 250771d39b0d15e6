"""Soak of hostile inputs: COUNT (1,000,000) of bodies, headers, paths and raw bytes, on both listeners.

    COUNT=20000 SEED=7 python -m tests.soak.hostile

What must hold: no 5xx of the gateway's own making, no error that is not JSON where a path of an API was asked, no
connection that hangs for ten seconds, and memory as before at the end.
"""

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator

from tests.soak.processes import Processes, report, setting
from tests.support.bodies import BODIES as SEEDS
from tests.support.hostile import hostile, paths

LONGEST = 10.0
"""Seconds."""
MOST_LEFT = 20.0
"""MB of memory above the base at the end."""
AT_ONCE = 24
CONFIG = (
    "logging: {exchanges: false}\nmedia: {fetch: false}\nconnections: {per_address: 10000}\n"
    "plugins: {chat: {}, responses: {}, messages: {}, completions: {}, embeddings: {}, images: {}, models: {}, moderations: {},"
    " native: {}, health: {}}\n"
)
BODIES = {
    **SEEDS,
    "/v1beta/models/gemini-2.5-flash:generateContent": {"contents": [{"parts": [{"text": "x"}]}]},
    "/admin/keys": {"name": "x", "rules": {"models": ["gemini-*"]}},
}
PLACES = {path: list(paths(body)) for path, body in BODIES.items()}
OTHERS = [
    "/v1/models",
    "/v1/models/x",
    "/v1beta/models",
    "/v1/files",
    "/admin/pool",
    "/admin/usage",
    "/metrics",
    "/healthz",
    "/",
]
PIECES = [
    b"..",
    b"%2e",
    b"%00",
    b"\xff",
    b"//",
    b"?",
    b"#",
    b"{}",
    b"\\",
    b"%",
    b";",
    b" ",
    b"\t",
    b"\xc2\x85",
    b"a" * 9000,
]
HEADERS = [
    b"Host: a\\q", b"Host: \xff", b"Host:", b"Authorization : x", b"Authorization: Bearer \xff", b"Authorization: Basic x",
    b"x-goog-api-key: \x01", b"Content-Encoding: gzip", b"Content-Encoding: br", b"Expect: x", b"Expect: 100-continue",
    b"Upgrade: websocket", b"Transfer-Encoding: chunked", b"Transfer-Encoding: x", b"Content-Length: 5", b"Content-Length: -1",
    b"Origin: null", b"Cookie: " + b"a=b; " * 50, b"x-request-id: \x7f{", b"x-gateway-cache: 1e999", b"Accept: \xfe",
    b"Content-Type: multipart/form-data", b"X: " + b"y" * 9000, b" folded", b"NoColon", b"traceparent: 00-x",
    b"X-HTTP-Method-Override: DELETE", b"Range: bytes=0-", b"Connection: upgrade, close", b"TE: trailers",
]  # fmt: skip
METHODS = [
    b"GET",
    b"POST",
    b"PUT",
    b"DELETE",
    b"HEAD",
    b"OPTIONS",
    b"TRACE",
    b"PATCH",
    b"CONNECT",
    b"FOO",
    b"get",
    b"\xff",
]


def request(rolls: random.Random) -> tuple[bytes, bool, bool]:
    """Return one hostile request, whether it is whole, and whether it goes to the admin listener."""
    kind = rolls.random()
    path = rolls.choice(list(BODIES))
    body = b""
    method = b"POST"
    headers = [b"Host: x", b"Authorization: Bearer AQ.k", b"Content-Type: application/json"]
    if kind < 0.6:
        body = hostile(BODIES[path], PLACES[path], (), rolls)
        if rolls.random() < 0.2:
            spot = rolls.randrange(len(body))
            body = (
                body[:spot]
                + rolls.choice([b"", b"\xff", b"\x00", b'"', b"[" * 200, b"\xed\xa0\x80"])
                + body[spot + 1 :]
            )
    elif kind < 0.75:
        path, method = rolls.choice([*BODIES, *OTHERS]), rolls.choice(METHODS)
    elif kind < 0.9:
        headers += rolls.sample(HEADERS, rolls.randint(1, 3))
        body = json.dumps(BODIES[path]).encode()
    else:
        return (
            rolls.randbytes(rolls.randrange(1, 400)) + rolls.choice([b"", b"\r\n\r\n"]),
            False,
            rolls.random() < 0.3,
        )
    target = path.encode()
    if kind >= 0.6 and rolls.random() < 0.5:
        spot = rolls.randrange(len(target) + 1)
        target = target[:spot] + rolls.choice(PIECES) + target[spot:]
    if body:
        headers.append(b"Content-Length: %d" % len(body))
    head = b"%s %s HTTP/1.1\r\n%s\r\nConnection: close\r\n\r\n" % (method, target, b"\r\n".join(headers))
    data, is_whole = (
        head + body,
        not any(h.startswith((b"Transfer", b"Content-Length: 5", b"Expect: 1")) for h in headers),
    )
    if rolls.random() < 0.03:
        data, is_whole = data[: rolls.randrange(len(data))], False
    return data, is_whole, path.startswith("/admin") or path == "/metrics" or rolls.random() < 0.05


class Verdicts:
    """What came back."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.examples: list[tuple[str, bytes]] = []

    def add(self, data: bytes, answer: bytes | None) -> None:
        """Judge one answer; None for a connection that hung."""
        fault = "hang" if answer is None else self._fault(data, answer)
        if fault:
            self.faults[fault] += 1
            if len(self.examples) < 10:
                self.examples.append((fault, data[:300]))

    def _fault(self, data: bytes, answer: bytes) -> str:
        if not answer:
            self.statuses["closed"] += 1
            return ""
        head, _, body = answer.partition(b"\r\n\r\n")
        status = int(head[9:12]) if head[9:12].isdigit() else 0
        self.statuses[str(status)] += 1
        if status >= 500:  # the upstream of this soak answers well
            return f"{status} {body[:80]!r}"
        if (
            status >= 400
            and body
            and not data.startswith(b"HEAD")
            and b"application/json" not in head.lower()
        ):
            return f"{status} without JSON"
        return "" if head.startswith(b"HTTP/1.") else "no HTTP"


async def send(port: int, data: bytes, *, is_whole: bool) -> bytes | None:
    """Return the answer, b"" for a connection that was closed without one, None for one that hung."""
    try:
        async with asyncio.timeout(LONGEST + 30):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except (OSError, TimeoutError):
        return None
    try:
        writer.write(data)
        if not is_whole:  # else the gateway would wait for more
            writer.write_eof()
        async with asyncio.timeout(LONGEST):
            return await reader.read(2**20)
    except TimeoutError:
        return None
    except OSError:
        return b""
    finally:
        writer.close()


async def main() -> int:
    """Return the exit code."""
    count, seed = int(setting("COUNT", 1_000_000)), int(setting("SEED", 14))
    rolls, verdicts, numbers = random.Random(seed), Verdicts(), iter(range(count))
    with Processes(CONFIG, "-m", "tests.soak.kind_upstream") as processes:

        async def client(turns: Iterator[int]) -> None:
            for _ in turns:
                data, is_whole, is_admin = request(rolls)
                verdicts.add(
                    data,
                    await send(processes.admin_port if is_admin else processes.port, data, is_whole=is_whole),
                )

        await asyncio.gather(*(client(iter(range(20))) for _ in range(AT_ONCE)))  # warms up
        base = processes.memory()
        await asyncio.gather(*(client(numbers) for _ in range(AT_ONCE)))
        await asyncio.sleep(2)
        left, code = processes.memory() - base, processes.gateway.poll()
        crashes = processes.log().count('"event":"crash"')
    for fault, data in verdicts.examples:
        print(fault, data)
    missed = list(verdicts.faults) + ["memory"] * (left > MOST_LEFT) + ["the process"] * (code is not None)
    figures = (
        f"{count} inputs, seed {seed}, faults {dict(verdicts.faults)}, {crashes} crash lines, memory {base:.0f} {left:+.1f} MB, "
        f"statuses {dict(verdicts.statuses.most_common(8))}"
    )
    return report("soak-hostile", figures, missed + ["crash lines"] * bool(crashes))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
