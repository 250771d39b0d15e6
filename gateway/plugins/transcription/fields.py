"""Treatment of each field of OpenAI's transcription and translation requests."""

from gateway.conversation.field_policy import Policy

_ZERO = (None, "0", "0.0", "", 0, 0.0)

TRANSCRIPTIONS: dict[str, Policy] = {
    "model": Policy(
        "mapped",
        "OpenAI's names become `models.transcription`; a chat model of Gemini's transcribes by `generateContent`",
    ),
    "language": Policy("mapped", "`language_codes`; for a chat model a sentence of the instruction"),
    "languages": Policy("mapped", "as `language`"),
    "prompt": Policy(
        "emulated",
        "a list of names is `custom_vocabulary`; a sentence is left out, a note; a chat model reads both",
    ),
    "keywords": Policy("mapped", "`custom_vocabulary`; for a chat model a sentence of the instruction"),
    "response_format": Policy(
        "emulated",
        "`json`, `text`, `srt`, `vtt`, `verbose_json`, `diarized_json`, made from the times of words",
    ),
    "temperature": Policy("mapped", "chat models before gemini-3.6; else left out, a note", neutral=_ZERO),
    "timestamp_granularities": Policy(
        "mapped",
        "words of the transcription model; a chat model estimates the times of segments, a note, and has no words",
    ),
    "include": Policy("dropped", "Gemini gives no probabilities of a transcript", neutral=(None, [])),
    "chunking_strategy": Policy("ignored", "Gemini finds the pauses itself", neutral=(None, "auto", "")),
    "known_speaker_names": Policy(
        "dropped", "Gemini does not match voices: speakers are A, B, C", neutral=(None, [])
    ),
    "known_speaker_references": Policy("dropped", "Gemini does not match voices", neutral=(None, [])),
    "stream": Policy(
        "emulated", "`json`, `text` and `diarized_json`; ignored for `whisper-1` and other formats, a note"
    ),
}
"""`POST /v1/audio/transcriptions`; `file` is a part of the form."""

TRANSLATIONS: dict[str, Policy] = {
    "model": Policy("mapped", "a chat model; OpenAI's names become `models.default`"),
    "prompt": Policy("mapped", "names and spellings, a sentence of the instruction"),
    "response_format": Policy("emulated", "as for transcriptions, without `diarized_json`"),
    "temperature": TRANSCRIPTIONS["temperature"],
}
"""`POST /v1/audio/translations`."""
