"""Build what can be handed on: sdist, wheel, one file, Debian package, bill of materials, installer and checksums.

    python config/package/dist.py [FOLDER [deb]]     default: dist; deb: only the wheel and the Debian package

The same commit gives the same bytes: times are SOURCE_DATE_EPOCH or the commit's, modes and the order of files are
fixed, and packages come from requirements.lock by their hashes. `make dist` runs it in an environment with the tools of
requirements-dist.lock. Packages of other authors are downloaded once, into build/wheels.
"""

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent.relative_to(ROOT)
NAME = "gemini-openai-gateway"
PYTHONS = ("3.11", "3.12", "3.13")
"""Versions whose compiled modules the one file and the Debian package hold; Debian 12 has the first, 13 the last."""
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64")
_ENTRY = re.compile(
    r"^(?P<pin>[a-z0-9][\w.-]*==[^\s;\\]+)(?: ;[^\\\n]*)? \\\n(?P<rest>(?: +--hash.*\n)+)", re.M
)


class DistError(Exception):
    """A reason why nothing was built."""


def main(arguments: list[str]) -> int:
    """Build into a folder, which is emptied first. Return 1 with the reason if that fails."""
    output = (ROOT / (arguments[0] if arguments else "dist")).resolve()
    os.umask(0o022)
    try:
        with tempfile.TemporaryDirectory() as folder:
            build(output, Path(folder), epoch(os.environ), is_whole=arguments[1:] != ["deb"])
    except DistError as error:
        print(f"make dist: {error}", file=sys.stderr)
        return 1
    return 0


def build(output: Path, work: Path, seconds: int, *, is_whole: bool = True) -> None:
    """Build the files into `output`, with the time of all of them in seconds since 1970."""
    environ = {
        **os.environ,
        "SOURCE_DATE_EPOCH": str(seconds),
        "PYTHONHASHSEED": "0",
        "GATEWAY_COMMIT": commit(os.environ),
    }
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    tree = work / "tree"
    export(tree, seconds)
    wheel = _wheel(tree, output, environ)
    _say(f"{wheel.name}")
    wheels = download(ROOT / "build" / "wheels")
    _say(debian(tree, wheels, wheel, output, work, environ).name)
    if is_whole:
        _rest(tree, wheels, wheel, output, work, environ)
    sums = "".join(f"{_sha256(path)}  {path.name}\n" for path in sorted(output.iterdir()))
    (output / "SHA256SUMS").write_text(sums)
    _say(f"{output.relative_to(ROOT) if output.is_relative_to(ROOT) else output}/SHA256SUMS")


def _rest(
    tree: Path, wheels: list[Path], wheel: Path, output: Path, work: Path, environ: Mapping[str, str]
) -> None:
    """Build what is neither the wheel nor the Debian package."""
    version = wheel.name.split("-")[1]
    sources = output / f"{NAME.replace('-', '_')}-{version}.tar.gz"
    (tree / "gateway" / "commit.txt").write_text(f"{environ['GATEWAY_COMMIT']}\n")
    _say(sdist(tree, wheel, sources, int(environ["SOURCE_DATE_EPOCH"])).name)
    program = output / f"gateway-{version}-linux_x86_64.pyz"
    _say(one_file(wheels, wheel, program, work, environ).name)
    (output / f"{NAME}-{version}.cdx.json").write_bytes(
        _run("-m", "tests.support.supply_chain", "sbom", cwd=ROOT)
    )
    shutil.copyfile(tree / HERE / "install.sh", output / "install.sh")


def epoch(environ: Mapping[str, str]) -> int:
    """Return SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/), or the commit's time."""
    value = environ.get("SOURCE_DATE_EPOCH")
    if value is not None:
        if not value.isdecimal():
            raise DistError(f"SOURCE_DATE_EPOCH: expected seconds since 1970, got {value!r}")
        return int(value)
    try:
        return int(_git("log", "-1", "--format=%ct"))
    except (OSError, subprocess.CalledProcessError):
        raise DistError("there is no git history to take the time from: set SOURCE_DATE_EPOCH") from None


