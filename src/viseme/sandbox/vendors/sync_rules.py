"""What Sync accepts in a create, by its sheet: models, inputs, options, names; and its catalogue of error codes."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import attrs

from ..timeline import Fit
from .sync_segments import Item, Stretch, stretches

MODELS: dict[str, tuple[str, float]] = {
    "sync-3": ("lipsync", 0.00534),
    "lipsync-2-pro": ("lipsync", 0.00333),
    "lipsync-2": ("lipsync", 0.002),
    "lipsync-1.9.0-beta": ("lipsync", 0.001),
    "react-1": ("react", 0.00667),
}
"""Per model its type and its base price in dollars per output frame."""

FITS = {
    "bounce": Fit.BOUNCE,
    "loop": Fit.LOOP,
    "cut_off": Fit.CUT,
    "silence": Fit.SILENCE,
    "remap": Fit.REMAP,
}
_FILE_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_URL = re.compile(r"https?://\S+")
SCRIPT_LIMIT = 5000


@attrs.define
class Invalid(Exception):
    """A create that Sync refuses; `message` is a list where its validator gives one."""

    message: str | list[str]
    code: str = "generation_input_validation_failed"
    field: str | None = None
    status: int = 400


@attrs.frozen
class Order:
    """A create that passed: the visual item, the voice item (None when Sync dubs), and how they are fitted.

    With `stretches` the video keeps its length, and each stretch has its own voice.
    """

    model: str
    visual: Item
    voice: Item | None
    fit: Fit
    dub: Item | None = None
    stretches: tuple[Stretch, ...] = ()

    @property
    def image(self) -> bool:
        """The visual is a picture."""
        return self.visual["type"] == "image"


def check(body: Mapping[str, Any]) -> Order:
    """Validates a create body.

    Raises:
        Invalid: The body is refused.
    """
    complaints = list(_complaints(body))
    if complaints:
        raise Invalid(complaints)
    model = body["model"]
    if model not in MODELS:
        raise Invalid(f"model {model} is not supported", "generation_unsupported_model", "model")
    items = cast(Sequence[Item], body["input"])
    visual = _visual(items, model)
    dub = cast("Item | None", body.get("dubParams"))
    if visual["type"] == "image" and (body.get("segments") or dub):
        raise Invalid("image input takes neither segments nor dubParams", field="input")
    options = cast("Item", body.get("options") or {})
    if visual["type"] == "image" and _auto_detects(options):
        raise Invalid("auto_detect cannot be used with image input", field="options.active_speaker_detection")
    fit = Fit.FREEZE if visual["type"] == "image" else FITS[options.get("sync_mode") or "bounce"]
    parts = _stretches(body, items)
    return Order(model, visual, _voice(items, body, dub), Fit.SILENCE if parts else fit, dub, parts)


def _stretches(body: Mapping[str, Any], items: Sequence[Item]) -> tuple[Stretch, ...]:
    segments = cast("list[Any] | None", body.get("segments"))
    if not segments:
        return ()
    found = stretches(segments, [item for item in items if item["type"] in ("audio", "text")])
    if isinstance(found, str):
        raise Invalid(found, "generation_input_segments_invalid", "segments")
    return tuple(found)


def _auto_detects(options: Item) -> bool:
    detection = options.get("active_speaker_detection")
    return isinstance(detection, dict) and bool(cast(Item, detection).get("auto_detect"))


def _complaints(body: Mapping[str, Any]) -> Sequence[str]:
    found: list[str] = []
    if not isinstance(body.get("model"), str) or not body["model"]:
        found.append("model must be a string")
    items = body.get("input")
    if not isinstance(items, list) or not items:
        found.append("input must be a non-empty array")
    else:
        found += [text for item in cast("list[Any]", items) for text in _item_complaints(item)]
    found += _option_complaints(body.get("options"))
    name = body.get("outputFileName")
    if name is not None and not (isinstance(name, str) and _FILE_NAME.fullmatch(name)):
        found.append("outputFileName must be 1 to 255 letters, digits, underscores or hyphens")
    webhook = body.get("webhookUrl")
    if webhook is not None and not (isinstance(webhook, str) and _URL.fullmatch(webhook)):
        found.append("webhookUrl must be a URL address")
    found += _dub_complaints(body.get("dubParams"))
    if body.get("segments") is not None and not isinstance(body["segments"], list):
        found.append("segments must be an array")
    return found


def _item_complaints(item: object) -> list[str]:
    if not isinstance(item, dict):
        return ["each input must be an object"]
    entry = cast(Item, item)
    kind = entry.get("type")
    if kind in ("video", "image", "audio"):
        url = entry.get("url")
        if url is None and entry.get("assetId") is None:
            return [f"input of type {kind} needs url or assetId"]
        if url is not None and not (isinstance(url, str) and _URL.fullmatch(url)):
            return [f"input of type {kind}: url must be a URL address"]
        return []
    if kind == "text":
        return text_complaints(entry.get("provider"))
    return ["input.type must be one of the following values: video, image, audio, text"]


def text_complaints(provider: object) -> list[str]:
    """What is wrong with a voice and its script, but for the length."""
    if not isinstance(provider, dict):
        return ["text input needs a provider"]
    entry = cast(Item, provider)
    found: list[str] = []
    if entry.get("name") != "elevenlabs":
        found.append("provider.name must be one of the following values: elevenlabs")
    if not isinstance(entry.get("voiceId"), str) or not entry["voiceId"]:
        found.append("provider.voiceId must be a string")
    if not isinstance(entry.get("script"), str) or not entry["script"]:
        found.append("provider.script must be a string")
    for name in ("stability", "similarityBoost"):
        value = entry.get(name, 0.5)
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            found.append(f"provider.{name} must be between 0 and 1")
    return found


def _option_complaints(options: object) -> list[str]:
    if options is None:
        return []
    if not isinstance(options, dict):
        return ["options must be an object"]
    entry = cast(Item, options)
    found: list[str] = []
    if entry.get("sync_mode") is not None and entry["sync_mode"] not in FITS:
        found.append(f"options.sync_mode must be one of the following values: {', '.join(FITS)}")
    temperature = entry.get("temperature", 0.5)
    if temperature is not None and not (isinstance(temperature, int | float) and 0 <= temperature <= 1):
        found.append("options.temperature must be between 0 and 1")
    return found


def _dub_complaints(dub: object) -> list[str]:
    if dub is None:
        return []
    if not isinstance(dub, dict):
        return ["dubParams must be an object"]
    entry = cast(Item, dub)
    found: list[str] = []
    if entry.get("providerName", "elevenlabs") != "elevenlabs":
        found.append("dubParams.providerName must be one of the following values: elevenlabs")
    if not isinstance(entry.get("targetLang"), str) or not entry["targetLang"]:
        found.append("dubParams.targetLang must be a string")
    if not isinstance(entry.get("sourceLang", "auto"), str):
        found.append("dubParams.sourceLang must be a string")
    return found


def _visual(items: Sequence[Item], model: str) -> Item:
    visuals = [item for item in items if item["type"] in ("video", "image")]
    if not visuals:
        raise Invalid("input needs a video or an image", "generation_video_missing", "input")
    if len(visuals) > 1:
        raise Invalid("input takes exactly one video or image", "generation_input_too_many_visual", "input")
    if visuals[0]["type"] == "image" and model != "sync-3":
        raise Invalid(f"model {model} takes no image", field="input")
    return visuals[0]


def _voice(items: Sequence[Item], body: Mapping[str, Any], dub: Item | None) -> Item | None:
    voices = [item for item in items if item["type"] in ("audio", "text")]
    if dub is not None:
        if voices:
            raise Invalid("dubParams takes no voice input", "generation_input_dub_audio_conflict", "input")
        return None
    if not voices:
        raise Invalid("input needs an audio or a text", "generation_audio_missing", "input")
    if len(voices) > 1 and not (body.get("segments") and all(item.get("refId") for item in voices)):
        raise Invalid("several voices need segments and a refId each", "generation_input_segments_invalid", "input")
    for item in voices:
        if item["type"] == "text" and len(item["provider"]["script"]) > SCRIPT_LIMIT:
            raise Invalid("the script is longer than 5000 characters", "generation_text_length_exceeded", "input")
    return voices[0]


CATALOGUE: dict[str, str] = {
    code: code.replace("_", " ").capitalize()
    for code in """
    generation_unsupported_model generation_pipeline_failed generation_unknown_error generation_input_validation_failed
    generation_infra_storage_error generation_infra_resource_exhausted generation_infra_service_unavailable
    generation_input_video_inaccessible generation_input_audio_inaccessible generation_input_image_inaccessible
    generation_input_video_invalid generation_input_audio_invalid generation_input_segments_invalid
    generation_input_trim_invalid generation_input_face_selection_invalid generation_input_resolution_unsupported
    generation_input_asset_type_mismatch generation_input_too_many_visual generation_input_dub_audio_conflict
    generation_input_duration_greater_than_max_duration generation_model_duration_exceeded
    generation_plan_duration_exceeded dubbing_duration_exceeded free_tier_generations_exhausted
    plan_feature_unavailable account_payment_required account_on_hold voice_clone_limit_reached
    elevenlabs_quota_exceeded concurrency_limit_reached rate_limit_exceeded
    generation_not_deletable_while_processing invalid_generation_id unsupported_generation_id_format
    generation_not_found generation_conflict generation_media_probe_timeout generation_media_probe_unavailable
    controller_timeout controller_unavailable controller_dependency_error internal_error
    usage_dependency_unavailable project_not_found asset_not_found asset_forbidden invalid_asset_id_format
    uploaded_file_not_found file_not_in_org_storage file_size_exceeds_plan_limit voice_not_found
    voice_sample_not_accessible voice_sample_type_unsupported voice_sample_upload_required
    voice_sample_extraction_failed voice_sample_source_too_large voice_sample_too_short voice_sample_invalid
    voice_name_conflict voice_clone_busy elevenlabs_api_key_invalid elevenlabs_service_unavailable
    """.split()  # noqa: SIM905
}
"""The documented codes; the sentences are the sandbox's own."""
