"""`gateway prices`: the table on the screen and as JSON, on any day, and its differences from another list."""

import json
from pathlib import Path

import pytest

from gateway.cli.main import main

pytestmark = pytest.mark.row("M1")
OWN = (
    "models: {successors: {gemini-9-old: {model: gemini-3.8-flash, from: 2026-12-24}}}\n"
    "ledger: {prices: {gemini-9-own: [{input: 1, output: 2}, {from: 2027-02-01, input: 3, output: 4}]}}\n"
)


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "g.yaml").write_text(OWN)
    return str(tmp_path / "g.yaml")


def cells(text: str, name: str) -> list[list[str]]:
    """Return the columns of the lines that begin with a name."""
    return [line.split() for line in text.splitlines() if line.split()[:1] == [name]]


def test_m01_the_table_has_all_rows_of_today_and_later(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prices", "--config", config, "--on", "2026-11-26"]) == 0
    text = capsys.readouterr().out

    assert "from the table of 2026-" in text
    assert "+own" in text.splitlines()[0]
    flash = cells(text, "gemini-3.8-flash*")
    assert [row[1:4] for row in flash] == [["0.75", "0.075", "3.75"], ["1.5", "0.15", "7.5"]]
    assert flash[1][-2:] == ["from", "2027-01-01"]
    assert [row[1:3] for row in cells(text, "gemini-9-own")] == [["1", "2"], ["3", "4"]]
    assert cells(text, "gemini-9-old") == [
        ["gemini-9-old", "answered_by", "gemini-3.8-flash,", "from", "2026-12-24"]
    ]
    assert "own_price" in cells(text, "gemini-3.5-flash")[0][-1]


@pytest.mark.parametrize(
    ("day", "own", "old"), [("2026-12-23", 1, 4), ("2026-12-24", 1, 0.75), ("2027-02-01", 3, 1.5)]
)
def test_m01_prices_of_some_models_on_a_day(
    config: str, capsys: pytest.CaptureFixture[str], day: str, own: float, old: float
) -> None:
    argv = ["prices", "--config", config, "--json", "--on", day, "gemini-9-own", "gemini-9-old", "gemini-8"]
    assert main(argv) == 0
    answer = json.loads(capsys.readouterr().out)

    prices = answer["prices"]
    assert (answer["on"], prices["gemini-9-own"]["input"], prices["gemini-9-old"]["input"]) == (day, own, old)
    assert ("answered_by" in prices["gemini-9-old"]) == (day > "2026-12-23")
    assert prices["gemini-8"]["unknown"] is True


def test_m01_a_day_that_is_none_is_refused(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    for day in ("2026-13-01", "tomorrow", "20261201"):
        with pytest.raises(SystemExit) as caught:
            main(["prices", "--config", config, "--on", day])
        assert caught.value.code == 2
        assert f"expected YYYY-MM-DD, got '{day}'" in capsys.readouterr().err


def test_m01_the_output_compared_with_itself_differs_in_nothing(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prices", "--config", config, "--json", "--on", "2026-11-26"]) == 0
    (tmp_path / "p.json").write_text(capsys.readouterr().out)
    for day in ("2026-11-26", "2027-01-02", "2027-03-01"):
        argv = ["prices", "--config", config, "--compare", str(tmp_path / "p.json"), "--on", day]
        assert main(argv) == 0
        assert "have the same prices here" in capsys.readouterr().out


def test_m01_differences_are_lines_and_the_exit_code(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.yaml").write_text(
        "gemini-3.8-flash: {input: 0.75, output: 5}\ngemini-9: {input: 9, output: 9}\n"
    )
    argv = ["prices", "--config", config, "--compare", str(tmp_path / "p.yaml"), "--on", "2026-11-26"]

    assert main(argv) == 1
    assert capsys.readouterr().out.splitlines() == [
        "gemini-3.8-flash: output 3.75 here, 5 there",
        "gemini-9: no price here, so that it costs the dearest of each kind",
    ]
    assert main([*argv, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)[0] == {
        "model": "gemini-3.8-flash", "kind": "output", "here": 3.75, "there": 5.0,
    }  # fmt: skip


def test_m01_a_file_that_is_no_list_is_told(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prices", "--config", config, "--compare", str(tmp_path / "none.json")]) == 2
    assert "none.json: cannot be read: No such file or directory" in capsys.readouterr().err
