"""Drives a provider's flows without a network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from viseme.attempts import Intent
from viseme.providers.base import Fault, Flow, Outcome, Provider, Refused, Reply, Request, Save

KEY = "viseme-0123456789abcdef"
VIDEO = "https://media.example/talk.mp4"
AUDIO = "https://media.example/speech.wav"


@frozen
class Played:
    """What came of a flow: its result, and the requests and handles on the way."""

    result: Any
    requests: tuple[Request, ...]
    saved: tuple[Mapping[str, Any], ...]

    @property
    def request(self) -> Request:
        (only,) = self.requests
        return only


def intent(**given: Any) -> Intent:
    """An intent as the engine would write it down."""
    fields: dict[str, Any] = {
        "id": "0123456789abcdef",
        "task": "task",
        "account": "account",
        "model": None,
        "endpoint": "https://vendor.example",
        "attempt": 1,
        "stage": "lipsync",
        "key": KEY,
        "at": 1_763_600_000.0,
    }
    return Intent(**{**fields, **given})


def reply(body: object = None, status: int = 200, **headers: str) -> Reply:
    """A reply with a JSON body, or with bytes as they stand; ``retry_after`` becomes ``retry-after``."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(
        status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}, body=content
    )


def drive(provider: Provider, flow: Flow[Any], *outcomes: Outcome) -> Played:
    """Send a flow its replies as the engine does: whatever the provider calls a refusal is thrown in."""
    requests: list[Request] = []
    saved: list[Mapping[str, Any]] = []
    left = list(outcomes)
    try:
        step = next(flow)
        while True:
            if isinstance(step, Save):
                saved.append(step.handle)
                step = flow.send(Reply(status=200))
                continue
            requests.append(step)
            outcome = left.pop(0)
            verdict = provider.verdict(step, outcome)
            if verdict is not None:
                step = flow.throw(Refused(verdict))
            else:
                assert not isinstance(outcome, Fault), "a fault needs a verdict"
                step = flow.send(outcome)
    except StopIteration as end:
        assert not left, f"{len(left)} replies were not asked for"
        return Played(end.value, tuple(requests), tuple(saved))
