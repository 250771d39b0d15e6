"""What `make install` writes, what it leaves alone, and what `make uninstall` leaves behind."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT

GENERATED = "10-gateway-generated.conf"


class Machine:
    """A machine's files below a folder."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.units = folder / "etc/systemd/system"
        self.etc = folder / "etc/gateway"

    def install(self, *arguments: str, domain: str = "gateway.test") -> str:
        """Run the installer and return its output."""
        environ = {
            "DESTDIR": str(self.root),
            "PATH": "/usr/bin:/bin",
            **({"DOMAIN": domain} if domain else {}),
        }
        command = ["sh", "systemd/install.sh", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=environ, check=True, capture_output=True, text=True
        ).stdout

    def version(self) -> str:
        return os.readlink(self.root / "opt/gateway/current").removeprefix("versions/")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    result = Machine(tmp_path)
    result.install()
    return result


def test_each_version_has_a_folder_and_the_units_name_it(machine: Machine) -> None:
    version = machine.version()
    python = f"/opt/gateway/versions/{version}/bin/python"

    assert re.fullmatch(r"\d+\.\d+\.\d+-[0-9a-f]{10}(\.[0-9a-f]{10})?", version)
    assert f"\nExecStart={python} -I -m gateway serve" in (machine.units / "gateway@.service").read_text()
    assert f"exec {python} -I -m gateway" in (machine.root / "usr/local/bin/gateway").read_text()
    assert (machine.root / "usr/local/bin/gateway").stat().st_mode & 0o777 == 0o755
    assert os.readlink(machine.root / "opt/gateway/venv") == "current"
    assert (machine.root / f"opt/gateway/versions/{version}/share/gateway/systemd/activate.sh").exists()


def test_no_placeholder_is_left(machine: Machine) -> None:
    written = [*machine.units.glob("gateway*"), machine.root / "usr/local/bin/gateway"]
    written += [machine.root / "etc/nginx/sites-available/gateway"]
    written += [machine.root / "etc/letsencrypt/renewal-hooks/deploy/gateway"]

    assert not [path for path in written if path.is_file() and re.search(r"@[A-Z]+@", path.read_text())]


def test_o06_whatever_is_generated_says_so(machine: Machine) -> None:
    files = [
        "etc/systemd/system/gateway@.service",
        "etc/systemd/system/gateway.socket",
        "etc/systemd/system/gateway-admin.socket",
        f"etc/systemd/system/gateway@.service.d/{GENERATED}",
        "usr/local/bin/gateway",
        "etc/nginx/sites-available/gateway",
        "etc/letsencrypt/renewal-hooks/deploy/gateway",
    ]
    for name in files:
        assert "enerated by `make install`" in (machine.root / name).read_text().partition("\n\n")[0], name


def test_o06_the_operators_own_files_survive_install_and_uninstall(machine: Machine) -> None:
    own = [
        machine.units / "gateway@.service.d/override.conf",
        machine.units / "gateway@.service.d/10-addresses.conf",
        machine.units / "gateway.socket.d/override.conf",
        machine.units / "gateway-admin.socket.d/prometheus.conf",
        machine.etc / "nginx.d/own.conf",
        machine.etc / "credentials/gemini-blue",
        machine.etc / "environment",
        machine.etc / "gateway.yaml",
    ]
    for path in own:
        path.parent.mkdir(exist_ok=True)
        path.write_text("# the operator's\n")
    (machine.root / "var/lib/gateway").mkdir(parents=True)

    machine.install()
    output = machine.install("--uninstall")

    assert [path.read_text() for path in own] == ["# the operator's\n"] * len(own)
    assert "/var/lib/gateway  ledger with keys, budgets and usage" in output
    assert "/etc/systemd/system/gateway@.service.d  files of your own" in output
    assert not list(machine.units.rglob(GENERATED))
    assert not [path for path in machine.units.iterdir() if path.is_file()]


