"""The catalogues: each row is proved by a test, or has a reason why it is not."""

import re

import pytest

from tests.support import catalogue
from tests.support.catalogue import CATALOGUES, Catalogue

OPEN: dict[str, set[str]] = {
    "attacks": set(),
    "faults": {
        "C06",
        "C07",
        "C08",
        "C09",
        "C10",
        "C12",
        "C13",
        "C14",
        "C18",
        "C21",
        "C29",
        "C30",
        "C31",
        "C32",
        "C33",
        "C34",
        "C35",
        "C37",
        "C38",
        "C39",
        "C40",
        "C42",
        "C44",
        "C47",
        "P05",
        "P06",
        "P10",
        "P11",
        "P12",
        "P13",
        "P16",
        "P17",
        "P19",
        "P22",
        "P33",
        "P34",
        "P37",
        "P38",
        "P41",
        "P44",
        "P45",
    },
    "advisories": set(),
}
"""Rows that no test proves yet."""


@pytest.fixture(params=list(CATALOGUES))
def suite(request: pytest.FixtureRequest) -> Catalogue:
    """Each catalogue."""
    return CATALOGUES[request.param]


def test_a_catalogue_has_all_its_rows(suite: Catalogue) -> None:
    width = 1 if suite.name == "attacks" else 2
    ids = [f"{prefix}{number:0{width}}" for prefix, count in suite.ids for number in range(1, count + 1)]

    assert list(suite.rows) == ids


def test_each_row_says_what_happens_and_what_holds(suite: Catalogue) -> None:
    silent = {id_ for id_, row in suite.rows.items() if not (row.fault and (row.holds or row.not_here))}

    assert silent <= OPEN[suite.name]


def test_each_row_has_a_test_or_a_reason(suite: Catalogue) -> None:
    without = {id_ for id_, row in suite.rows.items() if not (row.not_here or id_ in catalogue.marks())}

    assert without <= OPEN[suite.name]


def test_few_rows_cannot_be_tested_here(suite: Catalogue) -> None:
    excused = [id_ for id_, row in suite.rows.items() if row.not_here]

    assert len(excused) <= suite.most_not_here
    assert [id_ for id_ in excused if id_ in catalogue.marks()] == []


def test_the_page_is_in_step_with_catalogues_and_marks() -> None:
    """Results are those of the last runs. A row may have more tests than the page names, not others."""
    lines = catalogue.PAGE.read_text("utf-8").splitlines()
    cells = {line.split(" | ")[0][2:]: line[2:-2].split(" | ") for line in lines if line.startswith("| ")}
    for each in CATALOGUES.values():
        for id_, row in each.rows.items():
            if row.not_here:
                assert f"- {id_}: {row.fault} {row.not_here}" in lines
                continue
            _, fault, holds, _, tests = cells[id_]
            assert (fault, holds) == (row.fault.replace("|", "\\|"), row.holds.replace("|", "\\|")), (
                "run `make docs`"
            )
            named = set(re.findall(r"\[(\w+)\]", tests))
            marked = {name.rpartition("::")[2] for name in catalogue.marks().get(id_, [])}
            assert named <= marked, "run `make docs`"
            assert named or id_ in OPEN[each.name]


def test_marks_name_rows_that_exist() -> None:
    known = {id_ for each in CATALOGUES.values() for id_ in each.rows}

    assert set(catalogue.marks()) - known == set()
