"""Instructions of each library, read from a file of callgrind."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

_OBJECT = re.compile(r"ob=\((\d+)\)(?: (.*))?$")
_COST = re.compile(r"[+*-]?\d*\s+\d")
GROUPS: Mapping[str, str] = {
    "python": "Python's interpreter, with the bytecode of all modules",
    "uvloop": "event loop, sockets",
    "httptools": "parser of Google's answers",
    "aiohttp": "parser and writer of aiohttp's server, its URLs and headers",
    "msgspec": "JSON",
    "libc": "memory, strings, system calls without the kernel",
    "other": "all else",
}
_PATTERNS = (
    ("uvloop", "uvloop"),
    ("httptools", "httptools"),
    ("aiohttp|multidict|yarl|frozenlist|propcache", "aiohttp"),
    ("msgspec", "msgspec"),
    (r"/libc[.-]|ld-linux|libpthread|libm[.-]", "libc"),
    (r"/libpython|/python3?[\d.]*$|lib-dynload", "python"),
)


def group(path: str) -> str:
    """Return the group of an object file."""
    return next((name for pattern, name in _PATTERNS if re.search(pattern, path)), "other")


def by_library(lines: Iterable[str]) -> dict[str, int]:
    """Return the instructions of each group: its own, without those of what it calls.

    Names are numbered at their first use (`ob=(3) /usr/lib/libc.so.6`, then `ob=(3)`). The line after `calls=` has the
    cost of the called function, which has lines of its own.
    """
    names: dict[str, str] = {}
    counts: Counter[str] = Counter()
    current, is_call = "other", False
    for line in lines:
        if match := _OBJECT.match(line):
            if match[2] is not None:
                names[match[1]] = group(match[2])
            current = names.get(match[1], "other")
        elif line.startswith(("cob=", "cobj=")):
            if (called := re.match(r"cobj?=\((\d+)\) (.*)", line)) is not None:
                names[called[1]] = group(called[2].strip())
        elif line.startswith("calls="):
            is_call = True
        elif _COST.match(line):
            if not is_call:
                counts[current] += int(line.split()[1])
            is_call = False
    return {name: counts[name] for name in GROUPS}
