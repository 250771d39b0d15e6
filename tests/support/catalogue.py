"""Catalogues of attacks, faults, advisories and agents: run the tests that prove their rows, and write docs/why/reliability.md.

A catalogue is tests/<name>/catalogue.yaml: row id to `fault` (what happens) and `holds` (what must hold), or `not_here`
(the reason why this machine cannot test it). A test anywhere below tests/ proves a row by `@pytest.mark.row("U01")`.

    python -m tests.support.catalogue faults         runs the tests, prints one line a row, writes docs/why/reliability.json
    python -m tests.support.catalogue --write-page   writes docs/why/reliability.md
"""

import ast
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import msgspec
import pytest

from tests.support.paths import ROOT, TESTS

PAGE = ROOT / "docs" / "why" / "reliability.md"
RESULTS = ROOT / "docs" / "why" / "reliability.json"
"""Row id to its last result; written by `make test-faults` and the like, committed with the page."""


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of a catalogue."""

    fault: str = ""
    """What happens."""
    holds: str = ""
    """What must hold."""
    not_here: str = ""
    """The reason why a developer's machine cannot test the row."""


class Catalogue(msgspec.Struct, frozen=True):
    """The rows of one suite."""

    name: str
    """Folder below tests/."""
    title: str
    ids: tuple[tuple[str, int], ...]
    """Prefix of the ids, and how many there are."""
    most_not_here: int
    """Rows that may be not testable here."""

    @property
    def rows(self) -> dict[str, Row]:
        """The rows in their order."""
        return read(TESTS / self.name / "catalogue.yaml")


CATALOGUES = {
    each.name: each
    for each in (
        Catalogue("attacks", "Attacks by clients", (("A", 29),), 0),
        Catalogue("faults", "Faults of upstream, clients, process and machine", (("U", 52), ("C", 47), ("P", 45)), 8),
        Catalogue("advisories", "Published advisories", (("S", 80),), 3),
        Catalogue("agents", "What agents and SDKs send", (("G", 24), ("T", 13), ("N", 3), ("M", 5)), 0),
    )
}  # fmt: skip


@cache
def read(path: Path) -> dict[str, Row]:
    """Return the rows of a file. Raises msgspec.ValidationError."""
    return msgspec.yaml.decode(path.read_bytes(), type=dict[str, Row])


