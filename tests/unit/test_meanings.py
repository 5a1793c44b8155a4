"""Options that mean the same at several vendors."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.flows import AUDIO, VIDEO, drive, intent, reply

from viseme.config import Account
from viseme.errors import JobInvalid
from viseme.jobs import Job
from viseme.providers import adapter


def sent(provider: str, options: dict[str, Any], answer: dict[str, Any]) -> Any:
    one = adapter(Account(provider, api_key="a-long-key"))
    job = Job(video=VIDEO, audio=AUDIO, account=["sync", "jogg"], options=options)
    one.check(job)
    return drive(one, one.create(job, intent(), {}), reply(answer)).request.json


@pytest.mark.parametrize(
    "options", [{"sync_mode": "bounce"}, {"syncMode": "bounce"}, {"playbackType": "normal_reverse"}]
)
def test_forth_and_back_is_said_in_each_vendors_words(options: dict[str, Any]) -> None:
    assert sent("sync", options, {"id": "1", "status": "PENDING"})["options"] == {"sync_mode": "bounce"}
    assert sent("jogg", options, {"code": 0, "data": {"task_id": "1"}})["playback_type"] == "normal_reverse"


@pytest.mark.parametrize(
    ("provider", "options"),
    [
        ("jogg", {"sync_mode": "loop"}),
        ("jogg", {"sync_mode": ["bounce"]}),
        ("sync", {"playback_type": "normal_reverse_by_audio"}),
        ("sync", {"playback_type": "normal"}),
        ("aimlapi", {"sync_mode": "bounce"}),
        ("jogg", {"temperature": 0.5}),
    ],
)
def test_what_has_no_counterpart_is_refused(provider: str, options: dict[str, Any]) -> None:
    one = adapter(Account(provider, api_key="a-long-key"))
    with pytest.raises(JobInvalid, match=next(iter(options))):
        one.check(Job(video=VIDEO, audio=AUDIO, account=["other", provider], options=options))


def test_a_job_of_one_account_is_spoken_to_in_its_own_words_only() -> None:
    one = adapter(Account("jogg", api_key="a-long-key"))
    with pytest.raises(JobInvalid, match="unknown"):
        one.check(Job(video=VIDEO, audio=AUDIO, account="jogg", options={"sync_mode": "bounce"}))
