"""Text of config/Caddyfile. tests/vps/steps/57-caddy.sh runs it with Debian's Caddy."""

import re
import shutil
import subprocess

import pytest

from gateway.policy.load.admission import LimitsConfig
from tests.support.paths import ROOT

PATH = ROOT / "config" / "Caddyfile"
TEXT = PATH.read_text()


def test_o02_streams_pass_at_once_and_the_limits_are_the_gateways() -> None:
    assert "flush_interval -1" in TEXT
    assert "reverse_proxy unix//run/gateway.sock {" in TEXT
    assert int(re.findall(r"max_size (\d+)", TEXT)[0]) == LimitsConfig().body


def test_o02_no_key_can_get_into_a_log_or_over_a_line_without_tls() -> None:
    assert re.findall(r"exclude (.*)", TEXT) == ["http.log.error http.handlers.reverse_proxy"]
    assert not re.search(
        r"^\tlog\b", TEXT.partition("\ngateway.example.com")[2], re.M
    )  # there is no access log
    assert "auto_https disable_redirects" in TEXT
    assert 'http://gateway.example.com {\n\theader Content-Type application/json\n\trespond `{"error"' in TEXT


@pytest.mark.skipif(shutil.which("caddy") is None, reason="needs caddy")
def test_o02_caddy_accepts_the_file() -> None:
    subprocess.run(["caddy", "validate", "--config", PATH, "--adapter", "caddyfile"], check=True)
