"""The certificate of a TLS server, and how long it is valid."""

import ssl
from collections.abc import Mapping
from typing import Any

OLD_DAYS = 14
"""Days of validity below which a certificate should have been renewed: certbot does so 30 days before its end."""


def days_left(certificate: Mapping[str, Any] | None, now: float) -> float:
    """Return the days for which a certificate (`SSLSocket.getpeercert`) is valid."""
    return (ssl.cert_time_to_seconds(str((certificate or {})["notAfter"])) - now) / 86400
