"""Soak of media: COUNT (100) recordings of SIZE (20) MB at once, pictures and parts of files, SESSIONS (200) of Live.

    COUNT=100 SIZE=20 EDITS=20 PARTS=10 SESSIONS=200 IDLE=0 DURATION=30 python -m tests.soak.media

EDITS are requests with 16 pictures of 1 MB that are answered with one of 20 MB, PARTS those of an upload, of 60 MB each;
IDLE sessions of Live are held beside the others, in which nothing is said.

Recordings: the gateway's resident memory grows by `limits.memory` at most, and its event loop is never away for more than
50 ms. Live: a message of 100 ms of sound is echoed by the upstream; the 99th percentile of the way through the gateway
is 2 ms above that of the way without it. The processes of the load share the machine with the gateway: on a busy one, the
two times are those of the machine.
"""

import asyncio
import base64
import json
import os
import re
import statistics
import sys
from contextlib import AsyncExitStack
from io import BytesIO
from pathlib import Path
from time import perf_counter

import aiohttp
import uvloop

from tests.soak.processes import MB, Processes, report, setting
from tests.support.forms import BOUNDARY, form

MEMORY = 400
"""MB of `limits.memory`."""
MOST_AWAY, MOST_ADDED = 50.0, 2.0
"""Milliseconds: of the loop, and of a message's 99th percentile."""
CONFIG = f"""
limits: {{memory: {MEMORY * MB}, body: {256 * MB}, streams: 5000}}
connections: {{per_address: 5000}}
logging: {{exchanges: false}}
plugins:
  transcription: {{}}
  images: {{}}
  files: {{path: FOLDER/files, each: 2000, total: 4000}}
  native: {{live: {{sessions: 4000, per_client: 4000}}}}
  metrics: {{}}
"""
PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
_KEY = {"Authorization": "Bearer AQ.k"}
_SETUP = {"setup": {"model": "models/gemini-3.8-live"}}
_SOUND = base64.b64encode(bytes(3200)).decode()
"""100 ms of 16 kHz."""
_EVERY = 0.1
"""Seconds between two messages of a session."""


async def transcribe(base: str, path: Path) -> int:
    """Return the status of one recording's answer; one that is refused for want of memory is sent again, as SDKs do."""
    async with aiohttp.ClientSession(headers=_KEY, timeout=aiohttp.ClientTimeout(300)) as http:
        for _ in range(30):
            with path.open("rb") as file:
                form = aiohttp.FormData({"model": "whisper-1"}, default_to_multipart=True)
                form.add_field("file", file, filename="a.wav", content_type="audio/wav")
                try:
                    async with http.post(f"{base}/v1/audio/transcriptions", data=form) as response:
                        await response.read()
                        if response.status != 503:
                            return response.status
                except aiohttp.ClientError:  # refused while the form was being sent
                    pass
            await asyncio.sleep(2)
    return 503


async def sent(base: str, path: str, body: bytes) -> int:
    """Return the status of a form's answer; one that is refused for want of memory is sent again."""
    headers = {**_KEY, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(300)) as http:
        for _ in range(60):
            try:
                async with http.post(base + path, data=BytesIO(body)) as response:
                    async for _ in response.content.iter_any():
                        pass
                    if response.status != 503:
                        return response.status
            except aiohttp.ClientError:  # refused while the form was being sent
                pass
            await asyncio.sleep(1)
    return 503


async def pictures(processes: Processes) -> int:
    """Edit pictures at once, print the figures, and return the exit code."""
    count = int(setting("EDITS", 20))
    picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x08\0\0\0\x08\0\x08\2\0\0\0" + os.urandom(MB)
    body = form([("prompt", "x"), *[("image[]", picture, "a.png", "image/png")] * 16])
    return await _at_once(processes, "pictures", count, "/v1/images/edits", body)


async def parts(processes: Processes) -> int:
    """Send parts of an upload at once, print the figures, and return the exit code."""
    count, size = int(setting("PARTS", 10)), 60 * MB
    about = {"bytes": count * size, "filename": "a.mp4", "mime_type": "video/mp4", "purpose": "user_data"}
    async with (
        aiohttp.ClientSession(headers=_KEY) as http,
        http.post(f"{processes.base}/v1/uploads", json=about) as response,
    ):
        upload = (await response.json())["id"]
    body = form([("data", os.urandom(size), "upload")])
    return await _at_once(processes, "parts", count, f"/v1/uploads/{upload}/parts", body)


async def _at_once(processes: Processes, name: str, count: int, path: str, body: bytes) -> int:
    base, begun = processes.memory(), perf_counter()
    statuses = await asyncio.gather(*(sent(processes.base, path, body) for _ in range(count)))
    seconds, most, lag = perf_counter() - begun, peak(processes), await away(processes)
    missed = ["memory"] * (most - base > MEMORY) + ["loop"] * (lag > MOST_AWAY)
    missed += ["answers"] * (set(statuses) != {200})
    figures = (
        f"{count} forms of {len(body) / MB:.0f} MB in {seconds:.1f} s, memory {base:.0f} -> at most {most:.0f} MB, "
        f"loop away for {lag:.0f} ms at most in the last minute"
    )
    return report(name, figures, missed)


