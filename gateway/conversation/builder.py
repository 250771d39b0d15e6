"""The conversation builder: what a client says, recorded in Gemini's terms.

A surface walks its own request once and says here what it reads, each time with `at`, the path in the client's own
request. The builder knows no dialect. What it has recorded can be translated for any model (`translation`), and every
error and note then names the client's own field.
"""

from collections.abc import Iterator, Mapping, Sequence

from gateway.conversation.generation import OutputFormat, Sampling
from gateway.conversation.google_options import NOTHING, GoogleOptions
from gateway.conversation.modalities import ModalityRequest
from gateway.conversation.notes import Notes, is_below
from gateway.conversation.pairing import Call, Item, Result, Turn
from gateway.conversation.parts import AnyPart, Attachment
from gateway.conversation.reasoning import OTHER_EFFORTS, ReasoningRequest, checked
from gateway.conversation.replay import only_text
from gateway.conversation.tools import Choice, ToolBox
from gateway.gemini.server_runs import Run
from gateway.gemini.thought_signatures import MOST_LOOKED_UP, SignatureKeys, split_id
from gateway.gemini.wire import Part, SafetySetting

NO_SAMPLING = Sampling()
NO_REASONING = ReasoningRequest()
NO_MODALITIES = ModalityRequest()


class ConversationBuilder:
    """Records one conversation. `root` is the field that holds its turns; `strict` refuses what cannot be honoured."""

    def __init__(self, root: str, *, strict: bool = False) -> None:
        self.root = root
        self.notes = Notes(strict=strict)
        self.items: list[Item] = []
        self.attachments: list[Attachment] = []
        """Parts that wait for a file or the store."""
        self.calls: list[Call] = []
        self.has_results = False
        self.declared: ToolBox | None = None
        """The tools, once there are any."""
        self.sampling = NO_SAMPLING
        self.names: Mapping[str, str] = {}
        """Field of generationConfig to the client's path, where the names differ."""
        self.reasoning = NO_REASONING
        self.output_format: OutputFormat | None = None
        self.modalities = NO_MODALITIES
        self.location: tuple[str, str] | None = None
        """The user's location in words, and the path of the field that gives it."""
        self.hints: list[str] = []
        """Options of tools in words, for tools of Gemini's that do not have them."""
        self.safety: list[SafetySetting] = []
        self.google: GoogleOptions = NOTHING
        self.service_tier: str | None = None
        self._step: Turn | None = None

    @property
    def tools(self) -> ToolBox:
        """The tools that the client declares."""
        if self.declared is None:
            self.declared = ToolBox(self.notes)
        return self.declared

    @property
    def has_built_ins(self) -> bool:
        """Whether the client asks for tools that Google runs."""
        return self.declared is not None and bool(self.declared.built_ins)

    @property
    def instruction_at(self) -> str | None:
        """The path of the client's first instruction, or None."""
        return next(
            (item.at for item in self.items if isinstance(item, Turn) and item.role == "system"), None
        )

    def system(self, parts: str | Sequence[Part], at: str) -> None:
        """Record an instruction. Empty texts are left out."""
        texts = [Part(text=parts)] if isinstance(parts, str) else parts
        kept: list[AnyPart] = [part for part in texts if part.text]
        if kept:
            self._turn("system", kept, at)

    def server_run(self, run: Run, at: str) -> None:
        """Record the parts that Google's own tools made in the answer of the last turn; `at` is their path."""
        turn = self._step or self._turn("model", [], at)
        self._step = turn
        turn.run, turn.run_at = run, at

    def turn(self, role: str, parts: str | Sequence[AnyPart], at: str) -> None:
        """Record a turn of `user` or `model`. Calls that follow a model's turn belong to it."""
        if isinstance(parts, str):
            turn = self._turn(role, [Part(text=parts)], at)
        else:
            said = list(parts)
            if said:
                self._keep_attachments(said)
            if role == "user" and said and not any(map(_has_text, said)):
                said.append(Part(text=""))  # some models refuse a picture without any text beside it
            turn = self._turn(role, said, at)
        self._step = turn if role == "model" else None

    def call(
        self,
        call_id: str | None,
        name: str,
        arguments: str,
        signature: str | None,
        at: str,
        arguments_at: str,
    ) -> None:
        """Record a call of the model's last turn; without one before it, the call begins a turn."""
        if self._step is None:
            self._step = self._turn("model", [], at)
        call = Call(split_id(call_id or "")[0], name, arguments, at, arguments_at, signature)
        self._step.calls.append(call)
        self.calls.append(call)

    def result(
        self,
        call_id: str | None,
        parts: str | Sequence[AnyPart],
        at: str,
        *,
        name: str = "",
        error: bool = False,
    ) -> None:
        """Record a function's result, for the call of that id or, without an id, of that name."""
        if isinstance(parts, str):
            said: list[AnyPart] = [Part(text=parts)]
        else:
            said = list(parts)
            self._keep_attachments(said)
        self._step = None
        self.has_results = True
        self.items.append(Result(split_id(call_id or "")[0], name, said, at, error))

    def forget(self, at: str) -> None:
        """Forget what was recorded last of a message or item, so that it can be recorded anew."""
        self._step = None
        while self.items and is_below(self.items[-1].at, at):
            self.items.pop()
        while self.attachments and is_below(self.attachments[-1].at, at):
            self.attachments.pop()
        while self.calls and is_below(self.calls[-1].at, at):
            self.calls.pop()
        self.notes.forget(at)

    def choose(self, choice: Choice) -> None:
        """Record which tools the model may or must call."""
        self.tools.choice = choice

    def think(
        self,
        at: str | None,
        *,
        effort: str | None = None,
        budget: int | None = None,
        show: bool | None = None,
    ) -> None:
        """Record how much to think. `at` is None when the gateway asks on its own behalf. Raises BadRequest."""
        if effort in OTHER_EFFORTS and not self.notes.strict:
            self.notes.add(at or "")
            effort = OTHER_EFFORTS[effort]
        self.reasoning = ReasoningRequest(checked(effort, at or ""), budget, show, at)

    def format(self, wanted: OutputFormat) -> None:
        """Record the JSON format of the answer."""
        self.output_format = wanted

    def sample(self, sampling: Sampling, names: Mapping[str, str]) -> None:
        """Record how to choose tokens. `names` maps Gemini's fields to the client's, where they differ."""
        self.sampling, self.names = sampling, names

    def locate(self, at: str, place: Sequence[str | None], timezone: str | None) -> None:
        """Record where the user is. Gemini takes coordinates only, so the place becomes words."""
        where = ", ".join(name for name in place if name)
        if where:
            self.location = f"The user is located in {where}" + (f" ({timezone})." if timezone else "."), at
        elif timezone:
            self.location = f"The user's time zone is {timezone}.", at

    def hint(self, words: str) -> None:
        """Record an option that Gemini does not have, as words for its instruction."""
        self.hints.append(words)

    def options(self, google: GoogleOptions) -> None:
        """Record Gemini's own options. Unknown ones are noted, or refused in strict mode."""
        self.google = google
        for path in google.unknown:
            self.notes.drop(
                path,
                "This gateway knows no such option. Put fields of generationConfig into"
                f" '{google.at('generation_config')}'.",
            )

    def remote_media(self) -> dict[str, str]:
        """Return the addresses to fetch, each with the path that names it first."""
        addresses: dict[str, str] = {}
        for attachment in self.attachments:
            if attachment.url:
                addresses.setdefault(attachment.url, attachment.at)
        return addresses

    def unsigned(self, keys: SignatureKeys) -> list[bytes]:
        """Return the store's keys of calls and images that came back without their signature."""
        return [key for group in self._unsigned(keys) for key in group]

    def _unsigned(self, keys: SignatureKeys) -> Iterator[Sequence[bytes]]:
        looked_up = 0
        for call in self.calls:
            looked_up += len(call.arguments)
            if call.signature is None and looked_up <= MOST_LOOKED_UP:
                yield keys.call(call.id, call.name, call.arguments)
        for attachment in self.attachments:
            if attachment.lookup:
                yield keys.image(attachment.lookup)
            elif attachment.kept is not None:
                yield (keys.server_part(*attachment.kept),)
        if self.has_built_ins:
            yield from self._runs(keys)

    def _runs(self, keys: SignatureKeys) -> Iterator[Sequence[bytes]]:
        """Yield the keys of parts that Google's own tools made in earlier answers."""
        looked_up = 0
        for item in self.items:
            if not isinstance(item, Turn) or item.role != "model" or item.run is not None:
                continue
            yield [keys.before_call(call.id) for call in item.calls if call.id]
            text = only_text(item)
            looked_up += len(text)
            if text and looked_up <= MOST_LOOKED_UP:
                yield (keys.answer(text),)

    def _turn(self, role: str, parts: list[AnyPart], at: str) -> Turn:
        self._step = None
        turn = Turn(role, parts, at)
        self.items.append(turn)
        return turn

    def _keep_attachments(self, parts: Sequence[AnyPart]) -> None:
        for part in parts:
            if isinstance(part, Attachment):
                self.attachments.append(part)


def _has_text(part: AnyPart) -> bool:
    return isinstance(part, Part) and part.text is not None
