"""Instructions of each library."""

import pytest

from bench.page.libraries import GROUPS, by_library, group

_DUMP = """\
version: 1
positions: line
events: Ir
ob=(1) /usr/lib/x86_64-linux-gnu/libc.so.6
fl=(1) malloc.c
fn=(1) malloc
16 5
+3 10
cob=(2) /venv/lib/python3.11/site-packages/msgspec/_core.cpython-311-x86_64-linux-gnu.so
cfi=(2) core.c
cfn=(2) decode
calls=2 7
* 1000
* 4

ob=(2)
fn=(2)
0 300
ob=(3) /root/.pyenv/versions/3.11.7/lib/libpython3.11.so.1.0
fn=(3)
-2 7
summary: 326
"""


def test_each_library_has_its_own_instructions_and_not_those_of_what_it_calls() -> None:
    assert by_library(_DUMP.splitlines()) == {
        **dict.fromkeys(GROUPS, 0),
        "libc": 19,
        "msgspec": 300,
        "python": 7,
    }


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/usr/bin/python3.11", "python"),
        ("/usr/lib/python3.11/lib-dynload/_asyncio.cpython-311-x86_64-linux-gnu.so", "python"),
        ("/venv/lib/python3.11/site-packages/uvloop/loop.cpython-311-x86_64-linux-gnu.so", "uvloop"),
        ("/venv/lib/python3.11/site-packages/httptools/parser/parser.cpython-311.so", "httptools"),
        ("/venv/lib/python3.11/site-packages/multidict/_multidict.cpython-311.so", "aiohttp"),
        ("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "libc"),
        ("/usr/lib/x86_64-linux-gnu/libssl.so.3", "other"),
    ],
)
def test_an_object_file_is_of_one_group(path: str, name: str) -> None:
    assert group(path) == name
