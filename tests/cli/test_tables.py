"""Tables and JSON on standard output."""

from decimal import Decimal

import pytest

from gateway.cli.tables import print_json, print_table

Capture = pytest.CaptureFixture[str]


def test_columns_are_aligned_below_a_header(capsys: Capture) -> None:
    print_table(("id", "name"), [("key_1", "ada"), ("k", "")])

    assert capsys.readouterr().out == "id     name\nkey_1  ada\nk\n"


def test_without_rows_there_is_the_header(capsys: Capture) -> None:
    print_table(("id", "name"), [])

    assert capsys.readouterr().out == "id  name\n"


def test_o15_decimals_are_numbers_without_exponent(capsys: Capture) -> None:
    print_json([{"dollars": Decimal(56) / 1_000_000}])

    assert '"dollars": 0.000056' in capsys.readouterr().out
