"""Measures how many small changes of the guards of keys, money and addresses the tests notice.

Run by `make test-mutants`. mutmut (https://mutmut.readthedocs.io) changes one expression at a time in a copy of the
tree and runs the tests of that room. Prints one line per module and exits with 1 below the least share.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEAST = 90
"""Percent of the changes that a test must notice."""

MODULES = (
    "policy/clients/access.py",
    "policy/ssrf.py",
    "policy/clients/rate_limits.py",
    "policy/ledger.py",
    "policy/pool/keypool.py",
    "policy/pool/projects.py",
    "policy/pool/call_outcome.py",
    "store/rate_counters.py",
    "store/ledger/budgets.py",
    "store/ledger/client_keys.py",
    "store/ledger/writer.py",
    "errors.py",
    "observability/redaction.py",
)
"""Modules whose mistakes cost keys or money, or show them."""

NOTICED = ("killed", "timeout", "segfault", "suspicious", "caught by type check")


def files_of_tests(module: str) -> list[str]:
    """Return the files of tests of a module: test_MODULE.py, and those of a topic, test_MODULE_TOPIC.py."""
    path = Path("tests", module)
    files = [path.with_name(f"test_{path.name}"), *(ROOT / path.parent).glob(f"test_{path.stem}_*.py")]
    return [str(file.relative_to(ROOT) if file.is_absolute() else file) for file in files]


def mutate(folder: Path, modules: list[str]) -> None:
    """Write mutmut's settings into a copy of the tree, and run it there."""
    tests = [file for module in modules for file in files_of_tests(module)]
    settings = {
        "source_paths": ["gateway"],
        "only_mutate": [f"gateway/{module}" for module in modules],
        "pytest_add_cli_args_test_selection": tests,
        "also_copy": ["tests", "config", "setup.cfg"],
        # a change that hangs is noticed after so many times what the tests take without it
        "timeout_multiplier": ["5"],
    }
    with (folder / "setup.cfg").open("a") as file:
        file.write("\n[mutmut]\n")
        for name, values in settings.items():
            file.write(f"{name}=\n" + "".join(f"    {value}\n" for value in values))
    with (folder / "mutmut.log").open("wb") as log:
        subprocess.run(
            [sys.executable, "-m", "mutmut", "run", "--max-children", "2"],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )


def results(folder: Path) -> list[tuple[str, str]]:
    """Return the name of each change, such as gateway.policy.ssrf.x_is_public__mutmut_1, and what became of it."""
    command = [sys.executable, "-m", "mutmut", "results", "--all", "true"]
    shown = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout
    pairs = (line.partition(": ") for line in shown.splitlines())
    return [(name.strip(), status.strip()) for name, _, status in pairs if status]


def report(outcomes: list[tuple[str, str]], *, verbose: bool) -> int:
    """Print a line for each module, and one for all. Return the exit code."""
    changes, noticed = Counter[str](), Counter[str]()
    for name, status in outcomes:
        module = name.rpartition(".")[0]
        changes[module] += 1
        noticed[module] += status in NOTICED
        if verbose and status not in NOTICED:
            print(f"{status}: {name}")
    low = 0
    for module in sorted(changes):
        percent = 100 * noticed[module] / changes[module]
        low += percent < LEAST
        print(f"{module:40} {noticed[module]:5} of {changes[module]:5} {percent:6.1f} %")
    total = 100 * noticed.total() / max(1, changes.total())
    print(
        f"{'all':40} {noticed.total():5} of {changes.total():5} {total:6.1f} %  (at least {LEAST} % of each)"
    )
    return 1 if low or not changes else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", default=MODULES, help="such as policy/ssrf.py; all by default")
    parser.add_argument("--verbose", action="store_true", help="name each change that no test notices")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        folder = Path(name) / "tree"
        shutil.copytree(
            ROOT, folder, ignore=shutil.ignore_patterns(".git", ".venv", "node_modules", ".*_cache")
        )
        mutate(folder, list(arguments.modules))
        outcomes = results(folder)
        if not outcomes:
            print((folder / "mutmut.log").read_text(errors="replace")[-2000:], file=sys.stderr)
        return report(outcomes, verbose=arguments.verbose)


if __name__ == "__main__":
    sys.exit(main())
