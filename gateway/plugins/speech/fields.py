"""Treatment of each field of OpenAI's speech request."""

from gateway.conversation.field_policy import Policy

SPEECH: dict[str, Policy] = {
    "input": Policy(
        "mapped",
        "a part's text; over 4,096 characters it is cut at ends of sentences into several calls, a note",
    ),
    "model": Policy("mapped", "URL path; OpenAI's names become `models.defaults.speech`"),
    "voice": Policy(
        "mapped",
        "`voiceName` of OpenAI's, Gemini's or the operator's (`plugins.speech.voices`) names; other ids as they are;"
        " without one `alloy`, a note",
    ),
    "instructions": Policy(
        "mapped",
        "`speechMetadata.style`; before gemini-3.8 they are put before the text; `None` counts as absent",
    ),
    "response_format": Policy(
        "emulated",
        "`wav` and `pcm` by the gateway; `mp3` (the default), `opus`, `aac` and `flac` by the extra `audio`;"
        " without it `plugins.speech.without_encoder` decides",
    ),
    "speed": Policy(
        "emulated", "by the extra `audio`; without it a style in words, a note", neutral=(None, 1, 1.0)
    ),
    "stream_format": Policy("mapped", "`audio` or `sse`; without it the answer is whole"),
    "stream": Policy("mapped", "true is `stream_format: audio` (not an OpenAI field)"),
    "language": Policy("mapped", "`speechConfig.languageCode` (not an OpenAI field)"),
    "google": Policy(
        "mapped", "`speech_config`; `turns` of two speakers, or `contents`, in place of `input`"
    ),
    "extra_body": Policy("mapped", "the literal key some SDKs send; `extra_body.google` is read as `google`"),
}
"""`POST /v1/audio/speech`."""
