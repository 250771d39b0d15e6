"""Records of the models, and their list in pages."""

from typing import Any

import aiohttp
import pytest

from gateway.emulator.models import MODELS, model_of
from tests.support.emulator import Served, call
from tests.support.servers import Fake


def test_each_model_is_one_of_the_tables() -> None:
    assert [name for name in MODELS if model_of(name).name != name] == []
    assert model_of("gemini-9-next").thinking == "level"


async def test_models_are_listed_with_their_abilities(served: Served) -> None:
    base = await served()

    _, flash = await call("GET", f"{base}/gemini-2.5-flash")
    assert flash["supportedGenerationMethods"][:2] == ["generateContent", "countTokens"]
    assert (flash["name"], flash["thinking"], flash["outputTokenLimit"]) == ("models/gemini-2.5-flash", True, 65536)  # fmt: skip
    assert "thinking" not in (await call("GET", f"{base}/gemini-2.0-flash"))[1]
    assert (
        "embedContent" in (await call("GET", f"{base}/gemini-embedding-001"))[1]["supportedGenerationMethods"]
    )
    assert (await call("GET", f"{base}/no-such-model"))[0] == 404
    assert (await call("GET", f"{base}?pageSize=x"))[0] == 400
    _, whole = await call("GET", f"{base}?pageSize=0")
    assert "nextPageToken" not in whole
    async with aiohttp.ClientSession() as session, session.get(f"{base}/gemini-2.5-flash") as response:
        assert response.status == 403


async def test_models_come_in_pages(http: aiohttp.ClientSession, fake: Fake) -> None:
    names: list[str] = []
    page: dict[str, Any] = {"nextPageToken": "0"}
    while token := page.get("nextPageToken"):
        async with http.get(f"{fake.url}/v1beta/models?pageSize=4&pageToken={token}&key=k") as response:
            page = await response.json()
        names += [model["name"] for model in page["models"]]
    async with http.get(f"{fake.url}/v1beta/models") as response:
        assert response.status == 403

    assert len(names) == len(set(names)) > 4


@pytest.mark.parametrize(
    ("name", "thinking", "levels", "outputs"),
    [
        ("gemini-2.0-flash", "none", ("LOW", "MEDIUM", "HIGH"), (("TEXT",),)),
        ("gemini-2.5-pro", "budget", ("LOW", "MEDIUM", "HIGH"), (("TEXT",),)),
        ("gemini-3-pro-preview", "level", ("LOW", "HIGH"), (("TEXT",),)),
        ("gemini-3-flash-preview", "level", ("MINIMAL", "LOW", "MEDIUM", "HIGH"), (("TEXT",),)),
        ("gemini-3.1-flash-image", "level", ("MINIMAL", "HIGH"), (("TEXT", "IMAGE"), ("IMAGE",))),
        ("gemini-3.8-flash-tts", "none", ("LOW", "MEDIUM", "HIGH"), (("AUDIO",),)),
    ],
)
def test_later_rows_override_earlier_ones(
    name: str, thinking: str, levels: tuple[str, ...], outputs: tuple[tuple[str, ...], ...]
) -> None:
    model = model_of(name)

    assert (model.thinking, model.levels, model.outputs) == (thinking, levels, outputs)
