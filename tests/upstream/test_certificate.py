"""Days of validity of a certificate."""

import pytest

from gateway.upstream.certificate import days_left


def test_days_are_counted_to_its_end() -> None:
    certificate = {"notAfter": "Jan  2 00:00:00 2030 GMT"}

    assert days_left(certificate, 1893456000) == 1.0  # 2030-01-01
    assert days_left(certificate, 1893456000 + 3 * 86400) == -2.0


def test_no_certificate_is_an_error() -> None:
    with pytest.raises(KeyError):
        days_left(None, 0)
