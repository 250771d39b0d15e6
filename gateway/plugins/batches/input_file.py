"""The file of a batch: JSON lines, each a request. All methods block."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from gateway.conversation.invalid import not_json
from gateway.exchange.batches.reading import MOST_ERRORS, RawLine
from gateway.plugins.batches.wire import InputLine, decode_line
from gateway.policy.clients.kept_batches import LineError

_LONGEST_ID = 512
"""Characters of a custom_id."""
_PIECE = 2**16
_BOM = b"\xef\xbb\xbf"


class FileLimits(Struct, frozen=True):
    """The bounds of a batch's file."""

    lines: int
    bytes: int
    line: int
    """Bytes of one line."""


class InputFile:
    """A batch's file, line by line."""

    keeps_bad_lines = False

    def __init__(self, path: Path, endpoint: str, limits: FileLimits) -> None:
        self._path = path
        self._endpoint = endpoint
        self._limits = limits
        self.most_requests = limits.lines if endpoint == "/v1/embeddings" else 0

    def faults(self) -> list[LineError]:
        """Return the first faults. Memory holds one line at a time, and the ids of all lines."""
        if self._path.stat().st_size > self._limits.bytes:
            message = f"The file is larger than {self._limits.bytes} bytes."
            return [LineError("file_too_large", message)]
        errors, ids, number = list[LineError](), dict[str, int](), -1
        for number, data in self._lines():
            if number >= self._limits.lines:
                errors.append(
                    LineError(
                        "too_many_lines", f"A batch has at most {self._limits.lines} lines.", number + 1
                    )
                )
                break
            error = self._fault(data, number + 1, ids)
            if error is not None:
                errors.append(error)
                if len(errors) >= MOST_ERRORS:
                    break
        if number < 0:
            errors.append(LineError("empty_file", "The input file has no lines."))
        return errors

    def read(self) -> Iterator[RawLine]:
        """Yield the lines of a file without faults."""
        for number, data in self._lines():
            line = decode_line(data)
            yield RawLine(number, line.custom_id, bytes(line.body))

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield number and bytes of each line that is not blank. One that is too long is cut.

        More blank lines than a file may have lines are yielded, too: reading them takes time.
        """
        most, number, blank = self._limits.line, 0, 0
        with self._path.open("rb") as file:
            while data := file.readline(most + 1):
                rest = data
                while not rest.endswith(b"\n") and (rest := file.readline(_PIECE)):
                    pass  # the rest of a line that is too long
                line = data.removeprefix(_BOM).strip() if not number else data.strip()
                blank += not line
                if line or blank > self._limits.lines:
                    yield number, line
                    number += 1

    def _fault(self, data: bytes, line: int, ids: dict[str, int]) -> LineError | None:
        if len(data) > self._limits.line:
            return LineError("line_too_long", f"A line has at most {self._limits.line} bytes.", line)
        try:
            fields = decode_line(data)
        except msgspec.ValidationError:
            return LineError("invalid_json_line", "This line is not a JSON object.", line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            why = not_json(error).message.partition(":")[2]
            return LineError("invalid_json_line", f"This line is not valid JSON{why and ':' + why}", line)
        return self._fault_of_fields(fields, line, ids)

    def _fault_of_fields(self, fields: InputLine, line: int, ids: dict[str, int]) -> LineError | None:
        for name in ("custom_id", "method", "url", "body"):
            if getattr(fields, name) in (None, "") or not getattr(fields, name):
                message = f"Missing required parameter: '{name}'."
                return LineError("missing_required_parameter", message, line, name)
        custom_id = fields.custom_id
        if not isinstance(custom_id, str) or len(custom_id) > _LONGEST_ID:
            message = f"'custom_id' must be a text of at most {_LONGEST_ID} characters."
            return LineError("invalid_type", message, line, "custom_id")
        if (first := ids.setdefault(custom_id, line)) != line:
            message = (
                f"The custom_id of line {line} is that of line {first}: each must be unique in its file."
            )
            return LineError("duplicate_custom_id", message, line, "custom_id")
        if fields.method != "POST":
            return LineError("invalid_method", "'method' must be 'POST'.", line, "method")
        if fields.url != self._endpoint:
            message = f"'url' must be the batch's endpoint, {self._endpoint}."
            return LineError("mismatched_endpoint", message, line, "url")
        if not bytes(fields.body).startswith(b"{"):
            return LineError("invalid_type", "'body' must be an object.", line, "body")
        return None
