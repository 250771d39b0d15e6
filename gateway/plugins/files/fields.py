"""Files and uploads: the policy of each request field."""

from gateway.conversation.field_policy import Policy

_FILE = {
    "purpose": Policy("mapped", "kept; `fine-tune` is refused, `batch` must be JSON lines and lives for 30 days"),
    "expires_after": Policy("mapped", "`anchor` is `created_at`, `seconds` from 3600 to 2592000"),
}  # fmt: skip
FILE: dict[str, Policy] = {
    "file": Policy(
        "mapped", "a file of a form, kept by the gateway and copied to Google where a request uses it"
    ),
    **_FILE,
}
"""`POST /v1/files`."""
UPLOAD: dict[str, Policy] = {
    "bytes": Policy("mapped", "the size of all parts together"),
    "filename": Policy("mapped", "its last component"),
    "mime_type": Policy("mapped", "used where the file's first bytes and its name show none"),
    **_FILE,
}
"""`POST /v1/uploads`."""
PART: dict[str, Policy] = {"data": Policy("mapped", "up to 64 MiB in a form; parts may be sent in any order")}
"""`POST /v1/uploads/{upload_id}/parts`."""
COMPLETE: dict[str, Policy] = {
    "part_ids": Policy("mapped", "the parts in the order of the file"),
    "md5": Policy("mapped", "compared with that of the whole file"),
}
"""`POST /v1/uploads/{upload_id}/complete`."""
