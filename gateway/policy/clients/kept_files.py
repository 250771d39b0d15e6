"""Files that the gateway keeps for its clients: what is known of them, and the bounds of a client."""

from typing import Literal

from msgspec import Struct

from gateway.errors import BadRequest

UploadStatus = Literal["pending", "completed", "cancelled", "expired"]


class FileLimits(Struct, frozen=True):
    """Bounds of one client's files."""

    each: int
    """Bytes of one file."""
    total: int
    """Bytes of all files, and of the parts of unfinished uploads."""
    count: int
    """Files, and unfinished uploads."""


class NewFile(Struct, frozen=True):
    """A file to be stored."""

    scope: str
    """The client that it belongs to."""
    filename: str
    mime_type: str
    purpose: str
    created_at: int
    expires_at: int | None = None


class StoredFile(Struct, frozen=True):
    """A stored file."""

    number: int
    """Files of one client are listed in this order."""
    id: str
    """24 hexadecimal digits, which each surface writes after a prefix of its own."""
    scope: str
    size: int
    sha256: str
    filename: str
    mime_type: str
    purpose: str
    created_at: int
    expires_at: int | None


class FileCopy(Struct, frozen=True):
    """The copy of a file that Google keeps in one project."""

    project: str
    """"" for the project of a client's own key."""
    name: str
    """Google's name, such as `files/abc`."""
    uri: str
    expires: float
    """Unix seconds at which Google deletes it."""
    active: bool
    """Whether it can be used; a video is processed first."""


class Upload(Struct, frozen=True):
    """A file that is uploaded in parts."""

    id: str
    scope: str
    size: int
    filename: str
    mime_type: str
    purpose: str
    created_at: int
    expires_at: int
    status: UploadStatus
    lifetime: int | None
    """Seconds that the file shall live; None for as long as possible."""
    file: str | None
    """The id of the file that it has become."""


class Page(Struct, frozen=True):
    """A page of a client's files."""

    limit: int
    beyond: int | None = None
    """The number of the file before the first one."""
    up: bool = False
    """Oldest first."""
    purpose: str | None = None


def ended(status: str) -> BadRequest:
    """Return the error for an upload that takes nothing any more."""
    return BadRequest(
        f"This upload is {status}, so it cannot be changed.", param="upload_id", code="upload_ended"
    )
