"""Gemini's speech as samples, and as the events of OpenAI's stream."""

import msgspec

from gateway.errors import BadRequest, GatewayError, UpstreamError, openai_error
from gateway.gemini.audio import Sound, is_wav, joined, sample_rate, sound
from gateway.gemini.base64_text import decoded, encoded
from gateway.gemini.events import Event, Finished, MediaPart, TurnEnded, TurnStarted
from gateway.gemini.finish_reasons import UNKNOWN_CAUSE
from gateway.gemini.usage import TokenCounts
from gateway.plugins.speech.wire import AudioDelta, AudioDone, StreamError, Usage, encode


class NoAudioError(UpstreamError):
    """An answer without sound, which nothing explains. Another attempt may have one."""

    code = "no_audio"

    def __init__(self, cause: str) -> None:
        super().__init__(f"The model answered without audio: {cause}.", upstream_status=200)


def sound_of(events: list[Event]) -> Sound:
    """Return the samples of a whole answer. Raises BadRequest if a filter has ended it, else NoAudioError."""
    media = [event for event in events if isinstance(event, MediaPart)]
    if not media:
        raise silence(events)
    result = joined([part.data for part in media], media[0].mime_type)
    if not result.samples:
        raise silence(events)
    return result


def silence(events: list[Event]) -> GatewayError:
    """Return the error for an answer without sound."""
    finished = next((event for event in events if isinstance(event, Finished)), None)
    cause = (finished.failure or "STOP") if finished is not None else "no candidate"
    if finished is not None and finished.reason == "content_filter" and cause not in UNKNOWN_CAUSE:
        return BadRequest(
            finished.refusal or f"Answer blocked by Gemini: {cause}",
            code="content_policy_violation",
            param="input",
        )
    return NoAudioError(cause)


class SoundStream:
    """Turns the events of a stream into samples.

    The first piece may begin a WAV file; those that follow are samples (gemini-3.8 streams L16).
    """

    def __init__(self) -> None:
        self.rate = 0
        """Samples per second; 0 before the first sample."""
        self.has_sound = False
        self.events: list[Event] = []
        """All events but the sound."""
        self.error: GatewayError | None = None
        """The error that has ended the stream."""

    def encode(self, events: list[Event]) -> bytes:
        """Return the samples of some events."""
        out = []
        for event in events:
            if isinstance(event, MediaPart):
                out.append(self._samples(event))
            else:
                self.events.append(event)
        return b"".join(out)

    def texts(self, index: int, texts: list[str]) -> bytes:
        """Return nothing: a text is not spoken."""
        return b""

    def fail(self, error: GatewayError) -> bytes:
        """Keep an error in mid-stream. The stream decides how it ends."""
        self.error = error
        return b""

    def _samples(self, part: MediaPart) -> bytes:
        try:
            data = decoded(part.data)
        except ValueError:
            self.error = UpstreamError(
                "The upstream sent sound that is not base64.", code="upstream_bad_response"
            )
            return b""
        piece = sound(data) if not self.has_sound and is_wav(data) else Sound(data)
        if not self.rate:
            self.rate = piece.rate or sample_rate(part.mime_type)
        self.has_sound = self.has_sound or bool(piece.samples)
        return piece.samples


def counts_of(events: list[Event]) -> TokenCounts:
    """Return the tokens of an answer."""
    ended = (event.counts for event in reversed(events) if isinstance(event, TurnEnded))
    return next(ended, TokenCounts())


def model_of(events: list[Event]) -> str | None:
    """Return the model that says it has answered."""
    return next((event.model for event in events if isinstance(event, TurnStarted) and event.model), None)


def usage(counts: list[TokenCounts]) -> Usage:
    """Return the tokens of all calls."""
    read, written = sum(each.input for each in counts), sum(each.output for each in counts)
    return Usage(read, written, read + written)


def delta(data: bytes) -> bytes:
    """Return the event of some audio."""
    return b"data: %s\n\n" % encode(AudioDelta(encoded(data)))


def done(total: Usage) -> bytes:
    """Return the last event."""
    return b"data: %s\n\n" % encode(AudioDone(total))


def failed(error: GatewayError) -> bytes:
    """Return the event of an error in mid-stream."""
    body = msgspec.json.decode(openai_error(error), type=dict[str, msgspec.Raw])
    return b"data: %s\n\n" % encode(StreamError(body["error"]))
