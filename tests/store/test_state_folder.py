"""The folder of files: systemd's, the YAML's, or the working directory."""

from pathlib import Path

import pytest

from gateway.store.state_folder import data_folder, state_path


@pytest.mark.parametrize(
    ("file", "environ", "expected"),
    [
        ("/var/x.db", {"STATE_DIRECTORY": "/var/lib/gateway"}, Path("/var/x.db")),
        ("x.db", {"STATE_DIRECTORY": "/var/lib/gateway"}, Path("/var/lib/gateway/x.db")),
        ("a/x.db", {"STATE_DIRECTORY": "/var/lib/one:/var/lib/two"}, Path("/var/lib/one/a/x.db")),
        ("x.db", {}, Path.cwd() / "x.db"),
        ("x.db", {"STATE_DIRECTORY": ""}, Path.cwd() / "x.db"),
    ],
)
def test_a_relative_file_is_in_the_state_directory(
    file: str, environ: dict[str, str], expected: Path
) -> None:
    assert state_path(file, environ) == expected


@pytest.mark.parametrize(
    ("path", "environ", "expected"),
    [
        (None, {}, None),
        (None, {"STATE_DIRECTORY": ""}, None),
        (None, {"STATE_DIRECTORY": "/var/lib/gateway"}, Path("/var/lib/gateway/files")),
        ("kept", {"STATE_DIRECTORY": "/var/lib/gateway"}, Path("/var/lib/gateway/kept")),
        ("kept", {}, Path.cwd() / "kept"),
        ("/srv/kept", {}, Path("/srv/kept")),
    ],
)
def test_a_plugin_has_a_folder_if_one_is_named_or_the_service_has_one(
    path: str | None, environ: dict[str, str], expected: Path | None
) -> None:
    assert data_folder(path, "files", environ) == expected


@pytest.mark.parametrize(
    ("path", "environ", "expected"),
    [
        ("kept", {}, Path("/etc/gw/kept")),
        ("kept", {"STATE_DIRECTORY": "/var/lib/gateway"}, Path("/var/lib/gateway/kept")),
        ("/srv/kept", {}, Path("/srv/kept")),
        (None, {}, None),
    ],
)
def test_a_relative_folder_lies_beside_the_yaml(
    path: str | None, environ: dict[str, str], expected: Path | None
) -> None:
    assert data_folder(path, "files", environ, Path("/etc/gw")) == expected