@cache
def marks() -> dict[str, list[str]]:
    """Return the tests that prove each row, as `tests/faults/test_connect.py::test_u01_refused`."""
    tests: dict[str, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        if "mark.row(" in (text := path.read_text("utf-8")):
            place = str(path.relative_to(ROOT))
            for name, row in _marks_of(ast.parse(text), place):
                if name not in tests[row]:
                    tests[row].append(name)
    return dict(tests)


def _marks_of(
    tree: ast.Module | ast.ClassDef, place: str, outer: Sequence[ast.expr] = ()
) -> Iterator[tuple[str, str]]:
    """Yield test and row id of each mark on a function, its parameters, or by `pytestmark` its module or class.

    Raises TypeError for ids that are no plain strings.
    """
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            outer = [*outer, node.value]
        elif isinstance(node, ast.ClassDef):
            yield from _marks_of(node, f"{place}::{node.name}", outer)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            test = f"{place}::{node.name}"
            for call in (n for mark in (*outer, *node.decorator_list) for n in ast.walk(mark)):
                if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("mark.row"):
                    for argument in call.args:
                        if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                            raise TypeError(f"{test}: the ids of a row are plain strings")
                        yield test, argument.value


class Results:
    """Plugin for pytest: selects the tests of some rows, and keeps their outcomes by row."""

    def __init__(self, ids: set[str]) -> None:
        self._ids = ids
        self._rows: dict[str, set[str]] = {}
        self.outcomes: dict[str, list[str]] = defaultdict(list)

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep the tests that prove a row."""
        chosen: list[pytest.Item] = []
        others: list[pytest.Item] = []
        for item in items:
            rows = {row for mark in item.iter_markers("row") for row in mark.args} & self._ids
            self._rows[item.nodeid] = rows
            (chosen if rows else others).append(item)
        config.hook.pytest_deselected(items=others)
        items[:] = chosen

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the outcome of a test, which any of its phases may fail."""
        if report.when == "call" or report.outcome != "passed":
            for row in self._rows.get(report.nodeid, ()):
                self.outcomes[row].append(report.outcome)

    def result(self, row: str) -> str:
        """Return `held`, `FAILED`, `skipped` or `no test`."""
        outcomes = self.outcomes.get(row)
        if not outcomes:
            return "no test"
        # a test that is skipped for one database or server may have passed for another
        return "FAILED" if "failed" in outcomes else "held" if "passed" in outcomes else "skipped"


def run(name: str, options: list[str]) -> int:
    """Run the tests of a catalogue, print one line a row, and keep the results. Return the exit code."""
    rows = CATALOGUES[name].rows
    files = sorted({test.partition("::")[0] for row in rows for test in marks().get(row, ())})
    results = Results(set(rows))
    code = 0
    if files:
        try:
            code = pytest.main(
                ["-m", "row", "-q", "--tb=short", "-p", "no:cacheprovider", *options, *files], [results]
            )
        except Exception as error:  # noqa: BLE001 - such as resources that pytest finds unclosed at its end
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            code = 1
    by_row = {id_: "not here" if row.not_here else results.result(id_) for id_, row in rows.items()}
    print()
    for id_, row in rows.items():
        print(f"{id_:4}{by_row[id_]:9} {row.fault}{f' ({row.not_here})' if row.not_here else ''}")
    counts = {result: list(by_row.values()).count(result) for result in dict.fromkeys(by_row.values())}
    print(
        f"\n{name}: {len(rows)} rows: " + ", ".join(f"{count} {result}" for result, count in counts.items())
    )
    RESULTS.write_text(json.dumps(_kept_results() | by_row, indent=1, sort_keys=True) + "\n")
    return 0 if code in (0, 5) and set(by_row.values()) <= {"held", "not here"} else 1


def _kept_results() -> dict[str, str]:
    return dict(json.loads(RESULTS.read_text())) if RESULTS.exists() else {}


def page() -> str:
    """Return docs/why/reliability.md, from the catalogues, the marks and the results of the last runs."""
    results = _kept_results()
    parts = [_INTRODUCTION]
    for catalogue in CATALOGUES.values():
        rows = catalogue.rows
        held = sum(results.get(id_) == "held" for id_ in rows)
        parts.append(
            f"## {catalogue.title}\n\n`make test-{catalogue.name}`: {held} of {len(rows)} rows held.\n"
        )
        lines = ["| Row | What happens | What holds | Result | Test |", "|---|---|---|---|---|"]
        for id_, row in rows.items():
            if not row.not_here:
                tests = marks().get(id_, [])
                result = results.get(id_, "not run")
                if result == "no test" and tests:
                    result = "not run"  # the test is newer than the last run
                cells = (id_, row.fault, row.holds, result, _links(tests))
                lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        parts.append("\n".join(lines) + "\n")
    missing = [
        f"- {id_}: {row.fault} {row.not_here}"
        for each in CATALOGUES.values()
        for id_, row in each.rows.items()
        if row.not_here
    ]
    parts.append("## What is not covered\n\n" + "\n".join([*missing, *_NOT_COVERED]) + "\n")
    return "\n".join(parts)


def _links(tests: list[str]) -> str:
    """Return links to the first tests, and how many there are besides."""
    links = [f"[{test.rpartition('::')[2]}](../../{test.partition('::')[0]})" for test in tests[:_MOST_LINKS]]
    more = len(tests) - len(links)
    return "<br>".join(links) + (f"<br>and {more} more" if more else "")


_INTRODUCTION = """# Reliability

<!-- Generated by `python -m tests.support.catalogue --write-page`. -->

The gateway is tested against four catalogues: attacks by clients, faults, published advisories of comparable software,
and what agents and SDKs send. Each row has a test that fails if what the row says does not hold. After every test of a
fault, [one fixture](../../tests/faults/conftest.py) checks that the process lives, that the client got exactly one
well-formed answer, that the next request succeeds, that descriptors, tasks, places and leases of keys are back where
they were, that no secret is in log, answers or ledger, and that the ledger has one row for each upstream call.
"""

_MOST_LINKS = 3
_NOT_COVERED = (
    "- Google itself: all rows run on an upstream of the tests.",
    "- Loss, delay and reordering of packets: the tests' machine has no control of its network interfaces.",
)


def main(arguments: list[str]) -> int:
    """Run a catalogue, or write the page."""
    if arguments == ["--write-page"]:
        PAGE.write_text(page(), "utf-8")
        return 0
    if arguments and arguments[0] in CATALOGUES:
        return run(arguments[0], arguments[1:])
    print(re.split(r"\n\n", __doc__ or "")[2], file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