def test_o06_a_drop_in_that_an_earlier_version_generated_goes(machine: Machine) -> None:
    former = machine.units / "gateway@.service.d/10-addresses.conf"
    lines = Path("/etc/resolv.conf").read_text().splitlines() if Path("/etc/resolv.conf").exists() else []
    resolvers = "".join(f"{line.split()[1]} " for line in lines if line.split()[:1] == ["nameserver"])
    text = (
        "[Service]\n# Resolvers of this machine, from /etc/resolv.conf. Add proxies, Redis and databases on private addresses"
        f" here.\nIPAddressAllow={resolvers}\n"
    )
    former.write_text(text + "IPAddressAllow=10.0.0.5\n")
    machine.install()
    assert former.exists()

    former.write_text(text)
    machine.install()
    assert not former.exists()


def test_uninstall_removes_what_was_written(machine: Machine) -> None:
    machine.install("--uninstall")

    assert list(machine.units.iterdir()) == []
    assert not (machine.root / "opt/gateway").exists()
    assert not (machine.root / "usr/local/bin/gateway").exists()
    assert not (machine.root / "etc/letsencrypt/renewal-hooks/deploy/gateway").exists()
    assert (machine.etc / "gateway.yaml").exists()


def test_o17_the_admin_api_has_a_token_from_the_beginning(machine: Machine) -> None:
    token = machine.etc / "credentials/admin-token"
    text = token.read_text()

    assert re.fullmatch("[0-9a-f]{48}", text)
    assert token.stat().st_mode & 0o777 == 0o600
    assert "\n  token: {credential: admin-token}\n" in (machine.etc / "gateway.yaml").read_text()
    machine.install()
    assert token.read_text() == text


def test_o17_variables_for_the_configuration_have_a_file(machine: Machine) -> None:
    environment = machine.etc / "environment"
    assert environment.stat().st_mode & 0o777 == 0o600
    assert "\nEnvironmentFile=-/etc/gateway/environment\n" in (ROOT / "systemd/gateway@.service").read_text()

    command = (machine.root / "usr/local/bin/gateway").read_text()
    environment.write_text("# a comment\nGEMINI_GREEN=AQ.a=b c\nno line\n\nLAST=x")
    script = command.replace("/etc/gateway/environment", str(environment))
    script = re.sub(r"exec .*", 'printf "%s|" "$GEMINI_GREEN" "$LAST"', script)
    result = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "AQ.a=b c|x|"


def test_without_a_domain_the_present_one_stays(machine: Machine) -> None:
    site = machine.root / "etc/nginx/sites-available/gateway"
    machine.install(domain="")
    assert "server_name gateway.test;" in site.read_text()

    site.write_text("# The gateway behind TLS on former.test. Written by `make install`; 1 bytes\n")
    machine.install(domain="")
    assert "server_name former.test;" in site.read_text()


