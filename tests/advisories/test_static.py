"""Advisories whose answer is that something is not there: found in the source, the locks and the shipped files."""

import ast
import re
import subprocess
import sys
from configparser import ConfigParser
from functools import cache
from pathlib import Path

import pytest

from gateway.config.sections import GatewayConfig
from gateway.config.source import Source
from gateway.errors import ConfigError
from gateway.server.application import build_app
from tests.support.paths import ROOT
from tests.support.sources import sources

LOCKS = sorted(ROOT.glob("*.lock"), key=lambda path: path.name != "requirements.lock")
TEMPLATE_ENGINES = {
    "jinja2",
    "mako",
    "chameleon",
    "genshi",
    "cheetah3",
    "tornado",
    "django",
    "pystache",
    "chevron",
    "mustache",
}


@cache
def modules() -> list[tuple[Path, ast.Module]]:
    """Return every module, the emulator included."""
    others = [
        (path, ast.parse(path.read_text("utf-8"))) for path in (ROOT / "gateway" / "emulator").rglob("*.py")
    ]
    return [*sources(), *others]


@cache
def calls() -> list[tuple[str, str, ast.Call]]:
    """Return the place of each call, the dotted name of what is called, and the call."""
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno}", ast.unparse(node.func), node)
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    ]


def imported() -> set[str]:
    """Return the top-level names of everything that is imported."""
    return {name for _, tree in modules() for name in imported_by(tree)}


def imported_by(tree: ast.Module) -> set[str]:
    """Return the top-level names of what one module imports."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


STARTERS = {
    "gateway/__init__.py",
    "gateway/cli/plugin.py",
    "gateway/cli/rollback.py",
    "gateway/cli/systemctl.py",
}
"""Modules that start other programs: commands of the operator, and the version of a checkout, which asks git."""


def locked(path: Path) -> dict[str, str]:
    """Return the version of each package of a lock."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", path.read_text(), re.M))


@pytest.mark.row("S06")
def test_s06_there_is_no_template_engine() -> None:
    assert not TEMPLATE_ENGINES & set(locked(LOCKS[0]))
    assert not TEMPLATE_ENGINES & {name.lower() for name in imported()}
    assert "Template" not in {name.rpartition(".")[2] for _, name, _ in calls()}  # string.Template


@pytest.mark.row("S08")
def test_s08_nothing_is_executed_that_was_received() -> None:
    """No evaluation of text, no unpickling, no shell; modules are imported by names from tables, at the start."""
    forbidden = {"exec", "eval", "compile", "__import__", "globals", "input", "breakpoint"}
    assert [place for place, name, _ in calls() if name in forbidden] == []
    assert not imported() & {
        "pickle",
        "marshal",
        "shelve",
        "dill",
        "code",
        "codeop",
        "runpy",
        "pty",
        "xmlrpc",
    }
    starters = {str(path.relative_to(ROOT)) for path, tree in modules() if "subprocess" in imported_by(tree)}
    assert starters <= STARTERS
    assert "shell" not in {word.arg for _, _, call in calls() for word in call.keywords}
    assert [
        place for place, name, _ in calls() if name in ("os.system", "os.popen", "os.execv", "os.spawnl")
    ] == []
    importers = {place.partition(":")[0] for place, name, _ in calls() if name.endswith("import_module")}
    assert importers <= {
        "gateway/server/process/light_imports.py",  # by names from a table
        "gateway/server/plugin_loader.py",
        "gateway/cli/main.py",
        "gateway/cli/pages/configuration.py",
    }


@pytest.mark.row("S08")
async def test_s08_a_plugin_comes_from_an_installed_package_alone(tmp_path: Path) -> None:
    """Neither a path, nor a module, nor code in the YAML is loaded: entry points of installed packages are."""
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(tmp_path / 'done')!r}, 'w').close()")
    for name in (
        str(evil),
        "evil",
        "os",
        "os:system",
        "gateway.plugins.hello.routes:Hello",
        "../evil",
        "evil.py",
    ):
        source = Source(f"plugins: {{{name!r}: {{}}}}", "g.yaml", {})
        with pytest.raises(ConfigError, match="not installed"):
            build_app(source.decode(GatewayConfig), source)
    assert not (tmp_path / "done").exists()


