"""Files and uploads, the answer: OpenAI's and Anthropic's objects, and the headers of a file's content."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from gateway.policy.clients.kept_files import StoredFile, Upload

Object = dict[str, Any]
_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})", re.ASCII)


def openai_file(file: StoredFile) -> Object:
    """Return OpenAI's FileObject."""
    shown: Object = {
        "id": f"file-{file.id}", "object": "file", "bytes": file.size, "created_at": file.created_at,
        "filename": file.filename, "purpose": file.purpose, "status": "processed", "status_details": None,
    }  # fmt: skip
    return shown if file.expires_at is None else shown | {"expires_at": file.expires_at}


def anthropic_file(file: StoredFile) -> Object:
    """Return Anthropic's FileMetadata."""
    created = datetime.fromtimestamp(file.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "id": f"file_{file.id}", "type": "file", "filename": file.filename, "mime_type": file.mime_type,
        "size_bytes": file.size, "created_at": created, "downloadable": False,
    }  # fmt: skip


def openai_list(files: Sequence[StoredFile], *, has_more: bool) -> Object:
    """Return OpenAI's list."""
    return {"object": "list"} | _page([openai_file(file) for file in files], has_more=has_more)


def anthropic_list(files: Sequence[StoredFile], *, has_more: bool) -> Object:
    """Return Anthropic's list."""
    return _page([anthropic_file(file) for file in files], has_more=has_more)


def deleted(name: str, *, anthropic: bool) -> Object:
    """Return the answer to a deletion."""
    return (
        {"id": name, "type": "file_deleted"} if anthropic else {"id": name, "object": "file", "deleted": True}
    )


def upload_object(upload: Upload, file: StoredFile | None = None) -> Object:
    """Return OpenAI's Upload."""
    return {
        "id": upload.id, "object": "upload", "bytes": upload.size, "created_at": upload.created_at,
        "filename": upload.filename, "purpose": upload.purpose, "status": upload.status,
        "expires_at": upload.expires_at, "file": openai_file(file) if file is not None else None,
    }  # fmt: skip


def part_object(upload: str, part: str, created_at: int) -> Object:
    """Return OpenAI's UploadPart."""
    return {"id": part, "object": "upload.part", "created_at": created_at, "upload_id": upload}


def content_headers(file: StoredFile) -> dict[str, str]:
    """Return the headers of a file's bytes. A browser saves them, and never shows them as a page (RFC 6266, 8187)."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in file.filename)
    name = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file.filename, safe='')}"
    return {"Content-Type": "application/octet-stream", "Content-Disposition": name, "Accept-Ranges": "bytes"}


def byte_range(header: str, size: int) -> tuple[int, int]:
    """Return the first byte that is asked for, and the end; the whole file for ranges that are not understood."""
    match = _RANGE.fullmatch(header)
    if match is None or not (match[1] or match[2]):
        return 0, size
    if not match[1]:
        return max(0, size - int(match[2])) if int(match[2]) else 0, size
    start, end = int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
    return (start, end) if start < end else (0, size)


def _page(data: list[Object], *, has_more: bool) -> Object:
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "first_id": first, "last_id": last, "has_more": has_more}
