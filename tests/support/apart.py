"""A gateway and an upstream that are processes of their own, where the size of the gateway's process counts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.soak.memory import Request, chat, free_port, memory, post, start
from tests.support.surfaces import CHAT


class Apart:
    """A gateway and a hostile upstream, each a process of its own."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid = pid
        self.port = port
        self.base = 0.0

    async def ask(self, model: str, *, stream: bool, text: str = "hi") -> int:
        return await post(self.port, "127.0.0.1", Request("", CHAT.path, chat(text, model, stream=stream)))

    def forget_peak(self) -> None:
        """Let the peak be the size of now (proc(5), clear_refs)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        self.base = memory(self.pid, "VmRSS")

    @property
    def grown(self) -> float:
        """MB that the gateway is larger than before."""
        return memory(self.pid, "VmRSS") - self.base

    @property
    def peak(self) -> float:
        """MB that it was larger at most."""
        return memory(self.pid, "VmHWM") - self.base


@asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[Apart]:
    """Run both in a folder."""
    port, upstream_port = free_port(), free_port()
    config = tmp_path / "gateway.yaml"
    config.write_text(
        f"listen: {{port: {port}}}\nupstream: {{base_url: 'http://127.0.0.1:{upstream_port}'}}\n"
        f"stream: {{write_timeout: 60}}\nstate: {{file: {tmp_path}/state.db}}\n"
        "connections: {per_address: 2000}\n"
    )
    upstream = await start(
        upstream_port, "-m", "tests.soak.hostile_upstream", str(upstream_port), log=tmp_path / "u"
    )
    gateway = await start(port, "-m", "tests.soak.loopback_gateway", str(config), log=tmp_path / "g")
    result = Apart(gateway.pid, port)
    for _ in range(20):
        assert await result.ask("gemini-2.5-flash", stream=False) == 200
    result.forget_peak()
    try:
        yield result
    finally:
        for process in (gateway, upstream):
            process.kill()
            await process.wait()