@pytest.mark.row("S72")
def test_s72_yaml_is_read_by_the_safe_loader_alone() -> None:
    readers = [(place, ast.unparse(node)) for place, name, node in calls() if name.startswith("yaml.")
               and name.rpartition(".")[2] in ("load", "load_all", "compose", "compose_all", "full_load", "unsafe_load", "safe_load")]  # fmt: skip
    assert readers
    assert [
        text
        for _, text in readers
        if not re.search(r"SafeLoader\)|Loader=(_LOADER|safe_loader)\)|safe_load\(", text)
    ] == []
    loaders = re.findall(r"^_LOADER.* = (.*)$", (ROOT / "gateway/config/model_table.py").read_text(), re.M)
    assert loaders
    assert set(re.findall(r"\w*Loader\b", " ".join(loaders))) <= {"CSafeLoader", "SafeLoader"}
    chosen = re.findall(r"safe_loader = (.*)", (ROOT / "gateway/config/source.py").read_text())
    assert chosen == ['getattr(yaml, "CSafeLoader", None)']


@pytest.mark.row("S72")
@pytest.mark.parametrize(
    "tag",
    ["!!python/object/apply:os.system ['touch {}']", "!!python/object/new:os.system ['touch {}']", "!!python/name:os.system",
     "!!python/module:os", "!!python/object:gateway.Evil {{}}", "!!python/tuple [1]", "!local x", "!!set {{a}}", "!!binary aGk=",
     "!<tag:yaml.org,2002:python/object/apply:os.system> ['touch {}']"],
)  # fmt: skip
def test_s72_a_tag_that_makes_an_object_is_refused(tmp_path: Path, tag: str) -> None:
    file = tmp_path / "touched"
    for text in (f"models: {tag}", f"{tag}", f"plugins: {{chat: {tag}}}"):
        with pytest.raises(ConfigError, match=r"tag|mapping|expected"):
            Source(text.replace("{}", str(file)).replace("{{", "{").replace("}}", "}"), "g.yaml", {})
    assert not file.exists()


@pytest.mark.row("S73")
@pytest.mark.parametrize("kind", ["lists", "mappings", "itself"])
def test_s73_aliases_that_expand_without_bound_are_refused(kind: str) -> None:
    if kind == "itself":
        text = "a: &a [*a]"
    else:
        open_, close = ("[", "]") if kind == "lists" else ("{k0: ", "}")

        def join(name: str) -> str:
            return (
                ", ".join([f"*{name}"] * 9)
                if kind == "lists"
                else ", k".join(f"{'' if i == 0 else f'{i}: '}*{name}" for i in range(9))
            )

        lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} {open_}{join(f'a{i - 1}')}{close}" for i in range(1, 12)]
        text = "\n".join(lines)
    assert len(text) < 1024
    with pytest.raises(ConfigError, match="aliases expand to more than"):
        Source(text, "g.yaml", {})


@pytest.mark.row("S49")
def test_s49_no_check_is_an_assertion() -> None:
    """What is asserted tells a type to the reader and to mypy: it is never about a client's data."""
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Assert):
                test = ast.unparse(node.test)
                assert re.fullmatch(r"[\w.]+ is not None|isinstance\([\w.]+, [\w.]+\)", test), (
                    f"{path}:{node.lineno}"
                )
                assert "S101" in path.read_text().splitlines()[node.lineno - 1]
    assert '"S"' in (ROOT / "pyproject.toml").read_text()


