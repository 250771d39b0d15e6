"""Files of the package that are no modules are installed: setup.cfg names each of them."""

from setuptools.config.setupcfg import read_configuration  # type: ignore[import-untyped]

from tests.support.paths import ROOT


def test_every_file_of_the_package_is_in_the_wheel() -> None:
    """As setuptools reads the list, which is split at line ends if it has any, and at commas otherwise."""
    patterns = read_configuration(ROOT / "setup.cfg")["options"]["package_data"]["gateway"]
    package = ROOT / "gateway"
    files = [
        path.relative_to(package)
        for path in package.rglob("*")
        if path.is_file()
        and path.suffix not in (".py", ".pyc")
        and path.name != "commit.txt"  # setup.py adds it
    ]

    assert len(files) > 10
    assert [str(file) for file in files if not any(file.match(pattern) for pattern in patterns)] == []
    assert [pattern for pattern in patterns if not any(file.match(pattern) for file in files)] == []
