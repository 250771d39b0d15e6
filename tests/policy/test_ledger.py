"""The ledger's configuration."""

import pytest

from gateway.policy.ledger import LedgerConfig


@pytest.mark.parametrize("url", [None, "ledger.db", "/var/x.db", "postgresql://u@h/n", "postgres://u@h/n"])
def test_a_file_or_a_postgresql_database(url: str | None) -> None:
    assert LedgerConfig(url=url).url == url


def test_another_database_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^`url` must be postgresql://USER@HOST/NAME or the name of a SQLite file$"
    ):
        LedgerConfig(url="mysql://u@h/n")
