"""Sync's error codes and what they mean. Source: fact sheet sections 3 and 5 (catalogue of 2026-08-25, later ones)."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from viseme.failures import Kind
from viseme.providers.base import Blame

__all__ = ["CODES", "Meaning", "meaning"]


@frozen
class Meaning:
    """What a code says: a kind, whose fault it is, and what the reader may do."""

    kind: Kind
    blame: Blame
    advice: str


_MODEL = Meaning(Kind.INVALID, "job", "choose another model")
_INPUT = Meaning(Kind.INVALID, "job", "change the job's inputs or options and run it again")
_BROKEN = Meaning(Kind.INVALID, "job", "re-encode the media (H.264 video, WAV or MP3 audio) and run it again")
_UNREACHED = Meaning(
    Kind.MEDIA_UNREACHABLE, "job", "the URL must be public, direct and alive for as long as the job takes"
)
_LENGTH = Meaning(Kind.INVALID, "job", "shorten the media, or use a plan that allows the length")
_PLAN = Meaning(Kind.INVALID, "account", "the account's plan does not include this; change the job or the plan")
_MONEY = Meaning(Kind.NO_CREDIT, "account", "settle the account's billing at sync.so and run again")
_VOICE = Meaning(Kind.INVALID, "job", "choose a voice that the account has")
_SPEECH = Meaning(Kind.INVALID, "account", "the account's connection to ElevenLabs has to be repaired at sync.so")
_TASK = Meaning(Kind.NOT_FOUND, "account", "the job belongs to another organisation, or was deleted")
_PROJECT = Meaning(Kind.INVALID, "job", "check the project that the job names")
_ASSET = Meaning(Kind.MEDIA_UNREACHABLE, "job", "the asset is gone, or another organisation's; hand the file over anew")
_VENDOR = Meaning(Kind.JOB_FAILED, "vendor", "no output, so presumably no charge; the job may be tried again")
_PASSING = Meaning(Kind.TRANSIENT, "vendor", "viseme tries again")
_KEY = Meaning(Kind.INVALID, "job", "the idempotency key must be 1 to 128 of A-Z a-z 0-9 . _ ~ -")

_GROUPS: Mapping[Meaning, str] = {
    _MODEL: "generation_unsupported_model",
    _INPUT: """
        generation_input_validation_failed generation_input_segments_invalid generation_input_trim_invalid
        generation_input_face_selection_invalid generation_input_asset_type_mismatch generation_input_too_many_visual
        generation_input_dub_audio_conflict generation_audio_missing generation_video_missing
        generation_not_deletable_while_processing cost_estimate_unavailable
        dialogue_edit_retime_required dialogue_edit_removal_too_large dialogue_edit_not_found
    """,
    _BROKEN: """
        generation_input_video_invalid generation_input_audio_invalid generation_input_resolution_unsupported
        generation_media_metadata_missing
    """,
    _UNREACHED: """
        generation_input_video_inaccessible generation_input_audio_inaccessible generation_input_image_inaccessible
        uploaded_file_not_found voice_sample_not_accessible
    """,
    _LENGTH: """
        generation_input_duration_greater_than_max_duration generation_model_duration_exceeded
        generation_plan_duration_exceeded dubbing_duration_exceeded file_size_exceeds_plan_limit
        generation_audio_length_exceeded generation_text_length_exceeded
    """,
    _PLAN: "plan_feature_unavailable voice_clone_limit_reached",
    _MONEY: "free_tier_generations_exhausted account_payment_required account_on_hold elevenlabs_quota_exceeded",
    _VOICE: """
        voice_not_found voice_sample_type_unsupported voice_sample_upload_required voice_sample_extraction_failed
        voice_sample_source_too_large voice_sample_too_short voice_sample_invalid voice_name_conflict
    """,
    _SPEECH: "elevenlabs_api_key_invalid",
    _TASK: "invalid_generation_id unsupported_generation_id_format generation_not_found",
    _PROJECT: "project_not_found",
    _ASSET: "asset_not_found asset_forbidden invalid_asset_id_format file_not_in_org_storage",
    _VENDOR: """
        generation_pipeline_failed generation_unknown_error generation_infra_storage_error
        generation_infra_resource_exhausted generation_infra_service_unavailable generation_conflict
        generation_timeout generation_database_error generation_internal_auth generation_unhandled_error
    """,
    _PASSING: """
        generation_media_probe_timeout generation_media_probe_unavailable controller_timeout controller_unavailable
        controller_dependency_error internal_error usage_dependency_unavailable voice_clone_busy
        elevenlabs_service_unavailable
    """,
    Meaning(Kind.NO_SEAT, "account", "viseme waits for a job to end"): "concurrency_limit_reached",
    Meaning(Kind.RATE_LIMITED, "account", "viseme waits and goes on"): "rate_limit_exceeded",
    _KEY: "INVALID_IDEMPOTENCY_KEY",
}

CODES: Mapping[str, Meaning] = {code: meaning for meaning, codes in _GROUPS.items() for code in codes.split()}
"""The meaning of every code that a source names."""

_UNSETTLED = Meaning(Kind.FATE_UNKNOWN, "vendor", "the same key is asked again; nothing is paid twice")


def meaning(code: str | None) -> Meaning | None:
    """What a code means; None for an unknown one.

    All that the vendor says of a key, but that it is malformed, leaves open what became of the job.
    """
    if code is None:
        return None
    if code not in CODES and code.upper().startswith("IDEMPOTENCY_"):
        return _UNSETTLED
    return CODES.get(code)