OPTIMIZED = """
import asyncio, json, sys
import aiohttp
from gateway.policy.ssrf import check_url, is_public
from tests.support.servers import Serve
assert False, "this is Python with -O"

async def main():
    serve, said = Serve(), []
    url = await serve()
    chat, deep = url + "/v1/chat/completions", "[" * 200 + "]" * 200
    image = {"type": "image_url", "image_url": {"url": "http://169.254.169.254/x.png"}}
    bodies = [json.dumps({"messages": [{"role": "user", "content": [image]}]}), '{"messages": ' + deep + "}", "[]", "{"]
    async with aiohttp.ClientSession() as http:
        async with http.post(chat, data=bodies[0]) as response:
            said.append(response.status)
        async with http.post(chat, data=bodies[0], headers={"x-api-key": "sk-gw-x"}) as response:
            said.append(response.status)
        for body in bodies:
            async with http.post(chat, data=body, headers={"x-api-key": "k"}) as response:
                said.append(response.status)
        async with http.get(url + "/v1beta/..%2f..", headers={"x-api-key": "k"}) as response:
            said.append(response.status)
        async with http.post(chat, data=bodies[0], headers={"x-api-key": "k", "x-goog-api-key": "l"}) as response:
            said.append(response.status)
    await serve.stop()
    print(said, is_public("127.0.0.1"))

asyncio.run(main())
"""


@pytest.mark.row("S49")
def test_s49_the_checks_hold_in_python_that_strips_assertions() -> None:
    done = subprocess.run(
        [sys.executable, "-O", "-c", OPTIMIZED], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.stdout.strip() == "[401, 401, 400, 400, 400, 400, 400, 400] False", done.stderr[-2000:]


@pytest.mark.row("S34")
def test_s34_there_is_no_default_secret_and_none_in_a_file() -> None:
    config = Source("", "g.yaml", {}).decode(GatewayConfig)
    assert (config.admin.token, config.ledger.password, config.state.redis_password) == (None, None, None)
    assert (config.listen.host, config.admin.host) == ("127.0.0.1", "127.0.0.1")
    assert (config.admin.port, config.admin.unix) == (None, None)
    for section in (
        "admin: {token: %s}",
        "ledger: {password: %s}",
        "pool: {projects: [{name: a, keys: [%s]}]}",
    ):
        for value in ("123456", "'random_string'", "'changeme'", "''", "null2"):
            with pytest.raises(ConfigError, match="secrets are not written in this file"):
                Source(section % value, "g.yaml", {}).decode(GatewayConfig)
    socket = (ROOT / "systemd" / "gateway.socket").read_text() + (
        ROOT / "systemd" / "gateway-admin.socket"
    ).read_text()
    assert set(re.findall(r"^ListenStream=(\S+)", socket, re.M)) == {
        "/run/gateway.sock",
        "/run/gateway-admin.sock",
    }


SECRET_VALUE = re.compile(r"(password|secret|token|api_?key)\s*[:=]\s*[\"'](?!\s*[\"'])[^\"'{}\s]{4,}[\"']")


@pytest.mark.row("S34")
def test_s34_no_shipped_file_holds_a_key() -> None:
    """Nothing in the package, the units or the configuration looks like a key or assigns a secret."""
    key = re.compile(r"AIza[\w-]{35}|sk-gw-[\w-]{40,}|-----BEGIN [A-Z ]*PRIVATE KEY")
    for folder in ("gateway", "config", "systemd"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in (
                ".py",
                ".yaml",
                ".json",
                ".conf",
                ".sh",
                ".service",
                ".socket",
            ):
                text = path.read_text()
                assert not key.search(text), path
                if "emulator" not in path.parts:
                    assert [
                        line
                        for line in text.splitlines()
                        if SECRET_VALUE.search(line) and "demo-key" not in line
                    ] == [], path


@pytest.mark.row("S68")
def test_s68_no_static_files_are_served_and_no_path_is_normalised_by_a_redirect() -> None:
    names = {name.rpartition(".")[2] for _, name, _ in calls()}
    assert not names & {"add_static", "static", "FileResponse", "normalize_path_middleware", "HTTPFound", "HTTPMovedPermanently",
                        "HTTPTemporaryRedirect", "HTTPPermanentRedirect", "HTTPSeeOther"}  # fmt: skip


@pytest.mark.row("S16")
def test_s16_dependencies_are_few_and_installed_by_hash() -> None:
    """Direct dependencies: 8, 4 more for a team, and 2 for media. Each line of a lock has a version and a hash."""
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")

    def listed(section: str, name: str) -> list[str]:
        return [
            line
            for line in parser[section][name].splitlines()
            if line.strip() and not line.strip().startswith("#")
        ]

    assert len(listed("options", "install_requires")) <= 8
    assert len(listed("options", "install_requires") + listed("options.extras_require", "team")) <= 12
    assert len(locked(LOCKS[0])) <= 26
    for lock in LOCKS:
        text = lock.read_text()
        entries = re.split(r"\n(?=[a-z0-9])", text.split("\n", 1)[1] if text.startswith("#") else text)
        assert entries
        assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
        assert not re.search(
            r"^\s*(-e|git\+|https?:|--(extra-)?index-url|--trusted-host|--find-links)", text, re.M
        )
    for installer in (ROOT / "Makefile", ROOT / "systemd" / "install.sh"):
        for line in installer.read_text().splitlines():
            if "pip install" in line and "uv" not in line.split():
                assert "--require-hashes" in line or "--no-deps" in line, line


@pytest.mark.row("S16")
def test_s16_the_service_runs_isolated_from_the_environment() -> None:
    """`-I`: neither PYTHONPATH nor the user's site-packages nor the working directory add code."""
    for name in ("gateway@.service", "gateway.sh"):
        text = (ROOT / "systemd" / name).read_text()
        commands = [line for line in text.splitlines() if "@PYTHON@" in line]
        assert commands
        assert [line for line in commands if "@PYTHON@ -I -m gateway" not in line] == []


def _pth_check() -> str:
    """Return the installer's check for files that Python runs at each start."""
    text = (ROOT / "systemd" / "install.sh").read_text()
    (check,) = re.findall(r"^ *# Python runs each line.*?\n(.*?die \"unknown .*?)$", text, re.M | re.S)
    return str(check)


@pytest.mark.row("S16")
@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("distutils-precedence.pth", 0),
        ("litellm_init.pth", 1),
        ("a.pth", 1),
        ("sitecustomize.py", 1),
        ("usercustomize.py", 1),
    ],
)
def test_s16_the_installer_refuses_code_that_python_runs_at_each_start(
    tmp_path: Path, file: str, code: int
) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (packages / file).write_text("import os\n")
    script = f'die() {{ echo "$*" >&2; exit 1; }}\nfolder={tmp_path}\n{_pth_check()}\n'
    done = subprocess.run(["sh", "-eu", "-c", script], capture_output=True, text=True, check=False)

    assert done.returncode == code, done.stderr
    assert (file in done.stderr) is bool(code)


