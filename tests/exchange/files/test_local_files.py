"""The error for a file that is not kept."""

from gateway.exchange.files.local_files import not_kept


def test_the_error_names_the_field_and_not_the_file() -> None:
    error = not_kept("messages[0].content[1].file.file_id")

    assert (error.status, error.code, error.param) == (
        400,
        "file_not_found",
        "messages[0].content[1].file.file_id",
    )
