"""The folder of files: systemd's, or the working directory."""

from pathlib import Path

import pytest

from gateway.store.state_folder import state_path


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
