"""Each module can be imported alone, first, and without a warning."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT

SCRIPT = """
import json, os, sys, traceback

import aiohttp.web, aiohttp_cors, msgspec, yaml  # shared by nearly all modules, so imported once

failed = {}
for module in sys.argv[1:]:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            __import__(module)
        except BaseException:
            os.write(write, traceback.format_exc()[-1000:].encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    if text:
        failed[module] = text
print(json.dumps(failed))
"""


def test_every_module_imports_alone_without_warnings(tmp_path: Path) -> None:
    files = [f for f in (ROOT / "gateway").rglob("*.py") if f.stem not in ("__init__", "__main__")]
    modules = sorted(".".join(f.relative_to(ROOT).with_suffix("").parts) for f in files)

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, *modules],
        capture_output=True, text=True, cwd=ROOT, check=False,
        env=os.environ | {"PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""},  # compiled once
    )  # fmt: skip

    assert (done.stdout.strip(), done.stderr) == ("{}", "")
