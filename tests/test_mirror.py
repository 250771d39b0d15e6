"""Every module of the gateway has a file of tests of its own name, in the same place below tests/."""

from tests.support.paths import ROOT

_START = "starts a command; tests run it as a process"
_MESSAGES = (
    "declares messages only: golden files, test_request_bounds.py and test_field_paths.py hold the fields"
)
_TABLE = "a table: plugins/test_field_tables.py compares it with the fields that are decoded"
EXCEPTIONS = {
    "__main__.py": _START,
    "cli/pages/__main__.py": _START,
    "gemini/wire.py": _MESSAGES,
    "plugins/batches/fields.py": _TABLE,
    "plugins/batches/wire.py": _MESSAGES,
    "plugins/chat/answer_wire.py": _MESSAGES,
    "plugins/chat/wire.py": _MESSAGES,
    "plugins/completions/fields.py": _TABLE,
    "plugins/completions/wire.py": _MESSAGES,
    "plugins/embeddings/fields.py": _TABLE,
    "plugins/embeddings/wire.py": _MESSAGES,
    "plugins/files/fields.py": _TABLE,
    "plugins/files/wire.py": _MESSAGES,
    "plugins/images/fields.py": _TABLE,
    "plugins/images/wire.py": _MESSAGES,
    "plugins/messages/fields.py": _TABLE,
    "plugins/messages/wire.py": _MESSAGES,
    "plugins/models/wire.py": _MESSAGES,
    "plugins/moderations/fields.py": _TABLE,
    "plugins/moderations/wire.py": _MESSAGES,
    "plugins/native/wire.py": _MESSAGES,
    "plugins/responses/fields.py": _TABLE,
    "plugins/responses/wire.py": _MESSAGES,
    "plugins/speech/fields.py": _TABLE,
    "plugins/speech/wire.py": _MESSAGES,
    "plugins/transcription/fields.py": _TABLE,
    "plugins/transcription/wire.py": _MESSAGES,
    "policy/clients/kept_files.py": "declares rows only: store/files/test_database.py writes and reads them",
}
"""Module to the reason why it has no file of tests."""


def test_every_module_has_its_tests() -> None:
    modules = {path.relative_to(ROOT / "gateway") for path in (ROOT / "gateway").rglob("*.py")}
    missing = [
        str(module)
        for module in sorted(modules)
        if module.name != "__init__.py"
        and not (ROOT / "tests" / module.with_name(f"test_{module.name}")).exists()
    ]

    assert missing == sorted(EXCEPTIONS)
