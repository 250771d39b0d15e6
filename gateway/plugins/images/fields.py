"""Treatment of each field of OpenAI's images requests."""

from gateway.conversation.field_policy import NEUTRAL, Policy

_ANSWER: dict[str, Policy] = {
    "model": Policy(
        "mapped",
        "URL path; names of other vendors' models, and `imagen-*`, become `models.image`; a model that makes no "
        "pictures is a 400",
    ),
    "n": Policy(
        "emulated",
        "1 to 10 calls of Gemini, four at a time; where some fail, the pictures of the others are the answer, with a "
        "note",
    ),
    "size": Policy(
        "clamped",
        "`imageConfig`: the nearest shape and tier that the model has; a note where the shape is another one. The "
        "answer's `size` is that of the picture",
    ),
    "quality": Policy(
        "clamped",
        "without a size: `high`, `hd` are 2K, `xhigh`, `max` are 4K, others leave the tier to the model; beside a size "
        "it is not used, with a note",
    ),
    "output_format": Policy(
        "emulated",
        "png, jpeg or webp, converted by Pillow (the extra `images`); without Pillow the picture stays as it came, "
        "with a note; gif and svg are a 400",
    ),
    "output_compression": Policy("emulated", "quality of jpeg and webp, by Pillow; a note for other formats"),
    "response_format": Policy(
        "emulated",
        "`b64_json`, also without it; `url` is a `data:` URL, or with `plugins.images.urls` the gateway's own",
    ),
    "google": Policy(
        "mapped",
        "`image_config`, `tools`, `thinking_config`, `safety_settings` and more of Gemini's own; they win over the "
        "fields above",
    ),
    "extra_body": Policy("mapped", "the literal key some SDKs send; `extra_body.google` is read as `google`"),
    "user": Policy("ignored", "Gemini has no end-user id"),
}
_GENERATION: dict[str, Policy] = {
    "prompt": Policy("mapped", "the text of the only turn"),
    **_ANSWER,
    "stream": Policy("emulated", "one `completed` event for each picture: Gemini sends a picture as a whole"),
    "partial_images": Policy(
        "clamped", "0 to 3, of which none comes: Gemini shows no pictures that are not finished; a note"
    ),
    "background": Policy(
        "dropped", "Gemini's pictures have no transparent background", (*NEUTRAL, "auto", "opaque")
    ),
    "style": Policy("dropped", "say the style in the prompt"),
    "moderation": Policy(
        "ignored", "`safety` of the configuration, or `google.safety_settings`", (*NEUTRAL, "auto")
    ),
    "safety_identifier": Policy("ignored", "Gemini has no end-user id"),
    "complexity": Policy("ignored", "Gemini has no such field"),
}
REFUSED = ("svg", "frame_count", "frame_duration_ms")
"""Fields of vector graphics and animations, which Gemini does not make: a 400."""
_REFUSED = {
    name: Policy("dropped", "a 400 `unsupported_value`: Gemini makes no such pictures") for name in REFUSED
}

GENERATIONS: dict[str, Policy] = {**_GENERATION, **_REFUSED}
"""`POST /v1/images/generations`."""

EDITS: dict[str, Policy] = {
    "image": Policy(
        "mapped",
        "1 to 16 files (`image` or `image[]`) of at most 50 MB: inline data before the prompt; gif, bmp, tiff and avif "
        "are converted by Pillow",
    ),
    "images": Policy("mapped", "the same in a JSON body: objects with `image_url` or `file_id`"),
    "mask": Policy(
        "emulated",
        "a further picture, white where it is transparent, and a sentence in the prompt: Gemini has no mask; a note, "
        "or a 400 in strict mode",
    ),
    "markup": Policy("emulated", "a further picture, and a sentence in the prompt; not beside `mask`"),
    "input_fidelity": Policy("ignored", "Gemini decides by itself"),
    **GENERATIONS,
}
"""`POST /v1/images/edits`."""

VARIATIONS: dict[str, Policy] = {
    "image": Policy("mapped", "one file of at most 50 MB, before a prompt that asks for another version"),
    "prompt": Policy("mapped", "in place of the gateway's own prompt (not an OpenAI field)"),
    **_ANSWER,
    **_REFUSED,
}
"""`POST /v1/images/variations`."""
