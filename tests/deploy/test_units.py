"""Text of the systemd units and the nginx site."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.main import parser
from gateway.config.sections import GatewayConfig
from gateway.policy.load.admission import LimitsConfig
from tests.support.paths import ROOT

UNIT = (ROOT / "systemd" / "gateway@.service").read_text()
SITE = (ROOT / "config" / "nginx.conf").read_text()


def value(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT, re.M)


def test_private_addresses_are_denied() -> None:
    denied = " ".join(value("IPAddressDeny")).split()

    assert {
        "10.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",
        "::1/128",
    } <= set(denied)


def test_the_commands_of_the_unit_exist() -> None:
    (start,), (reload,) = value("ExecStart"), value("ExecReload")
    arguments = start.partition(" -m gateway ")[2].split()
    assert parser(arguments).parse_args(arguments).config == Path("/etc/gateway/gateway.yaml")
    arguments = reload.partition(" -m gateway ")[2].split()
    assert parser(arguments).parse_args(arguments).quiet


def test_o01_nothing_but_the_process_itself_reads_the_credentials() -> None:
    """Other commands of a unit cannot: https://github.com/systemd/systemd/issues/35227."""
    commands = [line for name in ("ExecStartPre", "ExecReload") for line in value(name)]

    assert not [command for command in commands if "--config" in command]
    assert value("Environment") == ["GATEWAY_CONTROL=%t/gateway/%i.sock"]


def test_o04_no_number_of_starts_closes_the_sockets() -> None:
    assert value("StartLimitIntervalSec") == ["0"]
    assert value("Restart") == ["always"]
    assert value("RestartPreventExitStatus") == []
    for socket in ("gateway.socket", "gateway-admin.socket"):
        assert "\nTriggerLimitIntervalSec=0\n" in (ROOT / "systemd" / socket).read_text()


def test_o04_the_unit_has_no_setting_that_systemd_252_does_not_know() -> None:
    newer = {
        "RestartSteps",
        "RestartMaxDelaySec",
        "RestartMode",
        "PollLimitIntervalSec",
        "MemoryZSwapWriteback",
    }
    assert not {line.partition("=")[0] for line in UNIT.splitlines()} & newer
    assert value("Type") == ["notify"]  # notify-reload came with 253


def test_systemd_waits_longer_than_the_drain() -> None:
    assert int(value("TimeoutStopSec")[0].rstrip("s")) > GatewayConfig().drain


@pytest.mark.parametrize(
    "name",
    ["NoNewPrivileges", "PrivateUsers", "MemoryDenyWriteExecute", "DynamicUser", "RuntimeDirectoryPreserve"],
)
def test_the_sandbox_is_on(name: str) -> None:
    assert value(name) == ["yes"]


def test_both_instances_share_one_user_and_one_socket() -> None:
    assert value("User") == ["gateway"]
    assert value("Sockets") == ["gateway.socket gateway-admin.socket"]
    assert "Service=gateway@blue.service" in (ROOT / "systemd" / "gateway.socket").read_text()


@pytest.mark.parametrize(
    "line",
    ["proxy_buffering off;", "proxy_http_version 1.1;", 'proxy_set_header Connection $gateway_connection;', "ssl_reject_handshake on;",
     "proxy_set_header X-Forwarded-For $remote_addr;", "client_max_body_size @BODY@;", "server unix:/run/gateway.sock"],
)  # fmt: skip
def test_nginx_is_safe_for_streams_and_headers(line: str) -> None:
    assert line in SITE


def test_no_log_of_nginx_can_hold_a_key() -> None:
    assert not re.search(r"\$(request\b|args|request_uri|http_referer|http_authorization)", SITE)
    assert set(re.findall(r"error_log \S+ (\w+);", SITE)) == {"crit"}


def test_the_installer_reads_the_body_limit_from_the_configuration() -> None:
    code = re.findall(r"-I -c '(from gateway.*?)'\)", (ROOT / "systemd" / "site.sh").read_text(), re.S)
    assert len(code) == 1
    command = [sys.executable, "-c", code[0].replace("/etc/gateway", str(ROOT / "config"))]

    result = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)

    assert int(result.stdout) == LimitsConfig().body
