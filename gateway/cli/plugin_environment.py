"""The packages beside which plugins are installed: their versions, and a copy by which an installation is undone."""

import filecmp
import os
import re
import shutil
import sysconfig
from collections.abc import Iterator
from importlib import invalidate_caches, metadata
from pathlib import Path

PACKAGE = "gemini-openai-gateway"
REQUIREMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA = re.compile(r"""(?:(.+) and )?extra == ["']([\w-]+)["']""")
"""Marker of a requirement that belongs to an optional part (https://packaging.python.org/en/latest/specifications/dependency-specifiers/)."""
_NO_OPERATORS = ("dev", "audit")
"""Optional parts that are for the development."""
_CACHE = "__pycache__"
_MODULES = "gateway"
"""Folder of the gateway's modules in an environment."""


def own_versions() -> Iterator[str]:
    """Yield `name==version` of the gateway in this environment, of its dependencies, of their own, and so on.

    pip takes them as constraints. If the gateway is not installed, as in a checkout, no version of it is allowed: an
    index may have another package of its name.
    """
    if distribution_of(PACKAGE) is None:
        yield f"{PACKAGE}<0"
    pending, seen = [PACKAGE], set[str]()
    while pending:
        name = normal_name(pending.pop())
        distribution = None if name in seen else distribution_of(name)
        seen.add(name)
        if distribution is None:
            continue
        yield f"{name}=={distribution.version}"
        names = [REQUIREMENT_NAME.match(requirement) for requirement in distribution.requires or ()]
        pending += [match[0] for match in names if match is not None]


def extras() -> dict[str, list[str]]:
    """Return the requirements of each optional part of the gateway that an operator may add, by its name."""
    distribution = distribution_of(PACKAGE)
    result: dict[str, list[str]] = {}
    for requirement in (distribution.requires or ()) if distribution is not None else ():
        package, _, marker = requirement.partition(";")
        match = _EXTRA.fullmatch(marker.strip())
        if match is not None and match[2] not in _NO_OPERATORS:
            condition = f" ; {match[1]}" if match[1] else ""
            result.setdefault(match[2], []).append(package.strip() + condition)
    return result


def distribution_of(name: str) -> metadata.Distribution | None:
    """Return an installed package, or None."""
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def normal_name(name: str) -> str:
    """Return a package's name in its normal form (https://packaging.python.org/en/latest/specifications/name-normalization/)."""
    return re.sub(r"[-_.]+", "-", name).lower()


class EnvironmentCopy:
    """Copy of this environment's packages and scripts.

    pip has no undo, and lets a package overwrite files of another one.
    """

    def __init__(self, folder: Path) -> None:
        roots = {Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib", "scripts")}
        self._copies = {root: folder / str(i) for i, root in enumerate(sorted(roots)) if root.is_dir()}
        for root, copy in self._copies.items():
            shutil.copytree(root, copy, symlinks=True, ignore=shutil.ignore_patterns(_CACHE))
        self._versions = set(own_versions())
        names = map(_name, self._versions)
        distributions = [item for item in map(distribution_of, names) if item is not None]
        self._own = {
            Path(os.path.normpath(str(distribution.locate_file(file))))
            for distribution in distributions
            for file in distribution.files or ()
        }

    def change(self) -> str | None:
        """Return what differs of the gateway and its dependencies: a version or a file. None if nothing does."""
        invalidate_caches()
        before = {_name(line) for line in self._versions}
        changed = sorted(line for line in set(own_versions()) - self._versions if _name(line) in before)
        if changed:  # not what was missing of an optional part
            return changed[0]
        for root, copy in self._copies.items():
            names = {path.relative_to(root) for path in self._own if path.is_relative_to(root)}
            names |= _files(root, _MODULES) | _files(copy, _MODULES)
            for name in sorted(names):
                if _CACHE not in name.parts and not _same(root / name, copy / name):
                    return str(root / name)
        return None

    def undo(self) -> None:
        """Bring back all files as they were, and delete those that are new."""
        for root, copy in self._copies.items():
            before = _files(copy)
            for name in _files(root) - before:
                (root / name).unlink()
                for compiled in (root / name).parent.glob(f"{_CACHE}/{name.stem}.*.pyc"):
                    compiled.unlink()
            for name in before:
                if not _same(root / name, copy / name):
                    _put_back(copy / name, root / name)
            _prune(root, {root / folder for name in before for folder in name.parents})
        invalidate_caches()


def _name(version: str) -> str:
    """Return the package of a line of `own_versions`."""
    return re.split("[<=]", version, maxsplit=1)[0]


def _files(root: Path, below: str = ".") -> set[Path]:
    """Return the names of all files of a folder, relative to the root."""
    return {
        (Path(folder) / name).relative_to(root)
        for folder, _, names in os.walk(root / below)
        if Path(folder).name != _CACHE
        for name in names
    }


def _same(first: Path, second: Path) -> bool:
    if not (os.path.lexists(first) and os.path.lexists(second)):
        return os.path.lexists(first) == os.path.lexists(second)
    if first.is_symlink() or second.is_symlink():
        return first.is_symlink() and second.is_symlink() and os.readlink(first) == os.readlink(second)
    return filecmp.cmp(first, second, shallow=False)


def _put_back(copy: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.new")
    shutil.copy2(copy, temporary, follow_symlinks=False)
    temporary.replace(target)


def _prune(root: Path, kept: set[Path]) -> None:
    """Delete the folders of new packages, in which at most compiled modules are left."""
    for folder in [Path(path) for path, _, _ in os.walk(root)]:
        if (
            folder != root
            and folder.name != _CACHE
            and folder not in kept
            and folder.is_dir()
            and not _files(folder)
        ):
            shutil.rmtree(folder)
