"""The type and the length of an audio file.

FFmpeg reads the head of a file only, as the one format that its first bytes show: a playlist or another format that
names further files is not followed, and nothing is decoded.
"""

from io import BytesIO
from pathlib import PurePosixPath
from typing import IO

from gateway.conversation.media_types import sniff_bytes
from gateway.errors import BadRequest
from gateway.gemini.audio import is_wav
from gateway.gemini.audio_encoder import is_available

FORMATS = ("flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "opus", "wav", "webm", "aac", "aiff")
"""Extensions of the formats that OpenAI's API names, and of three more that Gemini hears."""
_SNIFFED = {
    "audio/wav": "audio/wav", "audio/mpeg": "audio/mp3", "audio/flac": "audio/flac", "audio/ogg": "audio/ogg",
    "audio/mp4": "audio/m4a", "video/mp4": "audio/m4a", "video/quicktime": "audio/m4a", "video/3gpp": "audio/m4a",
    "video/webm": "audio/webm", "audio/aiff": "audio/aiff", "audio/aac": "audio/aac", "video/mpeg": "audio/mpeg",
}  # fmt: skip
"""Types by first bytes to those of the Interactions API, which takes the sound of an MP4 as m4a."""
_EXTENSIONS = {
    "flac": "audio/flac", "mp3": "audio/mp3", "mpga": "audio/mpeg", "mpeg": "audio/mpeg", "mp4": "audio/m4a",
    "m4a": "audio/m4a", "ogg": "audio/ogg", "oga": "audio/ogg", "opus": "audio/opus", "wav": "audio/wav",
    "webm": "audio/webm", "aac": "audio/aac", "aiff": "audio/aiff", "aif": "audio/aiff",
}  # fmt: skip
_FFMPEG = {
    "audio/mp3": "mp3", "audio/mpeg": "mp3", "audio/flac": "flac", "audio/ogg": "ogg", "audio/opus": "ogg",
    "audio/m4a": "mov", "audio/webm": "matroska", "audio/aiff": "aiff", "audio/aac": "aac", "audio/wav": "wav",
}  # fmt: skip
_PROBE = {"probesize": "1000000", "analyzeduration": "2000000"}
_LONGEST = 7 * 86_400.0


def audio_type(head: bytes, name: str) -> str:
    """Return a file's MIME type, by its first bytes, else by its name. Raises BadRequest if it is no audio."""
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "audio/aac" if head[1] & 0xF6 == 0xF0 else "audio/mp3"
    sniffed = sniff_bytes(head)
    known = _SNIFFED.get(sniffed)
    if known is None and not sniffed:
        known = _EXTENSIONS.get(PurePosixPath(name).suffix.lower().lstrip("."))
        if known is not None and _is_text(head):
            known = None
    if known is None:
        listed = ", ".join(f"'{form}'" for form in FORMATS)
        raise BadRequest(f"Invalid file format. Supported formats: [{listed}]", param="file")
    return known


def _is_text(head: bytes) -> bool:
    """Return whether some bytes are text, as of a page that says that there is no audio."""
    return not head.translate(None, bytes(range(32, 127)) + b"\t\r\n")


def wav_seconds(data: bytes, whole: int | None = None) -> float | None:
    """Return the length of a WAV file by its header; None for anything else.

    `data` is the file, or the beginning of one of `whole` bytes.
    """
    if not is_wav(data):
        return None
    whole = len(data) if whole is None else whole
    rate, position = 0, 12
    while position + 8 <= len(data):
        name, size = (
            data[position : position + 4],
            int.from_bytes(data[position + 4 : position + 8], "little"),
        )
        position += 8
        if name == b"fmt " and position + 12 <= len(data):
            rate = int.from_bytes(data[position + 8 : position + 12], "little")  # bytes a second
        elif name == b"data":
            return _possible(min(size or whole, whole - position) / rate) if rate else None
        position += size + size % 2
    return None


def seconds_of(data: bytes | IO[bytes], mime_type: str) -> float | None:
    """Return the length of an audio file, None if it cannot be seen. Call it in a thread."""
    if isinstance(data, bytes) and (length := wav_seconds(data)) is not None:
        return length
    if not is_available() or mime_type not in _FFMPEG:
        return None
    import av
    from av.error import FFmpegError

    try:
        source = BytesIO(data) if isinstance(data, bytes) else data
        with av.open(source, "r", format=_FFMPEG[mime_type], options=_PROBE) as file:
            streams = file.streams.audio
            if not streams:
                return None
            stream = streams[0]
            if stream.duration is not None and stream.time_base is not None:
                return _possible(float(stream.duration * stream.time_base))
            return _possible(file.duration / 1_000_000) if file.duration is not None else None
    except (FFmpegError, ValueError, OverflowError):
        return None


def _possible(length: float) -> float | None:
    return round(length, 3) if 0 <= length <= _LONGEST else None