def test_a_first_installation_without_a_domain_takes_the_machines_name(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.install(domain="")

    assert re.search(r"server_name [\w.-]+;", (tmp_path / "etc/nginx/sites-available/gateway").read_text())


def hook(machine: Machine, tmp_path: Path, **environ: str) -> str:
    """Run certbot's hook with programs that only write down their call. Return the calls."""
    programs = tmp_path / "bin"
    programs.mkdir(exist_ok=True)
    for name in ("nginx", "systemctl"):
        (programs / name).write_text(f'#!/bin/sh\necho {name} "$@" >>{tmp_path}/calls\n')
        (programs / name).chmod(0o755)
    script = machine.root / "etc/letsencrypt/renewal-hooks/deploy/gateway"
    environ |= {"PATH": f"{programs}:/usr/bin:/bin", "TLS": str(machine.etc / "tls")}
    subprocess.run([script], env=environ, check=True)
    return (tmp_path / "calls").read_text()


def test_o02_after_a_renewal_nginx_reads_the_certificate_again(machine: Machine, tmp_path: Path) -> None:
    live = tmp_path / "live"
    live.mkdir()
    for name in ("fullchain.pem", "privkey.pem"):
        (live / name).write_text("new")
        (machine.etc / "tls" / name).symlink_to(live / name)

    calls = hook(machine, tmp_path, RENEWED_LINEAGE=str(live), RENEWED_DOMAINS="gateway.test")

    assert calls == "nginx -t -q\nsystemctl reload nginx\n"
    assert (machine.etc / "tls" / "fullchain.pem").is_symlink()


@pytest.mark.parametrize(("domains", "expected"), [("www.test gateway.test", "new"), ("other.test", "old")])
def test_o02_a_copy_is_replaced_if_the_renewed_certificate_is_the_sites(
    machine: Machine, tmp_path: Path, domains: str, expected: str
) -> None:
    live = tmp_path / "live"
    live.mkdir()
    for name in ("fullchain.pem", "privkey.pem"):
        (live / name).write_text("new")
        (machine.etc / "tls" / name).write_text("old")

    hook(machine, tmp_path, RENEWED_LINEAGE=str(live), RENEWED_DOMAINS=domains)

    for name in ("fullchain.pem", "privkey.pem"):
        assert (machine.etc / "tls" / name).read_text() == expected
    if expected == "new":
        assert (machine.etc / "tls" / "privkey.pem").stat().st_mode & 0o777 == 0o600


def test_o02_a_certificate_of_lets_encrypt_is_linked_by_itself(machine: Machine) -> None:
    live = machine.root / "etc/letsencrypt/live/gateway.test"
    live.mkdir(parents=True)
    for name in ("fullchain.pem", "privkey.pem"):
        (live / name).write_text("x")

    machine.install()

    assert os.readlink(machine.etc / "tls/privkey.pem") == "/etc/letsencrypt/live/gateway.test/privkey.pem"


def serve_other(machine: Machine, name: str) -> None:
    """Let another version serve."""
    current = machine.root / "opt/gateway/current"
    current.unlink()
    current.symlink_to(f"versions/{name}")


def test_o19_an_installation_notes_the_version_that_served_before(machine: Machine) -> None:
    before = machine.root / "opt/gateway/versions" / machine.version() / "before"
    assert before.read_text() == "\n"

    machine.install()  # again: still nothing before it
    assert before.read_text() == "\n"
    serve_other(machine, "0.0.1-aaa")
    machine.install()
    machine.install()
    assert before.read_text() == "0.0.1-aaa\n"
    before.unlink()  # of an earlier checkout, which noted nothing
    machine.install()
    assert not before.exists()


def test_o19_the_version_that_served_before_is_kept(machine: Machine) -> None:
    folder = machine.root / "opt/gateway/versions"
    for age, name in enumerate(["d", "c", "b", "a"]):
        (folder / name).mkdir()
        stamp = folder / name / "installed"
        stamp.touch()
        os.utime(stamp, (1000 - age, 1000 - age))
    (folder / machine.version() / "installed").touch()
    (folder / machine.version() / "before").write_text("a\n")
    subprocess.run(["sh", folder / machine.version() / "share/gateway/systemd/prune.sh"], check=True)

    assert {path.name for path in folder.iterdir()} == {machine.version(), "d", "c", "a"}


def test_without_a_certificate_the_command_to_run_again_is_named(machine: Machine) -> None:
    assert machine.install().endswith("Then:\n  make install\n")

    package = machine.root / "usr/share/gemini-openai-gateway"
    package.mkdir(parents=True)
    (package / "VERSION").write_text("0.1.0-aaa\n")
    assert machine.install().endswith("Then:\n  dpkg-reconfigure gemini-openai-gateway\n")


@pytest.mark.parametrize(
    ("serves", "end"), [(True, "the version before serves on"), (False, "nothing was installed")]
)
def test_a_download_that_fails_ends_with_what_serves(tmp_path: Path, serves: bool, end: str) -> None:
    """With programs in place of id and python3: an environment whose pip fails."""
    programs, prefix = tmp_path / "bin", tmp_path / "opt"
    programs.mkdir()
    prefix.mkdir()
    if serves:
        (prefix / "current").symlink_to(tmp_path)
    python = (
        'mkdir -p "$3/bin" && printf "#!/bin/sh\\nexit 1\\n" >"$3/bin/python" && chmod 755 "$3/bin/python"'
    )
    (programs / "id").write_text("#!/bin/sh\necho 0\n")
    (programs / "python3").write_text(f'#!/bin/sh\n[ "$2" != venv ] || {{ {python}; }}\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    environ = {"PATH": f"{programs}:/usr/bin:/bin", "PREFIX": str(prefix)}
    result = subprocess.run(
        ["sh", "systemd/install.sh"], cwd=ROOT, env=environ, capture_output=True, text=True
    )

    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == f"install: pip failed, see above; {end}"
