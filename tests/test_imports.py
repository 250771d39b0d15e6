"""Each module can be imported alone, first, and without a warning."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.support.paths import ROOT


def _import(module: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import {module}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    return done.stderr


def test_every_module_imports_alone_without_warnings() -> None:
    files = [f for f in (ROOT / "gateway").rglob("*.py") if f.stem not in ("__init__", "__main__")]
    modules = [".".join(f.relative_to(ROOT).with_suffix("").parts) for f in files]
    with ThreadPoolExecutor(4) as pool:
        said = dict(zip(modules, pool.map(_import, modules), strict=True))

    assert {module: text for module, text in said.items() if text} == {}
