"""The order of imports inside `gateway`, as one table: an import against it fails here.

A room may import the rooms above it in the table, and itself. There is no lump: of two rooms, one never imports the
other. `docs/why/how-a-request-travels.md` explains the order.
"""

import ast
import sys
from collections.abc import Iterator

import pytest

from tests.support.paths import ROOT

ORDER = (
    "errors",
    "gemini",
    "conversation",
    "policy",
    "store",
    "config",
    "upstream",
    "observability",
    "exchange",
    "plugin",
    "plugins",
    "emulator",
    "console",
    "server",
    "cli",
    "__main__",
)
"""Lowest first."""

NARROW = {"emulator": {"gemini"}, "__main__": {"cli"}}
"""Rooms that may import less than their place in the order allows."""

PURE = ("errors", "gemini", "conversation", "policy")
"""Rooms without IO and without a clock."""
PURE_PLUGIN_FILES = (
    "wire",
    "answer_wire",
    "plain_request",
    "plain_answer",
    "request",
    "response",
    "fields",
    "signatures",
    "tools",
    "response_object",
    "hosted_history",
    "hosted_items",
    "hosted_tools",
    "endings",
    "logprobs",
    "content",
)
"""The same for these files in a plugin's folder."""
IMPURE = {"aiohttp", "asyncio", "time", "random", "os", "socket", "secrets"}
SHELL = {"upstream", "observability", "exchange", "plugin", "store", "config"}
"""Rooms that a pure file in a plugin's folder must not import."""

MOST_ENTRIES = 15
MOST_LINES = 450
MOST_LINES_OF_A_FUNCTION = 50


def modules() -> dict[str, str]:
    """Return the source of each module by its dotted name; a package stands for its `__init__`."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path.read_text()
        for path in (ROOT / "gateway").rglob("*.py")
    }


def imported(module: str, source: str, known: set[str]) -> Iterator[str]:
    """Yield the modules that a source imports, also inside functions and type-checking blocks."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in known else node.module


def room(module: str) -> str:
    """Return the room of a module: the first name below `gateway`."""
    return module.split(".")[1] if "." in module else ""


def plugin_folder(module: str) -> str:
    """Return the plugin that a module of `gateway.plugins` belongs to."""
    parts = module.split(".")
    return parts[2] if len(parts) > 2 else ""


def is_pure(module: str) -> bool:
    parts = module.split(".")
    return room(module) in PURE or (
        room(module) == "plugins" and len(parts) == 4 and parts[3] in PURE_PLUGIN_FILES
    )


def faults(module: str, source: str, known: set[str]) -> list[str]:
    """Return what is wrong with the imports of one module."""
    here = room(module)
    allowed = NARROW.get(here, set(ORDER[: ORDER.index(here)])) if here else set()
    wrong = []
    for name in imported(module, source, known):
        if is_pure(module) and name.partition(".")[0] in IMPURE:
            wrong.append(f"{module} imports {name}: it is a pure module")
        if not name.startswith("gateway."):
            continue
        there = room(name)
        if there != here and there not in allowed:
            wrong.append(f"{module} imports {name}: against the order")
        elif here == there == "plugins" and plugin_folder(module) != plugin_folder(name):
            wrong.append(f"{module} imports {name}: another plugin")
        elif here == "server" and there == "plugins":
            wrong.append(f"{module} imports {name}: plugins are found by name")
        elif is_pure(module) and here == "plugins" and there in SHELL:
            wrong.append(f"{module} imports {name}: it is a pure module")
    return wrong


def circles(sources: dict[str, str]) -> list[str]:
    """Return modules that import each other, as `a -> b -> a`, by a depth-first walk."""
    known = set(sources)
    graph = {
        name: {i for i in imported(name, text, known) if i in known and i != name}
        for name, text in sources.items()
    }
    done: set[str] = set()
    result: list[str] = []

    def walk(name: str, path: list[str]) -> None:
        if name in path:
            result.append(" -> ".join([*path[path.index(name) :], name]))
        if name in done or name in path:
            return
        for other in sorted(graph[name]):
            walk(other, [*path, name])
        done.add(name)

    sys.setrecursionlimit(10_000)
    for name in sorted(graph):
        walk(name, [])
    return result


def test_imports_follow_the_order() -> None:
    sources = modules()
    wrong = [fault for module, text in sources.items() for fault in faults(module, text, set(sources))]

    assert wrong == []


def test_no_module_imports_itself_through_others() -> None:
    assert circles(modules()) == []


@pytest.mark.parametrize(
    ("module", "source", "reason"),
    [
        ("gateway.gemini.turn_reader", "from gateway.policy.retry import judge", "against the order"),
        ("gateway.policy.retry", "def f():\n    from gateway.exchange.exchange import Exchange", "against the order"),
        ("gateway.gemini.sse", "import asyncio", "it is a pure module"),
        ("gateway.plugins.chat.request", "from time import time", "it is a pure module"),
        ("gateway.plugins.chat.request", "from gateway.exchange.ids import unique", "it is a pure module"),
        ("gateway.plugins.messages.routes", "from gateway.plugins.chat.wire import Message", "another plugin"),
        ("gateway.server.application", "from gateway.plugins.chat.routes import Chat", "plugins are found by name"),
        ("gateway.emulator.server", "from gateway.policy.retry import judge", "against the order"),
    ],
)  # fmt: skip
def test_an_import_against_the_order_is_reported(module: str, source: str, reason: str) -> None:
    (fault,) = faults(module, source, set(modules()))

    assert fault.endswith(reason)


def test_a_planted_circle_is_reported() -> None:
    planted = {
        "gateway.a": "from gateway.b import x",
        "gateway.b": "import gateway.c",
        "gateway.c": "import gateway.a",
    }

    assert circles(planted) == ["gateway.a -> gateway.b -> gateway.c -> gateway.a"]


def test_the_top_folder_is_small() -> None:
    """Files that Python itself names say nothing about the structure and are not counted."""
    hidden = {"__init__.py", "__main__.py", "py.typed", "__pycache__"}
    entries = sorted(entry.name for entry in (ROOT / "gateway").iterdir() if entry.name not in hidden)

    assert len(entries) <= MOST_ENTRIES, entries


def test_files_and_functions_hold_one_idea() -> None:
    long = []
    for name, text in modules().items():
        if text.count("\n") > MOST_LINES:
            long.append(f"{name}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MOST_LINES_OF_A_FUNCTION:
                    long.append(f"{name}.{node.name}: {lines} lines")

    assert long == []
