"""`gateway schema`."""

import json

import pytest

from gateway.cli.main import main


def test_schema_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "gateway.yaml"
