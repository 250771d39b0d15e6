"""Days of validity of a certificate."""

import pytest

from gateway.upstream.certificate import days_left, remedy_of


def test_days_are_counted_to_its_end() -> None:
    certificate = {"notAfter": "Jan  2 00:00:00 2030 GMT"}

    assert days_left(certificate, 1893456000) == 1.0  # 2030-01-01
    assert days_left(certificate, 1893456000 + 3 * 86400) == -2.0


def test_no_certificate_is_an_error() -> None:
    with pytest.raises(KeyError):
        days_left(None, 0)


@pytest.mark.parametrize(
    ("reason", "begin"),
    [
        ("self-signed certificate", "Trust it on this machine: copy it to /usr/local/share/ca-certificates/"),
        ("self signed certificate", "Trust it on this machine: "),
        ("self-signed certificate in certificate chain", "Trust it on this machine: "),
        (
            "unable to get local issuer certificate",
            "fullchain.pem lacks an intermediate certificate; or trust ",
        ),
    ],
)
def test_a_certificate_of_an_unknown_issuer_can_be_trusted(reason: str, begin: str) -> None:
    assert remedy_of(reason).startswith(begin)
    assert "update-ca-certificates and gateway roll" in remedy_of(reason)


@pytest.mark.parametrize("reason", ["certificate has expired", "h:443 does not answer (TimeoutError)", ""])
def test_another_fault_is_not_mended_by_trust(reason: str) -> None:
    assert remedy_of(reason) == ""
