"""The catalogues: each row is proved by a test, or has a reason why it is not."""

import re

import pytest

from tests.support import catalogue
from tests.support.catalogue import CATALOGUES, Catalogue


@pytest.fixture(params=list(CATALOGUES))
def suite(request: pytest.FixtureRequest) -> Catalogue:
    """Each catalogue."""
    return CATALOGUES[request.param]


def test_a_catalogue_has_all_its_rows(suite: Catalogue) -> None:
    width = 1 if suite.name in ("attacks", "agents") else 2
    ids = [f"{prefix}{number:0{width}}" for prefix, count in suite.ids for number in range(1, count + 1)]

    assert list(suite.rows) == ids


def test_each_row_says_what_happens_and_what_holds(suite: Catalogue) -> None:
    silent = {id_ for id_, row in suite.rows.items() if not (row.fault and (row.holds or row.not_here))}

    assert silent == set()


def test_each_row_has_a_test_or_a_reason(suite: Catalogue) -> None:
    without = {id_ for id_, row in suite.rows.items() if not (row.not_here or id_ in catalogue.marks())}

    assert without == set()


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
            assert named


def test_marks_name_rows_that_exist() -> None:
    known = {id_ for each in CATALOGUES.values() for id_ in each.rows}

    assert set(catalogue.marks()) - known == set()
