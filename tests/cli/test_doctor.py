"""`gateway doctor`: findings about this machine and the configuration, and the exit code."""

import json
import os
import resource
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.cli.doctor import _runs_code, descriptors, disk, keys, ledger, models, stores
from gateway.cli.main import main
from gateway.config.model_table import model_table
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.policy.models.successors import timestamp
from gateway.store.ledger.tables import open_engine

OFFLINE = "upstream: {base_url: 'http://127.0.0.1:9'}\n"


def read(text: str, **environ: str) -> tuple[GatewayConfig, Source]:
    source = Source(text, "g.yaml", environ)
    return source.decode(GatewayConfig), source


def test_findings_are_lines_with_a_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "g.yaml").write_text(OFFLINE)

    assert main(["doctor", "--config", str(tmp_path / "g.yaml")]) == 1
    lines = capsys.readouterr().out
    assert "FAIL tls: 127.0.0.1:9 cannot be reached: Connection refused.\n     Check firewall" in lines
    assert f"ok   config: {tmp_path}/g.yaml is valid" in lines


def test_mistakes_of_the_configuration_are_findings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "g.yaml").write_text("modles: {}\nlimits: {streams: many}\n")

    assert main(["doctor", "--json", "--config", str(tmp_path / "g.yaml")]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["ok"] is False
    assert [f["message"].partition(": ")[0] for f in result["findings"] if f["check"] == "config"] == [
        f"{tmp_path}/g.yaml:2:19",
        f"{tmp_path}/g.yaml:1:1",
    ]


def test_an_examination_that_fails_is_no_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gateway.cli.doctor.python", lambda: 1 / 0)

    assert main(["doctor", "--config", str(tmp_path / "g.yaml")]) == 2
    assert "could not be run: ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "result"),
    [
        ("AIza" + "x" * 35, "passed"),
        ("AQ." + "x" * 40, "passed"),
        ("AIza" + "x" * 34, "failed"),
        ("sk-1234", "failed"),
    ],
)
def test_a_key_of_another_form_is_found_and_not_shown(key: str, result: str) -> None:
    findings = list(keys(*read("pool: {projects: [{name: blue, keys: [{env: K}]}]}", K=key)))

    assert [finding.result for finding in findings] == [result]
    assert key not in str(findings)


def test_too_few_descriptors_are_found() -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    config, source = read(f"limits: {{streams: {limit}}}")

    (finding,) = descriptors(config, source)
    assert finding.result == "failed"
    assert f"LimitNOFILE={limit * 2 + 200}" in finding.remedy
    assert [f.result for f in descriptors(*read("limits: {streams: 10}"))] == ["passed"]


def test_a_folder_without_space_or_permission_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = read(f"ledger: {{url: {tmp_path}/ledger.db}}")
    assert [f.result for f in disk(*config)] == ["passed"]
    monkeypatch.setattr("gateway.cli.doctor._MIN_FREE", 2**60)
    assert ["MB of free space." in f.message for f in disk(*config)] == [True]
    assert ["does not exist" in f.message for f in disk(*read("ledger: {url: /nowhere/l.db}"))] == [True]


def test_a_corrupt_ledger_is_found_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    config = read(f"ledger: {{url: {path}}}")
    assert [f.result for f in ledger(*config)] == ["skipped"]
    assert not path.exists()
    open_engine(str(path), None).dispose()
    assert [f.result for f in ledger(*config)] == ["passed"]
    path.write_bytes(b"\xff" * 9000)
    assert ["is corrupt" in f.message for f in ledger(*config)] == [True]
    assert path.read_bytes() == b"\xff" * 9000


def test_o19_a_file_of_a_newer_gateway_is_found_with_the_way_back(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    config = read(f"ledger: {{url: {path}}}")
    open_engine(str(path), None).dispose()
    assert [(f.result, f.message) for f in stores(*config)] == [
        ("passed", "all files have the schemas of this gateway")
    ]

    def write(version: int) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"UPDATE ledger SET value = {version} WHERE name = 'version'")

    write(1)
    (older,) = stores(*config)
    assert (older.result, older.message) == (
        "passed",
        f"ledger: {path} has version 1, which the start upgrades to 4",
    )
    write(9)
    (newer,) = stores(*config)
    assert (newer.result, newer.message) == (
        "failed", f"{path} was written by a newer gateway: its schema has version 9, and this gateway supports 4.",
    )  # fmt: skip
    assert newer.remedy.endswith("gateway restore FILE.")
    assert [f.result for f in stores(*read(""))] == ["skipped"]


def test_a_postgresql_that_does_not_answer_is_found() -> None:
    (finding,) = ledger(*read("ledger: {url: 'postgresql://u@127.0.0.1:9/x'}"))

    assert (finding.result, "PostgreSQL does not answer" in finding.message) == ("failed", True)


@pytest.mark.parametrize(
    ("text", "runs"), [("/a/path\n# import x\n", False), ("/a\nimport os; os.system('x')\n", True)]
)
def test_lines_of_a_pth_file_that_are_run_are_seen(tmp_path: Path, text: str, runs: bool) -> None:
    (tmp_path / "x.pth").write_text(text)

    assert _runs_code(tmp_path / "x.pth") is runs


def test_unknown_code_at_the_start_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stealer.pth").write_text("import os\n")
    (tmp_path / "g.yaml").write_text(OFFLINE)
    monkeypatch.setattr("site.getsitepackages", lambda: [str(tmp_path)])
    monkeypatch.setenv("AIOHTTP_NO_EXTENSIONS", "1")
    main(["doctor", "--config", str(tmp_path / "g.yaml")])
    lines = capsys.readouterr().out

    assert f"FAIL startup: {tmp_path}/stealer.pth has code" in lines
    assert "FAIL python: AIOHTTP_NO_EXTENSIONS is set" in lines
    assert os.environ["AIOHTTP_NO_EXTENSIONS"] == "1"


@pytest.mark.row("M1")
@pytest.mark.parametrize(("days", "result"), [(0, "passed"), (60, "passed"), (61, "failed")])
def test_m01_an_old_table_of_models_is_a_finding(days: int, result: str) -> None:
    finding = models(timestamp(model_table().date) + 86_400 * days)

    assert (finding.check, finding.result, f"{days} days old" in finding.message) == ("models", result, True)
