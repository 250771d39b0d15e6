"""pipecat's Gemini Live service in a pipeline: a spoken answer to a text, a tool's round trip, audio in, a bad key."""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.genai.types import HttpOptions
from loguru import logger
from pipecat.adapters.schemas.function_schema import FunctionSchema
from pipecat.adapters.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.google.gemini_live.llm import GeminiLiveLLMService
from pipecat.workers.runner import WorkerRunner

from tests.clients.common import API_KEY, BAD_KEY, CHAT_PROMPT, ROOT_URL, TOOL_PROMPT, TOOL_RESULT, run, watch
from tests.support.tls_front import encrypted

SAMPLES = b"\0\1" * 1600
"""0.1 s of sound: 16,000 samples a second of 16 bits."""
PATIENCE = 20.0


class Collector(FrameProcessor):  # type: ignore[misc]
    """What leaves the service, until `is_enough` of it is there."""

    def __init__(self, is_enough: Callable[["Collector"], bool]) -> None:
        super().__init__()
        self.audio = b""
        self.text = ""
        self.ends = 0
        self.errors: list[str] = []
        self.done = asyncio.Event()
        self._is_enough = is_enough

    def log(self, message: str) -> None:
        """Keep an error of pipecat's log."""
        self.errors.append(message)
        self.done.set()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            self.audio += frame.audio
        elif isinstance(frame, TTSTextFrame):
            self.text += frame.text
        elif isinstance(frame, LLMFullResponseEndFrame):
            self.ends += 1
        if self._is_enough(self):
            self.done.set()
        await self.push_frame(frame, direction)


async def converse(
    prompt: str,
    is_enough: Callable[[Collector], bool],
    *,
    key: str = API_KEY,
    tool: Any = None,
    audio: bytes = b"",
) -> Collector:
    """Run a pipeline with one service, behind a proxy that ends TLS. Return what came of a prompt and of audio."""
    with tempfile.TemporaryDirectory() as folder:
        async with encrypted(ROOT_URL, Path(folder)) as options:
            return await _converse(prompt, is_enough, HttpOptions(**options), key, tool, audio)


async def _converse(
    prompt: str,
    is_enough: Callable[[Collector], bool],
    options: HttpOptions,
    key: str,
    tool: Any,
    audio: bytes,
) -> Collector:
    city = {"city": {"type": "string", "description": "City name"}}
    service = GeminiLiveLLMService(
        api_key=key,
        http_options=options,
        settings=GeminiLiveLLMService.Settings(model="models/gemini-3.8-live"),
        tools=ToolsSchema([FunctionSchema("get_weather", "Weather", city, ["city"])]) if tool else None,
    )
    if tool:
        service.register_function("get_weather", tool)
    context = LLMContext([{"role": "user", "content": prompt}])
    collector = Collector(is_enough)
    pair = LLMContextAggregatorPair(context)
    task = PipelineWorker(Pipeline([pair.user(), service, collector, pair.assistant()]), enable_rtvi=False)
    sink = logger.add(collector.log, level="ERROR")
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(task)
    running = asyncio.create_task(runner.run())
    await task.queue_frame(LLMContextFrame(context))
    for i in range(0, len(audio), len(SAMPLES)):
        await task.queue_frame(
            InputAudioRawFrame(audio[i : i + len(SAMPLES)], sample_rate=16_000, num_channels=1)
        )
    try:
        await asyncio.wait_for(collector.done.wait(), PATIENCE)
    finally:
        logger.remove(sink)
        await task.cancel()
        await asyncio.wait([running], timeout=PATIENCE)
    return collector


def voice() -> str:
    """A text is answered by a voice, and by its words."""
    result = asyncio.run(converse(CHAT_PROMPT, lambda got: bool(got.audio and got.ends)))
    assert not result.errors, result.errors
    return f"{len(result.audio)} bytes of sound"


def tools() -> str:
    cities: list[str] = []

    async def weather(call: Any) -> None:
        cities.append(call.arguments["city"])
        await call.result_callback({"weather": TOOL_RESULT})

    result = asyncio.run(
        converse(TOOL_PROMPT, lambda got: bool(cities and got.audio and got.ends), tool=weather)
    )
    assert not result.errors, result.errors
    return f"{cities}, then {len(result.audio)} bytes of sound"


def badkey() -> str:
    watch().errors_expected = True
    result = asyncio.run(converse("x", lambda got: False, key=BAD_KEY))
    assert "API key not valid" in result.errors[0], result.errors
    return "pipecat logs Google's message"


if __name__ == "__main__":
    run("pipecat", {"voice": voice, "tools": tools, "badkey": badkey})
