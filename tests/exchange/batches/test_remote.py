"""Google's batch API: large batches are files, and redirects stay at Google."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.batches import BatchTeam, batch_team, chat_body, line
from tests.support.servers import Serve


@pytest.fixture
async def team(serve: Serve, tmp_path: Path) -> AsyncIterator[BatchTeam]:
    async with batch_team(serve, tmp_path) as result:
        yield result


async def test_ba7_a_large_batch_is_a_file(team: BatchTeam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.exchange.batches.parts.INLINE", 1000)
    client = await team.begin()

    done = await client.reached(await client.started([line(str(i)) for i in range(20)]), "completed")

    assert team.uploads() == ["a"]
    sent = team.calls(":batchGenerateContent")[0][3]
    assert sent["batch"]["inputConfig"]["fileName"].startswith("files/")
    assert team.calls("/download/")
    output = await client.content(done["output_file_id"])
    assert [each["custom_id"] for each in output] == [str(i) for i in range(20)]


@pytest.mark.parametrize("host", ["", "https://generativelanguage.googleapis.com", "https://evil.example"])
async def test_ba7_a_redirect_of_a_download_is_followed_at_google_alone(
    team: BatchTeam, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Whatever host it names: its path is asked for where the key belongs."""
    monkeypatch.setattr("gateway.exchange.batches.parts.INLINE", 1000)
    client = await team.begin()
    place = "/download/v1beta/files/moved:download?alt=media"
    moved = b'{"key": "0", "response": {"candidates": [{"content": {"parts": [{"text": "moved"}]}}]}}\n'
    team.answers = {
        "files/moved": web.Response(body=moved),
        ":download": web.Response(status=302, headers={"Location": host + place}),
    }

    batch = await client.started([line("a"), line("b", chat_body("b" * 1000))])
    done = await client.reached(batch, "completed")

    assert [(call[1], call[2]) for call in team.calls("/download/")][-1] == (place, "a")
    (answer,) = await client.content(done["output_file_id"])
    assert answer["response"]["body"]["choices"][0]["message"]["content"] == "moved"
    assert done["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
