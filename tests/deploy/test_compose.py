"""The compose files and the Containerfile: what they say fits the gateway, and each other."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.cli.main import COMMANDS
from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from tests.support.paths import ROOT

FOLDER = ROOT / "config" / "container"
CONTAINERFILE = (FOLDER / "Containerfile").read_text()
FILES = ("compose.yaml", "compose.team.yaml")


def compose(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


def gateways(file: Any) -> list[Any]:
    return [service for name, service in file["services"].items() if name.startswith("gateway")]


@pytest.mark.parametrize("name", FILES)
def test_the_gateway_is_confined_and_may_drain(name: str) -> None:
    for service in gateways(compose(name)):
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert int(service["stop_grace_period"].rstrip("s")) > GatewayConfig().drain
        assert "ports" not in service


@pytest.mark.parametrize("name", FILES)
def test_caddy_passes_events_on_at_once_to_gateways_that_exist(name: str) -> None:
    file = compose(name)
    site = file["configs"]["caddyfile"]["content"]

    assert re.search(r"^ *flush_interval -1$", site, re.M)
    (targets,) = re.findall(r"reverse_proxy (.*) \{", site)
    names = [service for service in file["services"] if service.startswith("gateway")]
    assert targets.split() == [f"{service}:8080" for service in names]
    assert "${DOMAIN:?" in site


@pytest.mark.parametrize("name", FILES)
def test_everything_that_a_service_names_is_declared(name: str) -> None:
    file = compose(name)
    for service in file["services"].values():
        mounts = [mount.split(":")[0] for mount in service.get("volumes", ())]
        assert {mount for mount in mounts if mount[0] not in "./"} <= set(file["volumes"])
        assert {config["source"] for config in service.get("configs", ())} <= set(file["configs"])
        assert set(service.get("secrets", ())) <= set(file.get("secrets", ()))
        assert set(service.get("depends_on", ())) <= set(file["services"])


def test_the_configuration_of_the_team_is_valid_and_trusts_the_network(tmp_path: Path) -> None:
    file = compose("compose.team.yaml")
    for name in file["secrets"]:
        (tmp_path / name).write_text("secret")
    text = file["configs"]["gateway"]["content"]
    config = Source(text, "gateway.yaml", {"CREDENTIALS_DIRECTORY": str(tmp_path)}).decode(GatewayConfig)

    (network,) = file["networks"]["default"]["ipam"]["config"]
    assert config.connections.trusted_proxies == (network["subnet"],)
    assert config.state.machines == len(gateways(file))
    assert config.ledger.url == "postgresql://gateway@postgres/gateway"


def test_the_comment_about_the_network_names_it() -> None:
    (network,) = compose("compose.yaml")["networks"]["default"]["ipam"]["config"]

    assert ip_network(network["subnet"]).is_private
    assert f"trusted_proxies: [{network['subnet']}]" in (FOLDER / "compose.yaml").read_text()


def test_the_image_runs_as_its_own_user_and_is_asked_by_a_command_that_exists() -> None:
    assert re.findall(r"^USER (.*)$", CONTAINERFILE, re.M) == ["65532:65532"]
    assert re.findall(r"^VOLUME (.*)$", CONTAINERFILE, re.M) == ["/var/lib/gateway"]
    assert re.findall(r"^ENTRYPOINT (.*)$", CONTAINERFILE, re.M) == ['["gateway"]']
    (command,) = re.findall(r'^HEALTHCHECK .* CMD \["gateway", "(\w+)"\]$', CONTAINERFILE, re.M)
    (default,) = re.findall(r'^CMD \["(\w+)"\]$', CONTAINERFILE, re.M)
    assert {command, default} <= set(COMMANDS)


def test_docker_is_sent_all_that_the_image_copies_and_little_else() -> None:
    ignored = (FOLDER / "Containerfile.dockerignore").read_text().splitlines()
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", CONTAINERFILE, re.M)
        for word in line.split()
    }

    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
