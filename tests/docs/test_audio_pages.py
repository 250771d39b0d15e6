"""The Python of docs/do/speech.md and docs/do/transcription.md, run in order against the emulator."""

import asyncio
from pathlib import Path

import pytest

from tests.docs.test_blocks import AUDIO_PAGES, of
from tests.support.sounds import tone, wav


@pytest.mark.parametrize("page", AUDIO_PAGES)
async def test_the_blocks_run(
    page: str, gateway: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "meeting.wav").write_bytes(wav(tone(1)))
    code = "\n".join(block.code for block in of("python") if block.page == page)
    code = code.replace("http://127.0.0.1:8080", gateway)
    names: dict[str, object] = {}
    await asyncio.to_thread(exec, code, names)

    assert gateway in code
    assert names["answer"]
    client = names["client"]
    client.close()  # type: ignore[attr-defined]
    if page == AUDIO_PAGES[0]:
        assert (tmp_path / "dinner.wav").read_bytes().startswith(b"RIFF")
