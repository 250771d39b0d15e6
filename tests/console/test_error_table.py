"""The explanation of an error code; cli/pages/test_errors.py compares the table with the codes in use."""

from gateway.console.error_table import ERRORS, codes, explained


def test_a_code_of_two_statuses_is_explained_by_its_status() -> None:
    full, busy = explained("gateway_overloaded", 429), explained("gateway_overloaded", 503)
    assert full is not None
    assert busy is not None

    assert (full.status, busy.status) == ("429", "503")
    assert full.remedy != busy.remedy
    assert explained("gateway_overloaded") == full
    assert explained("no_such_code") is None


def test_every_code_has_a_cause() -> None:
    for error in ERRORS:
        for code in codes(error):
            row = explained(code)
            assert row is not None
            assert row.cause
