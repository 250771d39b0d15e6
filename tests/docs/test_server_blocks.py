"""The steps of tests/vps run code blocks of the docs themselves, by tests/vps/page.py."""

import re
import shlex
from pathlib import Path

import pytest

from tests.docs.test_blocks import of
from tests.support.paths import ROOT, TESTS
from tests.vps.page import command, put, script

_PAGES = [
    (line[0], line[1:])
    for step in sorted((TESTS / "vps" / "steps").glob("*.sh"))
    for line in map(shlex.split, re.findall(r"\bpage (docs/[^|\n]*)", step.read_text("utf-8")))
]
"""Page and headings of each call in a step."""
ELSEWHERE = {
    "README.md": "clones and asks certbot; 10-install.sh does it with a checkout and a CA of its own",
    "docs/do/alerts.md": "opens an editor, or needs a receiver of alerts or traces",
    "docs/do/behind-nginx.md": "asks certbot; 55-certificate.sh renews a certificate of a CA of its own",
    "docs/do/console.md": "is for the operator's own machine",
    "docs/do/plugins.md": "needs the id of a captured request",
    "docs/do/pool-and-quota.md": "needs the id of a refused key",
    "docs/do/vertex.md": "needs the key of a service account",
    "docs/emulator.md": "shows options in brackets",
    "docs/plugin-guide.md": "75-plugins.sh installs the same plugin from another folder",
    "docs/start/server.md": "as README.md",
}
"""Pages whose blocks for a server no step runs as they are."""
IN_PART = {"docs/do/run.md", "docs/do/backup-upgrade.md"}
"""Pages with some blocks of that kind, such as `git pull`; 40-reload.sh, 60-roll.sh and 80-versions.sh do the same."""


@pytest.mark.parametrize(("page", "headings"), _PAGES, ids=str)
def test_a_step_runs_blocks_that_the_page_has(page: str, headings: list[str]) -> None:
    code = script((ROOT / page).read_text("utf-8"), headings)

    assert "…" not in code
    assert "example.com" not in code


def test_each_block_for_a_server_is_run_or_is_an_exception() -> None:
    run = {page: "" for page, _ in _PAGES}
    for page, headings in _PAGES:
        run[page] += script((ROOT / page).read_text("utf-8"), headings)
    blocks = of("sh", kind="server")
    never = [
        f"{block.page}:{block.line}"
        for block in blocks
        if block.page not in {*ELSEWHERE, *IN_PART}
        and command("sh", block.code) not in run.get(block.page, "")
    ]

    assert never == []
    assert {*ELSEWHERE, *IN_PART} <= {block.page for block in blocks}
    assert ELSEWHERE.keys().isdisjoint(run)
    assert run.keys() >= IN_PART


PAGE = """\
# Title
```sh
before
```
## First
```sh
one 'AQ.BLUE…' gateway.example.com
```
```yaml
# in /etc/x.yaml
a: 1
```
### Below
```sh
below
```
## Second
```sh
two
```
"""


def test_a_script_has_the_blocks_below_its_headings_in_the_order_of_the_call() -> None:
    lines = script(PAGE, ["Second", "First"]).splitlines()

    assert lines[0] == "set -e"
    assert lines[-6:] == [
        "two",
        "one 'AQ.CanaryPool' gateway.test",
        "python3 /root/gateway/tests/vps/page.py --put /etc/x.yaml <<'BLOCK'",
        "# in /etc/x.yaml",
        "a: 1",
        "BLOCK",
    ]


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (PAGE.replace("## Second", "## Third"), "no blocks below the heading 'Second'"),
        ("## Second\n```yaml\na: 1\n```\n", "is not `# in FILE`: 'a: 1"),
    ],
)
def test_a_page_that_cannot_be_run_is_an_error(page: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        script(page, ["Second"])


def test_sections_of_a_block_take_the_place_of_those_of_the_file() -> None:
    text = "# top\na:\n  b: 1   # one\n\n  c: 2\n\n# about d\nd: {e: 1}\nf: [\n  1]\n"

    assert (
        put(text, "# in /x\na:\n  z: 9\ng: 3\n")
        == "# top\na:\n  z: 9\n\n# about d\nd: {e: 1}\nf: [\n  1]\ng: 3\n"
    )
    assert put(text, "d: {}\n") == text.replace("d: {e: 1}", "d: {}")


def test_the_shipped_configuration_keeps_its_other_sections(tmp_path: Path) -> None:
    text = (ROOT / "config" / "gateway.yaml").read_text("utf-8")
    changed = put(text, "ledger:\n  url: x.db\n")

    assert changed.count("\nledger:") == 1
    assert changed.replace("ledger:\n  url: x.db\n", "") == re.sub(
        r"^ledger:.*\n(?:  .*\n)*", "", text, flags=re.M
    )