@pytest.mark.row("S62", "S64")
def test_s62_the_parser_in_python_is_refused() -> None:
    """aiohttp's parser in Python has had smuggling advisories of its own; the C parser must be loaded."""
    command = [sys.executable, "-m", "gateway", "serve", "--listen", "127.0.0.1:0"]
    environ = {"AIOHTTP_NO_EXTENSIONS": "1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=30
    )

    assert done.returncode == 78
    assert "AIOHTTP_NO_EXTENSIONS" in done.stderr


@pytest.mark.row("S56", "S58", "S60", "S61", "S63", "S69")
def test_aiohttp_has_its_last_fixes() -> None:
    version = tuple(map(int, locked(LOCKS[0])["aiohttp"].split(".")))
    assert version >= (3, 14, 5)
    assert "aiohttp >=3.14.5" in (ROOT / "setup.cfg").read_text()


@pytest.mark.row("S70")
def test_s70_redis_py_has_its_fix() -> None:
    assert tuple(map(int, locked(LOCKS[0])["redis"].split(".")[:2])) >= (8, 1)


@pytest.mark.row("S71")
def test_s71_the_json_of_clients_is_read_by_a_decoder_that_bounds_its_depth() -> None:
    """orjson, whose recursion the advisories are about, is not used; msgspec raises RecursionError."""
    assert "orjson" not in imported() | set(locked(LOCKS[0]))


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_no_large_file_is_in_the_repository() -> None:
    """What a run has left behind, such as the files of a test's clients, would be in every clone for ever."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / name for name in tracked.stdout.split("\0") if name]

    assert len(files) > 1000
    assert [str(file) for file in files if file.exists() and file.stat().st_size > 1_000_000] == []