async def away(processes: Processes) -> float:
    """Return the longest time that the gateway's loop was away in the last minute, in milliseconds."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{processes.admin_port}/metrics") as response,
    ):
        text = await response.text()
    match = re.search(r"^gateway_loop_lag_seconds ([\d.e+-]+)$", text, re.M)
    assert match, text[:500]
    return float(match[1]) * 1000


def cpu(processes: Processes) -> float:
    """Return the processor's seconds that the gateway took."""
    fields = Path(f"/proc/{processes.gateway.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak(processes: Processes) -> float:
    """Return the most memory that the gateway ever had, in MB."""
    status = Path(f"/proc/{processes.gateway.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / MB


async def recordings(processes: Processes) -> int:
    """Write recordings down at once, print the figures, and return the exit code."""
    count, size = int(setting("COUNT", 100)), setting("SIZE", 20)
    path = processes.folder / "a.wav"
    path.write_bytes(
        b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0data\xff\xff\xff\x7f"
        + os.urandom(int(size * MB))
    )
    await transcribe(processes.base, path)
    base, cpu_before = processes.memory(), cpu(processes)
    begun = perf_counter()
    statuses = await asyncio.gather(*(transcribe(processes.base, path) for _ in range(count)))
    seconds, most, lag = perf_counter() - begun, peak(processes), await away(processes)
    missed = ["memory"] * (most - base > MEMORY) + ["loop"] * (lag > MOST_AWAY)
    missed += ["answers"] * (set(statuses) != {200})
    figures = (
        f"{count} recordings of {size:.0f} MB in {seconds:.1f} s and {cpu(processes) - cpu_before:.1f} s of processor, memory {base:.0f} -> at most {most:.0f} MB, "
        f"loop away for {lag:.0f} ms at most"
    )
    return report("recordings", figures, missed)


async def talk(url: str, duration: float, times: list[float], number: int, opened: asyncio.Barrier) -> None:
    """Hold a Live session, and time each message until its echo.

    The messages of all sessions are spread evenly: else those that were opened together would speak together.
    """
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(url, headers={"x-goog-api-key": "AQ.k"}, max_msg_size=2**24) as socket,
    ):
        await socket.send_json(_SETUP)
        await socket.receive(timeout=60)
        await opened.wait()
        start = perf_counter() + number / opened.parties * _EVERY
        for message in range(int(duration / _EVERY)):
            await asyncio.sleep(max(0.0, start + message * _EVERY - perf_counter()))
            begun = perf_counter()
            audio = {"mimeType": "audio/pcm;rate=16000", "data": _SOUND}
            await socket.send_str(json.dumps({"realtimeInput": {"audio": audio}}))
            await socket.receive_bytes(timeout=60)
            times.append((perf_counter() - begun) * 1000)


async def idle(processes: Processes, stack: AsyncExitStack) -> None:
    """Open Live sessions in which nothing is said, and print what each holds."""
    count = int(setting("IDLE", 0))
    before, files = processes.memory(), processes.descriptors()
    for _ in range(count):
        http = await stack.enter_async_context(aiohttp.ClientSession())
        url = f"{processes.base}{PATH}"
        socket = await stack.enter_async_context(http.ws_connect(url, headers={"x-goog-api-key": "AQ.k"}))
        await socket.send_json(_SETUP)
        await socket.receive(timeout=60)
    if count:
        memory, descriptors = (processes.memory() - before) / count, (processes.descriptors() - files) / count
        print(f"{count} idle sessions: {1000 * memory:.0f} KB and {descriptors:.1f} descriptors each")


async def live(processes: Processes) -> int:
    """Hold Live sessions without the gateway and through it, print the figures, and return the exit code."""
    count, duration = int(setting("SESSIONS", 200)), setting("DURATION", 30)
    quantiles = []
    for port in (processes.upstream_port, processes.port):
        times: list[float] = []
        url = f"http://127.0.0.1:{port}{PATH}"
        opened = asyncio.Barrier(count)
        await asyncio.gather(*(talk(url, duration, times, i, opened) for i in range(count)))
        quantiles.append([statistics.quantiles(times, n=100)[i] for i in (49, 98)])
    (p50, p99), (p50_through, p99_through) = quantiles
    added = p99_through - p99
    figures = (
        f"{count} sessions for {duration:.0f} s, p50 {p50_through:.2f} ms (without the gateway {p50:.2f}), "
        f"p99 {p99_through:.2f} ms ({p99:.2f}), {added:.2f} ms added; memory {processes.memory():.0f} MB"
    )
    return report("live", figures, ["latency"] * (added > MOST_ADDED))


async def main() -> int:
    """Return the exit code."""
    with Processes(CONFIG, "-m", "tests.soak.media_upstream") as processes:
        codes = []
        if setting("COUNT", 100):
            codes.append(await recordings(processes))
        if setting("EDITS", 20):
            codes.append(await pictures(processes))
        if setting("PARTS", 10):
            codes.append(await parts(processes))
        if setting("SESSIONS", 200):
            async with AsyncExitStack() as stack:
                await idle(processes, stack)
                codes.append(await live(processes))
        if any(codes):
            print(processes.log()[-2000:], file=sys.stderr)
    return max(codes, default=0)


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
