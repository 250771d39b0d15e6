"""Options of `make bench`."""

from pathlib import Path

import pytest

from bench.run import PHASES, arguments


def test_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RACE", "node=node server.mjs $PORT\n\n b = MODE=fast b --port=$PORT ")

    options = arguments(["--old", "5f03f92", "--out", "x.json", "--streams", "5000,1000", "--race", "c=c"])

    assert options.race == [("c", "c"), ("node", "node server.mjs $PORT"), ("b", "MODE=fast b --port=$PORT")]
    assert options.only == PHASES
    assert arguments(["--only", "live,plain"]).only == ("live", "plain")
    assert (options.old, options.out, options.streams) == ("5f03f92", Path("x.json"), (1000, 5000))


@pytest.mark.parametrize(
    ("words", "race", "message"),
    [
        ([], "node server.mjs", "RACE must be name=command"),
        ([], "=node server.mjs", "RACE must be name=command"),
        ([], "node=", "RACE must be name=command"),
        ([], "nginx=nginx -p .", "RACE: 'nginx' is the name of another server"),
        ([], "a=b\na=c", "RACE: names must differ: a, a"),
        (["--race", "old=b"], "", "RACE: 'old' is the name of another server"),
        (["--streams", "many"], "", "STREAMS must be numbers, such as 1000,5000: 'many'"),
        (["--only", "plain,all"], "", "ONLY: no all among start, plain, live"),
        (["--streams", "0,5"], "", "STREAMS must be numbers above 0"),
    ],
)
def test_mistakes_are_named(
    words: list[str],
    race: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RACE", race)

    with pytest.raises(SystemExit) as error:
        arguments(words)

    assert error.value.code == 2
    assert message in capsys.readouterr().err
