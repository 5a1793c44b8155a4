"""What can be refused before Rask is asked. Sources: fact sheet sections 2 and 7, and the adapter's own rules."""

from __future__ import annotations

import re

from viseme.errors import JobInvalid
from viseme.jobs import Job
from viseme.providers.rask.options import RaskOptions
from viseme.providers.rask.stages import costs
from viseme.wording import quote

__all__ = ["check"]

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_OF_A_NEW_PROJECT = ("num_speakers", "transcript_id", "glossary_id")


def check(job: Job, options: RaskOptions, *, allow_paid: bool, account: str) -> None:
    """Refuse what Rask would refuse, what would be passed over, and what costs without consent.

    Raises:
        JobInvalid: the message says what to change.
    """
    for name in ("image", "audio", "text"):
        if getattr(job, name):
            raise JobInvalid(f"rask dubs a video into a language and takes no {name}; give language", field=name)
    if options.project_id is not None:
        _check_project(job, options)
    else:
        _check_new(job, options)
    _check_languages(job)
    if costs(options) and not allow_paid:
        raise JobInvalid(
            "the job may cost minutes, and the account does not allow that:"
            f" set allow_paid = true in accounts.{quote(account)} (a preview of an existing project is free)",
            field="account",
        )


def _check_project(job: Job, options: RaskOptions) -> None:
    if job.video:
        raise JobInvalid("the project of options.project_id has its video; leave video out", field="video")
    if options.media_id is not None:
        raise JobInvalid("project_id and media_id exclude each other; give one of them", field="options")
    for name in _OF_A_NEW_PROJECT:
        if getattr(options, name) is not None:
            raise JobInvalid(f"{name} goes with a new project; leave it out, or project_id", field="options")


def _check_new(job: Job, options: RaskOptions) -> None:
    if options.generate:
        raise JobInvalid("generate dubs an existing project again; add its project_id", field="options")
    if options.media_id is not None and job.video:
        raise JobInvalid("video and options.media_id exclude each other; give one of them", field="video")
    if options.media_id is None and not job.video:
        raise JobInvalid("the job has no picture; give video (or options.media_id, options.project_id)", field="video")
    if not job.language:
        raise JobInvalid("the job has no speech; give language: what rask dubs the video into", field="language")


def _check_languages(job: Job) -> None:
    for name, value in (("language", job.language), ("source_language", job.source_language)):
        if value is not None and not _LANGUAGE.fullmatch(value):
            raise JobInvalid(f"{name} {quote(value)!r} is no language; write it as en or en-us", field=name)
    if job.source_language and "-" in job.source_language:
        plain = job.source_language.partition("-")[0].lower()
        raise JobInvalid(
            f"source_language {quote(job.source_language)!r} names a dialect, which rask does not take;"
            f" write {plain}, or leave it out",
            field="source_language",
        )
