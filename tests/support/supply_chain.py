"""The packages that the locks name: their known vulnerabilities, and a bill of materials.

    python -m tests.support.supply_chain audit LOCK...   exit code 0: none known, 1: some are, 3: the database did not answer
    python -m tests.support.supply_chain sbom            print CycloneDX 1.6 of requirements.lock as JSON

Only the Makefile's environment for audits has pip-audit and the validator of CycloneDX; without the validator the bill is
printed unchecked. cyclonedx-py would need no code here, but leaves out the gateway itself and who needs which package.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.paths import ROOT

UNKNOWN = 3
"""Exit code if it is not known whether there are vulnerabilities."""
_ENTRY = re.compile(
    r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^\s;\\]+)(?: ; (?P<marker>[^\\\n]+?))? \\\n(?P<rest>(?: +.*\n?)+)",
    re.M,
)


class Package(NamedTuple):
    """One entry of a lock."""

    name: str
    version: str
    marker: str
    """Environment marker (PEP 508), or ""."""
    hashes: tuple[str, ...]
    """SHA-256 of each file that may be installed, in hex."""
    needed_by: tuple[str, ...]
    """Packages that need it; `setup.cfg` stands for the gateway itself."""

    @property
    def purl(self) -> str:
        """The package URL (https://github.com/package-url/purl-spec)."""
        return f"pkg:pypi/{self.name}@{self.version}"


def packages(lock: str) -> Iterator[Package]:
    """Yield the entries of a lock that `uv pip compile --generate-hashes` has written."""
    for entry in _ENTRY.finditer(lock):
        rest = entry["rest"]
        via = re.findall(r"#(?: via)? +(?:-r )?([\w.-]+)", rest)
        hashes = tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", rest))
        names = tuple(
            "setup.cfg" if name == "-" else name for name in via if name != "via"
        )  # "-": standard input
        # without a comment: it was named on standard input
        yield Package(entry["name"], entry["version"], entry["marker"] or "", hashes, names or ("setup.cfg",))


def bill(lock: str, version: str) -> dict[str, Any]:
    """Return the bill of materials of a lock, in CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/)."""
    listed = list(packages(lock))
    root = f"pkg:pypi/gemini-openai-gateway@{version}"
    own = {"type": "application", "bom-ref": root, "name": "gemini-openai-gateway", "version": version, "purl": root,
           "licenses": [{"license": {"id": "MIT"}}]}  # fmt: skip
    graph: dict[str, set[str]] = {root: set(), **{package.purl: set() for package in listed}}
    by_name = {package.name: package.purl for package in listed}
    for package in listed:
        for name in package.needed_by:
            graph[by_name.get(re.sub(r"[-_.]+", "-", name).lower(), root)].add(package.purl)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": own},
        "components": [_component(package) for package in listed],
        "dependencies": [{"ref": ref, "dependsOn": sorted(needs)} for ref, needs in graph.items()],
    }


def _component(package: Package) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library", "bom-ref": package.purl, "name": package.name, "version": package.version, "purl": package.purl,
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in package.hashes],
    }  # fmt: skip
    if package.marker:
        component["properties"] = [{"name": "python:marker", "value": package.marker}]
    return component


def sbom() -> int:
    """Print the bill of materials, validated if the validator is installed. Return the exit code."""
    from gateway import __version__

    text = json.dumps(bill((ROOT / "requirements.lock").read_text(), __version__), indent=1)
    try:
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
    except ImportError:
        print("the validator of CycloneDX is not installed: not validated", file=sys.stderr)
    else:
        fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
        if fault is not None:
            print(f"not valid CycloneDX 1.6: {fault}", file=sys.stderr)
            return 1
    print(text)
    return 0


def audit(locks: Sequence[str]) -> int:
    """Look for known vulnerabilities of each lock's packages. Return the exit code."""
    return max(_audit(lock) for lock in locks)


def _audit(lock: str) -> int:
    command = [sys.executable, "-m", "pip_audit", "-r", lock, "--require-hashes", "--disable-pip", "-f", "json",
               "--progress-spinner", "off"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    code, lines = verdict(lock, len(list(packages(Path(lock).read_text()))), done.stdout, done.stderr)
    print("\n".join(lines), file=sys.stderr if code else sys.stdout)
    return code


def verdict(lock: str, expected: int, output: str, errors: str) -> tuple[int, list[str]]:
    """Return the exit code and the lines for the output of pip-audit.

    pip-audit reports success for packages that the database does not answer for, and exits with 1 for everything else.
    """
    try:
        audited = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        reason = (errors.strip().splitlines() or ["pip-audit printed nothing"])[-1]
        return UNKNOWN, [f"{lock}: the advisory database cannot be reached: {reason[:300]}"]
    found = [(package, flaw) for package in audited for flaw in package.get("vulns", ())]
    if found:
        return 1, [
            f"{lock}: {package['name']} {package['version']}: {flaw['id']}, mended in "
            f"{', '.join(flaw.get('fix_versions') or ['no release'])}"
            for package, flaw in found
        ]
    silent = [package["name"] for package in audited if "vulns" not in package]
    if silent or len(audited) < expected / 2:  # markers leave some entries of a universal lock out
        reason = f"no answer for {len(silent)} of {expected} packages, such as {', '.join(silent[:3])}"
        return UNKNOWN, [f"{lock}: the advisory database cannot be reached: {reason}"]
    return 0, [f"{lock}: no known vulnerabilities in {len(audited)} packages"]


def main(arguments: Sequence[str]) -> int:
    """Run a command. Return the exit code, 2 for bad arguments."""
    if arguments[:1] == ["audit"] and len(arguments) > 1:
        return audit(arguments[1:])
    if list(arguments) == ["sbom"]:
        return sbom()
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
