"""The order of the layers, as a table (design.md 2.1 and 1.1, 16): an import against it fails here."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent / "gateway"

SHELL = {
    "upstream",
    "exchange",
    "attempt",
    "trail",
    "retrial",
    "race",
    "metrics",
    "background",
    "record",
    "totals",
    "tracing",
    "plugin",
    "question",
    "preview",
    "server.reply",
    "server.lifecycle",
    "lag",
    "ids",
}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "wire": {"errors"},
    "translate": {"errors", "wire"},
    "policy": {"errors", "wire"},
    "store": {"errors", "wire", "translate", "policy"},
    "config": {"errors", "wire", "translate", "policy", "store"},
    **{name: {"errors", "wire", "translate", "policy", "store", "config", *SHELL} for name in SHELL},
    "plugins": {"errors", "wire", "translate", "policy", "store", "config", *SHELL},
    "server": {"errors", "wire", "translate", "policy", "store", "config", *SHELL},
    "fake": {"wire"},
    "demo": {"errors", "config", "fake", "server", *SHELL},
    "keys_cli": {"errors", "policy", "store", "server", *SHELL},
    "cli": {"errors", "keys_cli", "config", "fake", "demo", "server", *SHELL},
    "__main__": {"cli"},
}
PURE = {"errors", "wire", "translate", "policy"}
IMPURE = {"aiohttp", "asyncio", "time", "random", "os", "socket", "secrets"}


def layer(module: str) -> str:
    """`gateway.server.reply` is its own layer, `gateway.server.app` belongs to `server`."""
    name = module.removeprefix("gateway.")
    return next((one for one in MAY_IMPORT if name == one), name.partition(".")[0])


def imports(source: str) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [
                f"{node.module}.{a.name}" if _is_package(node.module) else node.module for a in node.names
            ]
    return found


def _is_package(module: str) -> bool:
    return module.split(".")[0] == "gateway" and (ROOT.parent / module.replace(".", "/")).is_dir()


def wrong(module: str, source: str) -> list[str]:
    here = layer(module)
    found = []
    for name in imports(source):
        there = layer(name)
        if name.startswith("gateway.") and there != here and there not in MAY_IMPORT[here] | {"__version__"}:
            found.append(f"{module} imports {name}")
        if here in PURE and name.partition(".")[0] in IMPURE:
            found.append(f"{module} imports {name}, which is not pure")
    return found


def test_imports_follow_the_layers() -> None:
    files = [file for file in ROOT.rglob("*.py") if file != ROOT / "__init__.py"]
    modules = {
        ".".join(f.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): f for f in files
    }

    assert [fault for module, file in modules.items() for fault in wrong(module, file.read_text())] == []


def test_an_import_against_the_order_is_found() -> None:
    assert wrong("gateway.translate.turn", "from gateway.policy.retry import judge") == [
        "gateway.translate.turn imports gateway.policy.retry"
    ]
    assert wrong("gateway.wire.sse", "import asyncio") == [
        "gateway.wire.sse imports asyncio, which is not pure"
    ]
    assert wrong("gateway.server.app", "from gateway.plugins.chat import Chat") == [
        "gateway.server.app imports gateway.plugins.chat"
    ]
