"""The explanation of an error code; cli/pages/test_errors.py compares the table with the codes in use."""

import pytest

from gateway.console.error_table import ERRORS, Error, codes, explained


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


def test_a_code_of_several_causes_is_explained_by_what_refused_the_request() -> None:
    texts = {
        limit: row.cause
        for limit in ("requests_per_day 3/3", "streams 1/1", "pool", "google X 5", None)
        if (row := explained("rate_limit_exceeded", 429, limit)) is not None
    }

    assert texts["requests_per_day 3/3"] == texts["streams 1/1"]
    assert len({*texts.values()}) == 3
    assert texts["google X 5"] == texts[None]
    suspended, refused = explained("invalid_api_key", 401, "key.suspended"), explained("invalid_api_key", 401)
    assert suspended is not None
    assert refused is not None
    assert "suspended" in suspended.cause
    assert "suspended" not in refused.cause


def test_a_place_is_a_page_of_the_console() -> None:
    pages = {"keys", "pool", "health", "models", "config"}

    assert {error.place.partition("?")[0] for error in ERRORS if error.place} == pages


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{error.status}-{codes(error)[0]}")
def test_a_remedy_is_a_sentence_for_the_operator(error: Error) -> None:
    # words that would tell an operator to do what only the client can
    of_clients = (
        "wait for `retry-after`",
        "try ",
        "send ",
        "shorten ",
        "upload ",
        "begin ",
        "convert ",
        "make it",
    )

    assert len(error.remedy.split()) >= 3, "a name alone says nothing"
    assert not error.remedy.startswith(of_clients)
