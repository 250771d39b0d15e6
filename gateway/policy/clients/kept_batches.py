"""Batches that the gateway keeps for its clients: the batch, its parts at Google, its lines, and their answers."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct, field

Status = Literal[
    "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
]
"""OpenAI's states of a batch (https://platform.openai.com/docs/api-reference/batch/object)."""
ENDED = ("failed", "completed", "expired", "cancelled")
Surface = Literal["openai", "anthropic"]
Method = Literal["batchGenerateContent", "asyncBatchEmbedContent", "here"]
"""Google's method that runs a part; `here` for lines that the gateway asks for one by one."""
_MOST_NOTES = 50
PartState = Literal["waiting", "submitting", "sent", "done"]


class LineError(Struct, frozen=True, omit_defaults=True):
    """A fault of a batch, or of one of its lines."""

    code: str
    message: str
    line: int | None = None
    """Counted from 1."""
    param: str | None = None


class Details(Struct):
    """Facts about a batch that are only shown, or used at its end."""

    input_file: str = ""
    """The id of the file with the lines."""
    completion_window: str = "24h"
    metadata: dict[str, str] | None = None
    output_life: int | None = None
    """Seconds for which the files with the results are kept."""
    output_file: str | None = None
    error_file: str | None = None
    model: str | None = None
    errors: list[LineError] = []
    at: dict[str, int] = {}
    """The Unix second at which each state began."""
    usage: dict[str, int] = {}
    """Tokens of all answers: `input`, `cached`, `output`, `thoughts`."""
    request_id: str = ""
    """The id of the request that created it."""
    results: dict[str, int] = {}
    """Requests by the kind of their results, in Anthropic's words."""
    notes: dict[str, int] = {}
    """Lines by the field that was not honoured in them."""


class Batch(Struct):
    """One batch. `BatchStore.save` writes all that may change."""

    id: str
    """24 hexadecimal digits, which each surface writes after a prefix of its own."""
    scope: str
    """The client that it belongs to."""
    client: str
    """Id of the issued key; "" for a client with a Gemini key of its own."""
    surface: Surface
    endpoint: str
    """The path that each line asks for, such as `/v1/chat/completions`."""
    created_at: int
    expires_at: int
    status: Status = "validating"
    total: int = 0
    completed: int = 0
    failed: int = 0
    next_look: float = 0.0
    """Unix seconds of the next look at its parts."""
    looks: int = 0
    """Looks since something has changed."""
    details: Details = field(default_factory=Details)
    number: int = 0
    """Batches of one client are listed in this order."""
    cancel_at: float = 0.0
    """Unix seconds at which its client has asked for its end; 0 for never. Only `BatchStore.cancel` writes it."""

    def enter(self, status: Status, now: float) -> None:
        """Enter a state."""
        self.status, self.looks = status, 0
        self.details.at[status] = int(now)

    def note(self, fields: Iterable[str]) -> None:
        """Count the fields of a line that were not honoured. Of a batch, the first 50 names are counted."""
        notes = self.details.notes
        for name in fields:
            if name in notes or len(notes) < _MOST_NOTES:
                notes[name] = notes.get(name, 0) + 1


class Part(Struct):
    """Lines of a batch that one batch of Google's asks for: of one method, model and project."""

    id: str
    """Google's `displayName`, by which a part is found whose creation was not answered."""
    batch: str
    number: int
    method: Method
    model: str
    project: str = ""
    """The project that is asked; "" for any, and for a client's own key."""
    is_pinned: bool = False
    """Its files are in that project, so that no other can be asked."""
    state: PartState = "waiting"
    upload: str = ""
    """Google's name of the file with the requests, once it was uploaded."""
    name: str = ""
    """Google's name of the batch."""
    calls: int = 0
    """Requests: a line with `n` is several."""
    size: int = 0
    """Bytes of the file with the requests."""
    intent: str = ""
    """The id of its row in the ledger, once it has one."""
    micros: int = 0
    """The most that it costs, in millionths of a US dollar."""
    tokens: int = 0
    """The most tokens that it needs."""
    succeeded: int = 0
    failed: int = 0
    """Requests that Google has answered so far."""
    outcome: str = ""
    """Google's last state without its prefix, such as `SUCCEEDED`; "" before one is known."""
    message: str = ""
    """Google's words about a part that has failed as a whole."""
    retry_at: float = 0.0
    """Unix seconds before which it is not submitted again."""
    tried: list[str] = []
    """Projects whose quota has refused it."""


class Line(Struct):
    """One request of a batch."""

    number: int
    """Counted from 0."""
    custom_id: str
    part: str
    """The part that asks for it; "" for one with an error of its own."""
    choices: int = 1
    context: bytes = b""
    """Facts that its surface needs to read the answer."""
    error: bytes = b""
    """The error of a line that cannot be asked for, as its surface writes it."""


class Answer(Struct):
    """Google's answer to one choice of a line, in the file of the part's answers."""

    line: int
    choice: int
    offset: int
    size: int
    ok: bool
    """Whether it is an answer of the model, not an error."""


class BatchPage(Struct, frozen=True):
    """A page of a client's batches, the newest first unless `up`."""

    limit: int
    beyond: int | None = None
    """The number of the batch before the first one."""
    up: bool = False
