"""A team's gateway: a request has an issued key with limits and budgets, a key of the pool, and a durable ledger."""

import os
import subprocess
from pathlib import Path

from bench.servers import Tree, free_port

_CONFIG = """
pool: {{projects: [{{name: a, keys: [{{env: BENCH_KEY}}]}}]}}
ledger: {{url: {folder}/ledger.db}}
admin: {{port: {port}, token: {{env: BENCH_TOKEN}}}}
"""
_LIMITS = ("requests-per-minute", "tokens-per-day", "dollars-month", "budget-tokens-day")
_MOST = "1000000000"


def issued(tree: Tree, folder: Path) -> tuple[Path, str]:
    """Write a configuration, and issue a key with limits that are never reached. Return both."""
    os.environ.update(BENCH_KEY="AQ.bench", BENCH_TOKEN="token-of-the-bench")
    config = folder / "team.yaml"
    config.write_text(_CONFIG.format(folder=folder, port=free_port()))
    limits = (word for name in _LIMITS for word in (f"--{name}", _MOST))
    command = [tree.python, "-m", "gateway", "keys", "add", "bench", "--config", str(config), *limits]
    key = subprocess.run(command, cwd=tree.folder, capture_output=True, text=True, check=True).stdout.strip()
    return config, key
