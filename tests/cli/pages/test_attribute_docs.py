"""Texts below the attributes of a class, read from its source."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from gateway.cli.pages.attribute_docs import attribute_docs

SOURCE = '''
class Base:
    first: int
    """The first."""
    replaced: int
    """As the base class has it."""


class Derived(Base):
    """Not an attribute."""

    second: str = "x"
    """Text over
    two lines."""
    bare: int = 0
    replaced: int
    """As the derived class has it."""
    untyped = 1
    """No annotation."""

    def method(self) -> None:
        inner: int
        """Not an attribute of the class."""
'''


def loaded(name: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    file.write_text(SOURCE)
    spec = spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def test_a_text_belongs_to_the_annotated_attribute_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = loaded("gateway.sample_for_docs", tmp_path / "sample.py", monkeypatch)

    assert attribute_docs(module.Base) == {"first": "The first.", "replaced": "As the base class has it."}
    assert attribute_docs(module.Derived) == {
        "first": "The first.",
        "second": "Text over two lines.",
        "replaced": "As the derived class has it.",
    }


def test_classes_of_other_packages_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = loaded("sample_for_docs", tmp_path / "sample.py", monkeypatch)

    assert attribute_docs(module.Derived) == {}
