"""Contexts that are made while aiohttp is imported verify as the default one does, once they are used."""

import ssl
import subprocess
import sys

from gateway.upstream.default_tls import LateContext, late_certificates
from tests.support.paths import ROOT

SCRIPT = """
import gateway.cli.serve, aiohttp.connector as c, ssl
print(type(c._SSL_CONTEXT_VERIFIED).__name__, len(c._SSL_CONTEXT_VERIFIED.get_ca_certs()), end=" ")
print(ssl.create_default_context.__module__, ssl.SSLContext.set_default_verify_paths.__qualname__)
"""


def test_certificates_are_read_before_the_first_connection() -> None:
    with late_certificates():
        late = ssl.create_default_context()
        unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unverified.set_default_verify_paths()
    usual = ssl.create_default_context()

    assert (type(late), type(usual)) == (LateContext, ssl.SSLContext)
    assert (late.verify_mode, late.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (late.verify_flags, late.options) == (usual.verify_flags, usual.options)
    assert late.minimum_version == usual.minimum_version
    assert late.get_ca_certs() == []
    for _ in range(2):
        late.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="example.com")
    assert late.cert_store_stats() == usual.cert_store_stats()


def test_the_gateway_imports_aiohttp_without_certificates() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, cwd=ROOT, check=True
    )

    assert done.stdout.split()[:3] == ["LateContext", "0", "ssl"]
    assert "lambda" not in done.stdout
