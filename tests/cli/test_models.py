"""`gateway models`: who answers, and Google's own list beside the table."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from gateway.cli.models import compared
from gateway.config.capabilities import shipped
from gateway.config.prices import prices, successors
from gateway.gemini.capabilities import CapabilityTable
from gateway.gemini.resources import ModelRecord
from gateway.policy.ledger import LedgerConfig
from gateway.policy.models.catalog import ModelsConfig
from tests.support.servers import Fake

pytestmark = pytest.mark.row("M2")
POOL = "pool: {projects: [{name: a, keys: [{env: MODELS_KEY}]}]}\n"


def entries(text: str) -> dict[str, Any]:
    return {entry["model"]: entry for entry in json.loads(text)}


def test_m02_successors_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "g.yaml").write_text("models: {successors: {gemini-9: {model: gemini-4-neon}}}")

    assert main(["models", "--config", str(tmp_path / "g.yaml")]) == 0
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert lines["gemini-9"][1] == "gemini-4-neon"
    assert lines["gemini-3.7-flash"][1] == "gemini-3.8-flash"
    assert main(["models", "--json", "--config", str(tmp_path / "g.yaml"), "gemini-3.1-pro-preview"]) == 0
    assert entries(capsys.readouterr().out) == {
        "gemini-3.1-pro-preview": {
            "model": "gemini-3.1-pro-preview", "answered_by": "gemini-3.1-pro-preview", "thinking": "level low medium high",
            "output_tokens": 65536, "input": 2.0, "output": 12.0,
        }
    }  # fmt: skip


def test_m02_names_are_resolved_as_for_clients(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(tmp_path / "g.yaml")
    (tmp_path / "g.yaml").write_text("models: {aliases: {fast: gemini-2.5-flash}, default: gemini-2.5-pro}")

    assert main(["models", "--json", "--config", config, "gpt-4o", "fast", "gemini-unheard-of"]) == 0
    shown = entries(capsys.readouterr().out)
    assert shown["gpt-4o"]["answered_by"] == "gemini-2.5-pro"
    assert shown["fast"]["answered_by"] == "gemini-2.5-flash"
    assert shown["gemini-unheard-of"]["differences"] == ["no price: it costs the dearest of each kind"]
    assert main(["models", "--json", "--config", config]) == 0
    assert {"gemini-2.5-pro", "fast"} <= entries(capsys.readouterr().out).keys()
    assert main(["prices", "--json", "--config", config, "gpt-4o"]) == 0
    assert json.loads(capsys.readouterr().out)["prices"]["gpt-4o"]["answered_by"] == "gemini-2.5-pro"
    (tmp_path / "g.yaml").write_text("models: {unknown: reject}")
    assert main(["models", "--config", config, "gpt-4o"]) == 2
    assert "gpt-4o" in capsys.readouterr().err


async def test_m02_googles_list_is_compared_with_a_key_of_the_pool(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODELS_KEY", "AIza-models")
    (tmp_path / "g.yaml").write_text(f"{POOL}upstream: {{base_url: '{fake.url}'}}\n")
    argv = ["models", "--compare", "--config", str(tmp_path / "g.yaml")]

    code = await asyncio.to_thread(main, argv)
    text = capsys.readouterr().out
    assert text.splitlines()[0].split()[1:4] == ["models", "of", "Google's,"]
    assert "gemini-3.8-flash" in text
    assert code == (1 if "Google says" in text or "no price" in text else 0)
    await asyncio.to_thread(main, [*argv, "--json"])
    listed = entries(capsys.readouterr().out)
    assert listed["gemini-flash-latest"]["answered_by"] == "gemini-3.8-flash"
    assert "no price" not in str(listed["gemini-4-argon"])


def test_m02_what_the_table_lacks_or_says_otherwise_is_told() -> None:
    table = prices(LedgerConfig(), successors(ModelsConfig()))
    generates = ["generateContent"]
    records = [
        ModelRecord("models/gemini-3.8-flash", None, 1, 65536, generates, thinking=True),
        ModelRecord("models/gemini-3.6-flash", None, 1, 8192, generates, thinking=False),
        ModelRecord("models/gemini-5-krypton", None, 1, 65536, generates, thinking=True),
        ModelRecord("models/gemini-embedding-2", None, 1, 1, ["embedContent"]),
    ]
    result = {
        entry.model: entry.differences for entry in compared(records, table, CapabilityTable(shipped()), 0)
    }

    assert result == {
        "gemini-3.8-flash": (),
        "gemini-3.6-flash": (
            "output_tokens 65536, Google says 8192",
            "thinking level minimal low medium high, Google says false",
        ),
        "gemini-5-krypton": ("no price: it costs the dearest of each kind",),
        "gemini-embedding-2": (),
    }


def test_m02_without_a_key_or_google_there_is_no_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODELS_KEY", "AIza-models")
    (tmp_path / "g.yaml").write_text("")
    assert main(["models", "--compare", "--config", str(tmp_path / "g.yaml")]) == 2
    assert "set pool.projects" in capsys.readouterr().err
    (tmp_path / "g.yaml").write_text(f"{POOL}upstream: {{base_url: 'http://127.0.0.1:9'}}\n")
    assert main(["models", "--compare", "--config", str(tmp_path / "g.yaml")]) == 2
    assert "cannot be reached" in capsys.readouterr().err
