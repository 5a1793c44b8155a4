"""What Rask answers, for the tests of its adapter. Source: its fact sheet, sections 2 and 3."""

from __future__ import annotations

from typing import Any

from tests.unit.flows import VIDEO

from viseme.config import Account
from viseme.jobs import Job
from viseme.providers.rask import Rask

MEDIA = "6f1c3f0e-6a3e-4ad0-9d43-0f0a5b6f7d11"
PROJECT = "0c7c2a8e-5b0a-4b43-9a43-7ad2ad1f8a10"
DUBBED = "https://cdn.rask.example/dubbed.mp4?X-Amz-Signature=1"
RESULT = "https://cdn.rask.example/runs/1/lipsync.mp4?X-Amz-Signature=a"
SECOND = "https://cdn.rask.example/runs/2/lipsync.mp4?X-Amz-Signature=b"
T1 = "2026-11-20T10:00:00.000Z"
T2 = "2026-11-20T10:05:00.000Z"
T3 = "2026-11-20T10:09:00.000Z"
NOW = 1_763_600_000.0


def provider(**settings: Any) -> Rask:
    given = {"client_id": "id", "client_secret": "top-secret", "allow_paid": True, **settings}
    return Rask(Account("rask", **given))


def job(**given: Any) -> Job:
    return Job(**{"video": VIDEO, "language": "es", **given})


def of_project(**options: Any) -> Job:
    return Job(options={"project_id": PROJECT, **options})


def project(status: str | None = "merging_done", stamp: str | None = T1, **given: Any) -> dict[str, Any]:
    video = DUBBED if status == "merging_done" else None
    return {
        "id": PROJECT,
        "name": "x",
        "source_type": "any",
        "status": status,
        "status_updated_at": stamp,
        "created_at": T1,
        "translated_video": video,
        "novelty": 1,
        **given,
    }


def info(status: str | None = None, **given: Any) -> dict[str, Any]:
    """GET lipsync; a face was found unless said otherwise."""
    return {
        "check_face_task_status": "done",
        "video_has_face": True,
        "lipsync_task_status": status,
        "lipsync_task_progress": 100 if status in ("done", "outdated") else None,
        "tasks_in_lipsync_queue": None,
        "lipsync_result_path": RESULT if status in ("done", "outdated") else None,
        **given,
    }


def run_handle(**given: Any) -> dict[str, Any]:
    """The handle of an ordered lip-sync, before which there was none."""
    before = {"status": None, "path": None, "progress": None}
    return {"id": PROJECT, "stage": "lipsync", "mode": "full", "version": T1, "before": before, "at": NOW, **given}
