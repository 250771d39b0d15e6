"""The audit of the locks and the bill of materials, on outputs of pip-audit and on the locks as they are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway import __version__
from tests.support import supply_chain
from tests.support.paths import ROOT
from tests.support.supply_chain import UNKNOWN, bill, main, packages, verdict

LOCK = (ROOT / "requirements.lock").read_text()
CLEAN = {"name": "aiohttp", "version": "3.14.5", "vulns": []}
FLAW = {"id": "PYSEC-2026-1", "fix_versions": ["3.14.6"], "aliases": ["CVE-2026-1"]}
SKIPPED = {
    "name": "aiohttp",
    "skip_reason": "Dependency not found on PyPI and could not be audited: aiohttp (3.14.5)",
}


def output(*dependencies: dict[str, Any]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


@pytest.mark.row("S16")
@pytest.mark.parametrize(
    ("text", "errors", "code", "line"),
    [
        (output(CLEAN), "", 0, "x.lock: no known vulnerabilities in 1 packages"),
        (output(CLEAN | {"vulns": [FLAW]}), "", 1, "x.lock: aiohttp 3.14.5: PYSEC-2026-1, mended in 3.14.6"),
        (output(CLEAN | {"vulns": [FLAW | {"fix_versions": []}]}), "", 1, "PYSEC-2026-1, mended in no release"),
        (output(SKIPPED), "No known vulnerabilities found", UNKNOWN, "cannot be reached: no answer for 1 of 1 packages"),
        (output(SKIPPED, CLEAN | {"vulns": [FLAW]}), "", 1, "PYSEC-2026-1"),
        (output(), "", UNKNOWN, "cannot be reached: no answer for 0 of 1"),
        ("", "a\nERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed\n", UNKNOWN, "Could not connect"),
        ("", "", UNKNOWN, "pip-audit printed nothing"),
        ("[]", "", UNKNOWN, "cannot be reached"),
    ],
)  # fmt: skip
def test_a_database_that_does_not_answer_is_no_good_news(
    text: str, errors: str, code: int, line: str
) -> None:
    result, lines = verdict("x.lock", 1, text, errors)

    assert result == code
    assert line in lines[0]


@pytest.mark.row("S16")
def test_the_worst_of_several_locks_is_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = {"a": 0, "b": 3, "c": 1}
    monkeypatch.setattr(supply_chain, "_audit", codes.__getitem__)

    assert [main(["audit", *names]) for names in ("a", "ab", "ac", "abc")] == [0, 3, 1, 3]
    assert main([]) == main(["audit"]) == 2


def test_every_entry_of_a_lock_is_read() -> None:
    for name in (
        "requirements.lock",
        "requirements-dev.lock",
        "requirements-audit.lock",
        "requirements-dist.lock",
        "requirements-site.lock",
    ):
        text = (ROOT / name).read_text()
        listed = list(packages(text))
        assert [package.name for package in listed] == re.findall(r"^([a-z0-9._-]+)==", text, re.M), name
        assert sum(len(package.hashes) for package in listed) == text.count("--hash=sha256:")
        assert all(package.needed_by for package in listed)


@pytest.mark.row("S16")
def test_the_bill_of_materials_has_the_shape_of_cyclonedx() -> None:
    result = bill(LOCK, __version__)
    components = {entry["name"]: entry for entry in result["components"]}
    graph = {entry["ref"]: entry["dependsOn"] for entry in result["dependencies"]}
    refs = {entry["bom-ref"] for entry in result["components"]} | {result["metadata"]["component"]["bom-ref"]}

    assert (result["bomFormat"], result["specVersion"], result["version"]) == ("CycloneDX", "1.6", 1)
    assert result["metadata"]["component"]["version"] == __version__
    assert len(components) == len(re.findall(r"^[a-z]\S+==", LOCK, re.M))
    for name, entry in components.items():
        assert entry["type"] == "library"
        assert entry["purl"] == f"pkg:pypi/{name}@{entry['version']}" == entry["bom-ref"]
        assert all(re.fullmatch(r"[0-9a-f]{64}", digest["content"]) for digest in entry["hashes"])
        assert entry["hashes"]
    assert set(graph) == refs
    assert {ref for needs in graph.values() for ref in needs} == refs - {
        result["metadata"]["component"]["bom-ref"]
    }
    assert components["multidict"]["bom-ref"] in graph[components["aiohttp"]["bom-ref"]]
    assert "marker" in components["uvloop"]["properties"][0]["name"]


def test_the_bill_is_printed_without_the_validator_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sbom"]) == 0
    assert json.loads(capsys.readouterr().out)["bomFormat"] == "CycloneDX"


@pytest.mark.row("S16")
def test_make_audits_every_lock() -> None:
    text = Path(ROOT / "Makefile").read_text()
    (command,) = re.findall(r"supply_chain audit (.*)", text)

    assert sorted(command.split()) == sorted(path.name for path in ROOT.glob("*.lock"))
