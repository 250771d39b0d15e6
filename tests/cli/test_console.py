"""`gateway console`: the way in."""

from pathlib import Path

import pytest

from gateway.cli import console
from gateway.cli.main import main
from gateway.config.admin import AdminConfig
from gateway.config.secret import Secret

TOKEN = Secret("hush-hush")


@pytest.mark.parametrize(
    ("admin", "socket", "lines"),
    [
        (AdminConfig(TOKEN), True, ["ssh -L 8081:SOCKET root@vps", "http://127.0.0.1:8081/", "token of admin.token."]),
        (AdminConfig(TOKEN, unix="/run/x.sock"), False, ["ssh -L 8081:/run/x.sock root@vps", "127.0.0.1:8081", "admin.token"]),
        (AdminConfig(TOKEN, port=9000), True, ["open:       http://127.0.0.1:9000/", "-L 8081:127.0.0.1:9000 vps", "admin.token"]),
        (AdminConfig(TOKEN, port=9000, host="10.0.0.5"), False, ["http://10.0.0.5:9000/  (add the name", "admin.token"]),
        (AdminConfig(TOKEN), False, ["There is no admin listener"]),
        (AdminConfig(port=9000), False, ["Nobody can sign in: set admin.token", "admin: {port"]),
    ],
)  # fmt: skip
def test_the_way_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, admin: AdminConfig, socket: bool, lines: list[str]
) -> None:
    path = tmp_path / "admin.sock"
    if socket:
        path.touch()
    monkeypatch.setattr(console, "SYSTEMD_SOCKET", str(path))
    shown = console.way_in(admin, "vps")

    assert len(shown) == len(lines)
    for text, line in zip(lines, shown, strict=True):
        assert text.replace("SOCKET", str(path)) in line
    assert "hush" not in str(shown)


def test_the_command_needs_no_secret_and_fails_where_nobody_can_sign_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "g.yaml"
    file.write_text("admin: {port: 8081, token: {credential: not-here}}\n")
    assert main(["console", "--config", str(file)]) == 0
    assert "http://127.0.0.1:8081/" in capsys.readouterr().out
    file.write_text("")
    assert main(["console", "--config", str(file)]) == 1