def commit(environ: Mapping[str, str]) -> str:
    """Return GATEWAY_COMMIT, or the first ten digits of git's commit. `gateway --version` prints it."""
    try:
        return environ.get("GATEWAY_COMMIT") or _git("rev-parse", "--short=10", "HEAD").strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def export(target: Path, seconds: int) -> None:
    """Copy the files that git knows, with fixed modes and times."""
    for name in _git("ls-files", "-z").split("\0"):
        source, copy = ROOT / name, target / name
        if not name or not (source.exists() or source.is_symlink()):
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy, follow_symlinks=False)
        if not copy.is_symlink():
            copy.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
        os.utime(copy, (seconds, seconds), follow_symlinks=False)


def _wheel(tree: Path, output: Path, environ: Mapping[str, str]) -> Path:
    _run("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-cache-dir",
         "--disable-pip-version-check", "--wheel-dir", str(output), str(tree), cwd=tree, environ=environ)  # fmt: skip
    for folder in ("build", *(path.name for path in tree.glob("*.egg-info"))):
        shutil.rmtree(tree / folder, ignore_errors=True)
    (wheel,) = output.glob("*.whl")
    return wheel


def sdist(tree: Path, wheel: Path, path: Path, seconds: int) -> Path:
    """Write the sources and the wheel's metadata as a source distribution (PEP 625, PEP 643)."""
    with zipfile.ZipFile(wheel) as built:
        (metadata,) = (name for name in built.namelist() if name.endswith(".dist-info/METADATA"))
        (tree / "PKG-INFO").write_bytes(built.read(metadata))

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = "root"
        info.mtime = seconds
        info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
        return info

    with (
        path.open("wb") as file,
        gzip.GzipFile("", "wb", 9, file, seconds) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for item in sorted(tree.rglob("*")):
            top = path.name.removesuffix(".tar.gz")
            archive.add(item, f"{top}/{item.relative_to(tree)}", recursive=False, filter=plain)
    (tree / "PKG-INFO").unlink()
    return path


def requirements(lock: str) -> str:
    """Return a lock without its environment markers, which pip evaluates for the Python that it runs on."""
    return "".join(f"{entry['pin']} \\\n{entry['rest']}" for entry in _ENTRY.finditer(lock))


def download(target: Path) -> list[Path]:
    """Download the wheels of requirements.lock for each of PYTHONS, by their hashes. Return them in order."""
    lock = ROOT / "requirements.lock"
    folder = target / hashlib.sha256(lock.read_bytes() + repr((PYTHONS, PLATFORMS)).encode()).hexdigest()[:16]
    if not (folder / ".complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        bare = folder / "requirements.txt"
        bare.write_text(requirements(lock.read_text()))
        for version in PYTHONS:
            _say(f"downloading the packages for Python {version}")
            platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
            _run("-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes",
                 "--only-binary=:all:", "--implementation=cp", f"--python-version={version}", *platforms,
                 "--dest", str(folder), "-r", str(bare), cwd=folder)  # fmt: skip
        (folder / ".complete").touch()
    return sorted(folder.glob("*.whl"))


def one_file(wheels: list[Path], wheel: Path, path: Path, work: Path, environ: Mapping[str, str]) -> Path:
    """Write a program that needs Python alone, as shiv makes it (https://shiv.readthedocs.io).

    Names of compiled modules have the version of Python in them, so that one folder holds those of all PYTHONS.
    """
    site = work / "site"
    for package in [*(path for path in wheels if not path.name.startswith("setuptools-")), wheel]:
        with zipfile.ZipFile(package) as archive:
            for name in archive.namelist():
                if ".data/" not in name and not name.endswith("/RECORD"):
                    archive.extract(name, site)
    _settle(site, int(environ["SOURCE_DATE_EPOCH"]))
    identity = hashlib.sha256("".join(_sha256(item) for item in [*wheels, wheel]).encode()).hexdigest()
    _run("-m", "shiv", "--site-packages", str(site), "--compressed", "--reproducible", "--build-id", identity,
         "--entry-point", "gateway.cli.main:main", "--python", "/usr/bin/env python3", "--output-file", str(path),
         cwd=work, environ=environ)  # fmt: skip
    return path


def debian(
    tree: Path, wheels: list[Path], wheel: Path, output: Path, work: Path, environ: Mapping[str, str]
) -> Path:
    """Write the Debian package: what systemd/install.sh needs, all wheels, and scripts that call it."""
    base = wheel.name.split("-")[1]
    version = debian_version(base, int(environ["SOURCE_DATE_EPOCH"]), environ["GATEWAY_COMMIT"])
    stage = work / "deb"
    share, docs = stage / "usr/share" / NAME, stage / "usr/share/doc" / NAME
    for folder in ("config", "systemd"):
        shutil.copytree(tree / folder, share / folder, ignore=shutil.ignore_patterns("package", "container"))
    shutil.copyfile(tree / "requirements.lock", share / "requirements.lock")
    (share / "VERSION").write_text(f"{base}-{environ['GATEWAY_COMMIT']}\n")
    (share / "wheels").mkdir()
    for package in [*wheels, wheel]:
        shutil.copyfile(package, share / "wheels" / package.name)
    docs.mkdir(parents=True)
    shutil.copyfile(tree / "LICENSE", docs / "copyright")
    (docs / "changelog.gz").write_bytes(gzip.compress((tree / "CHANGELOG.md").read_bytes(), mtime=0))
    (stage / "etc/gateway").mkdir(parents=True)
    text = (tree / "config" / "gateway.yaml").read_text()
    # the admin token that systemd/activate.sh makes
    filled = text.replace("\n  # token: {credential: admin-token}", "\n  token: {credential: admin-token}")
    (stage / "etc/gateway/gateway.yaml").write_text(filled)
    (stage / "scripts").mkdir()
    for name in ("postinst", "prerm", "postrm"):
        shutil.copyfile(tree / HERE / name, stage / "scripts" / name)
    _settle(stage, int(environ["SOURCE_DATE_EPOCH"]))
    path = output / f"{NAME}_{version}_amd64.deb"
    command = [str(Path(sys.executable).parent / "nfpm"), "package", "--packager", "deb", "--target", str(path),
               "--config", str(tree / HERE / "nfpm.yaml")]  # fmt: skip
    _check(command, stage, {**environ, "VERSION": version})
    return path


def debian_version(base: str, seconds: int, name: str) -> str:
    """Return the version of a release, and for commits between two of them one that grows with time.

    A `~` sorts before the end of a version (deb-version(7)): 0.2.0~... is older than 0.2.0.
    """
    try:
        if _git("describe", "--exact-match", "--tags", "HEAD").strip() == f"v{base}":
            return base
    except (OSError, subprocess.CalledProcessError):
        pass
    return f"{base}~{datetime.fromtimestamp(seconds, UTC):%Y%m%d%H%M%S}.{name}"


def _settle(folder: Path, seconds: int) -> None:
    """Give all files below a folder one time, and plain modes."""
    for item in folder.rglob("*"):
        executable = item.is_dir() or item.stat().st_mode & 0o100
        item.chmod(0o755 if executable else 0o644)
        os.utime(item, (seconds, seconds))


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def _run(*arguments: str, cwd: Path, environ: Mapping[str, str] | None = None) -> bytes:
    return _check([sys.executable, *arguments], cwd, environ)


def _check(command: list[str], cwd: Path, environ: Mapping[str, str] | None = None) -> bytes:
    """Run a command and return its output. Raises DistError with its messages if it fails."""
    done = subprocess.run(command, cwd=cwd, env=environ, umask=0o022, capture_output=True, check=False)
    if done.returncode:
        text = (done.stdout + done.stderr).decode(errors="replace")[-3000:]
        raise DistError(f"{' '.join(command[:4])} ... ended with {done.returncode}:\n{text}")
    return done.stdout


def _say(message: str) -> None:
    print(f"dist: {message}", flush=True)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
