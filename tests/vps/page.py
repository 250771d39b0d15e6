"""Turn the code blocks of a docs page into a shell script: page.py PAGE HEADING...; page.py --put FILE takes over YAML.

run.sh runs the script in the throw-away server. A block of `sh` is run as it is. A block of `yaml` names its file in its
first line (`# in FILE`), and its sections take the place of those of the same name there.
"""

import re
import sys
from datetime import UTC, datetime
from pathlib import Path

SUBSTITUTIONS = {
    "gateway.example.com": "gateway.test",
    "AQ.BLUE…": "AQ.CanaryPool",
    "AQ.GREEN…": "AQ.CanaryGreen",
    "-2026-11-26.": f"-{datetime.now(UTC):%F}.",
}
"""All that a page says otherwise than a reader types it."""
PRELUDE = """\
set -e
export CURL_CA_BUNDLE=/etc/gateway/tls/ca.pem
curl() { command curl -sS --fail-with-body "$@"; echo; }
"""
"""Stop at the first error, also at an answer of HTTP that is one, and trust the throw-away CA."""
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```|^#+ ([^\n]*)", re.M | re.S)
"""A block, or a heading."""
_FILE = re.compile(r"# in (/\S+)\n")
_SECTION = re.compile(r"^(\w+):[^\n]*\n(?:[ \t][^\n]*\n|\n(?=[ \t]))*", re.M)
"""A key of YAML with the indented lines below it."""


def script(page: str, headings: list[str]) -> str:
    """Return a script of the blocks below some headings of a page. Raises ValueError for a heading without any."""
    commands: dict[str, list[str]] = {heading: [] for heading in headings}
    below: str = ""
    for block in _BLOCK.finditer(page):
        below = block[3] or below
        if block[3] is None and below in commands:
            commands[below].append(command(block[1], block[2]))
    if missing := [heading for heading, blocks in commands.items() if not blocks]:
        raise ValueError(f"no blocks below the heading {missing[0]!r}")
    return PRELUDE + "".join("".join(blocks) for blocks in commands.values())


def command(language: str, code: str) -> str:
    """Return what does in a shell as a block of a page says. Raises ValueError for a block that names no file."""
    for text, replacement in SUBSTITUTIONS.items():
        code = code.replace(text, replacement)
    if language == "sh":
        return code
    file = _FILE.match(code)
    if file is None:
        raise ValueError(f"the first line of a block of {language!r} is not `# in FILE`: {code[:60]!r}")
    return f"python3 {Path('/root/gateway/tests/vps', Path(__file__).name)} --put {file[1]} <<'BLOCK'\n{code}BLOCK\n"


def put(text: str, block: str) -> str:
    """Return a file's text with the sections of a block in the place of its own of the same name."""
    for section in _SECTION.finditer(block):
        same = next((match for match in _SECTION.finditer(text) if match[1] == section[1]), None)
        before, after = (text[: same.start()], text[same.end() :]) if same else (text, "")
        text = before + section[0] + after
    return text


def main(arguments: list[str]) -> None:
    """Print a script, or change a file by the block on standard input."""
    if arguments[0] == "--put":
        file = Path(arguments[1])
        file.write_text(put(file.read_text("utf-8"), sys.stdin.read()), "utf-8")
    else:
        print(script(Path(arguments[0]).read_text("utf-8"), arguments[1:]))


if __name__ == "__main__":
    main(sys.argv[1:])
