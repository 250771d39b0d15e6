"""Soak of media: COUNT (100) recordings of SIZE (20) MB written down at once, then SESSIONS (200) of Gemini's Live API.

    COUNT=100 SIZE=20 SESSIONS=200 DURATION=30 python -m tests.soak.media

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
from pathlib import Path
from time import perf_counter

import aiohttp
import uvloop

from tests.soak.processes import MB, Processes, report, setting

MEMORY = 400
"""MB of `limits.memory`."""
MOST_AWAY, MOST_ADDED = 50.0, 2.0
"""Milliseconds: of the loop, and of a message's 99th percentile."""
CONFIG = f"""
limits: {{memory: {MEMORY * MB}, body: {256 * MB}, streams: 5000}}
connections: {{per_address: 5000}}
logging: {{exchanges: false}}
plugins: {{transcription: {{}}, native: {{live: {{sessions: 2000, per_client: 1000}}}}, metrics: {{}}}}
"""
PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
_KEY = {"Authorization": "Bearer AQ.k"}
_SETUP = {"setup": {"model": "models/gemini-3.8-live"}}
_SOUND = base64.b64encode(bytes(3200)).decode()
"""100 ms of 16 kHz."""


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


async def talk(url: str, duration: float, times: list[float], number: int) -> None:
    """Hold a Live session, and time each message until its echo."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(url, headers={"x-goog-api-key": "AQ.k"}, max_msg_size=2**24) as socket,
    ):
        await socket.send_json(_SETUP)
        await socket.receive(timeout=60)
        await asyncio.sleep(number % 100 / 1000)  # not all at once
        for _ in range(int(duration * 10)):
            begun = perf_counter()
            audio = {"mimeType": "audio/pcm;rate=16000", "data": _SOUND}
            await socket.send_str(json.dumps({"realtimeInput": {"audio": audio}}))
            await socket.receive_bytes(timeout=60)
            times.append((perf_counter() - begun) * 1000)
            await asyncio.sleep(max(0.0, 0.1 - (perf_counter() - begun)))


async def live(processes: Processes) -> int:
    """Hold Live sessions without the gateway and through it, print the figures, and return the exit code."""
    count, duration = int(setting("SESSIONS", 200)), setting("DURATION", 30)
    quantiles = []
    for port in (processes.upstream_port, processes.port):
        times: list[float] = []
        url = f"http://127.0.0.1:{port}{PATH}"
        await asyncio.gather(*(talk(url, duration, times, i) for i in range(count)))
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
        if setting("SESSIONS", 200):
            codes.append(await live(processes))
        if any(codes):
            print(processes.log()[-2000:], file=sys.stderr)
    return max(codes, default=0)


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
