"""The certificate of a TLS server, and how long it is valid."""

import ssl
from collections.abc import Mapping
from typing import Any

OLD_DAYS = 14
"""Days of validity below which a certificate should have been renewed: certbot does so 30 days before its end."""


def days_left(certificate: Mapping[str, Any] | None, now: float) -> float:
    """Return the days for which a certificate (`SSLSocket.getpeercert`) is valid."""
    return (ssl.cert_time_to_seconds(str((certificate or {})["notAfter"])) - now) / 86400


def remedy_of(reason: str) -> str:
    """Return what makes this machine accept a certificate, by OpenSSL's reason against it; "" for another reason.

    Reasons are those of X509_verify_cert_error_string(3); OpenSSL 1.1 writes "self signed".
    """
    trust = (
        "copy it to /usr/local/share/ca-certificates/gateway.crt, then update-ca-certificates and gateway roll "
        "(docs/do/behind-nginx.md, A certificate of your own)"
    )
    if reason.startswith(("self-signed certificate", "self signed certificate")):
        return f"Trust it on this machine: {trust}."
    if reason == "unable to get local issuer certificate":
        return f"fullchain.pem lacks an intermediate certificate; or trust your own issuer's certificate: {trust}."
    return ""
